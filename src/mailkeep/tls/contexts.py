"""How the server speaks TLS: versions, suites, what is switched off; the client shares most of it.

It must not know connections, or when a certificate is loaded.

Known limits of Python's `ssl`: the groups are OpenSSL's own list (before Python 3.15 one curve or
all), and the keys of session tickets live and die with the context, so that a session can be
resumed only where its ticket was made. A TLS 1.2 session can be resumed by its number for as long
as OpenSSL keeps it (two hours), with the client's certificate.
"""

import binascii
import re
import ssl
from pathlib import Path
from typing import NoReturn

from mailkeep.tls.channel import POP3
from mailkeep.tls.errors import CertificateProblem

TLS12_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Forward secrecy and authenticated encryption only (RFC 9325 section 4.2, and Mozilla's
"intermediate" list without its finite-field suites). TLS 1.3 has no others."""

_CERTIFICATE = re.compile(rb"-----BEGIN [A-Z0-9 ]*CERTIFICATE-----([^-]+)-----END")
_RSA_KEY = bytes.fromhex("06092a864886f70d010101")
"""The DER of rsaEncryption (RFC 8017 appendix C): the kind of a public key, and of no signature."""


def server_context(
    certificate: Path, key: Path, minimum: ssl.TLSVersion, client_ca: Path | None = None
) -> ssl.SSLContext:
    """Return a context for new connections.

    The order of suites is the client's: it knows whether it has AES in hardware (RFC 9325 and
    Mozilla's guideline; every suite here is a good one). Early data stays off, which is OpenSSL's
    default. With TLS 1.3 a session can be resumed only where that is cheaper than another
    handshake, see `_tickets_for`; the tickets of TLS 1.2 are OpenSSL's and save a round trip.

    Args:
        certificate: PEM, the server's certificate first and then the rest of its chain.
        key: PEM, without a passphrase.
        minimum: TLS 1.2 or 1.3.
        client_ca: PEM, authorities whose certificates clients may show; None: nobody is asked.

    Raises:
        CertificateProblem: OpenSSL will not have these files.
        ValueError: `minimum` is an older version (RFC 8996 forbids them).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    restrict(context, minimum)
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols([POP3])
    load_pair(context, certificate, key)
    context.num_tickets = _tickets_for(certificate)
    if client_ca is not None:
        ask_for_certificates(context, client_ca)
    return context


def _tickets_for(certificate: Path) -> int:
    """Return how many session tickets a client is given with TLS 1.3.

    A ticket costs 30 us to make, whether it is used or not. A resumed session agrees on keys anew
    and spares the signature: 20 us with ECDSA P-256, less than its ticket; 700 us with RSA-2048.
    """
    first = _CERTIFICATE.search(certificate.read_bytes())
    return 1 if first and _RSA_KEY in binascii.a2b_base64(first[1]) else 0


def ask_for_certificates(context: ssl.SSLContext, client_ca: Path) -> None:
    """Have a server's context ask each client for a certificate; it may have none.

    One that it shows must be from these authorities, valid now, and not made for servers only
    (RFC 5280 section 4.2.1.12), or the handshake fails. No tickets are given out: a resumed session
    would bring the certificate of its first handshake along, verified then and not now.

    Raises:
        CertificateProblem: the file holds no authority that can be read.
    """
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError as cause:
        raise CertificateProblem(
            client_ca,
            "holds no certificate that can be read",
            "it must be PEM, the authorities that sign your clients' certificates",
        ) from cause
    except OSError as cause:
        raise CertificateProblem(
            client_ca,
            f"cannot be read: {cause.strerror}",
            "check that it exists and that the site's user may read it",
        ) from cause
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET


def restrict(context: ssl.SSLContext, minimum: ssl.TLSVersion) -> None:
    """Leave a context, of either side, what is good today: versions, suites, no compression.

    Raises:
        ValueError: `minimum` is older than TLS 1.2 (RFC 8996).
    """
    if minimum not in {ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3}:
        raise ValueError(f"TLS starts with version 1.2 here, not {minimum!r}")
    context.minimum_version = minimum
    context.set_ciphers(TLS12_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Give a context its own certificate and key; nobody is asked for a passphrase.

    Raises:
        CertificateProblem: OpenSSL will not have these files.
    """

    def refuse_passphrase() -> NoReturn:
        # Without this OpenSSL would ask on the terminal, and the program would stand still.
        raise CertificateProblem(
            key,
            "the key is protected by a passphrase",
            f"write a copy without one: openssl pkey -in {key} -out NEW",
        )

    try:
        context.load_cert_chain(certificate, key, password=refuse_passphrase)
    except ssl.SSLError as cause:
        reason = (cause.reason or str(cause)).lower().replace("_", " ")
        raise CertificateProblem(
            certificate,
            f"OpenSSL refuses it with the key {key}: {reason}",
            f"look at both: openssl x509 -in {certificate} -text; openssl pkey -in {key} -check",
        ) from cause
    except OSError as cause:
        raise CertificateProblem(
            certificate,
            f"cannot be read with the key {key}: {cause.strerror}",
            "check that both files exist and that this user may read them",
        ) from cause
