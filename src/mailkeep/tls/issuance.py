"""What the site's own certificates say: the authority's and the server's. Pure, but for the keys.

Both are ECDSA P-256: it signs ten times faster than RSA-2048, and every client of the last fifteen
years knows it. The fields are those that `openssl verify -x509_strict` and Python's
`VERIFY_X509_STRICT` ask for (RFC 5280 section 4.2).

Known limit: the authority carries no name constraints, because the site may get another name.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailkeep.tls.hostnames import a_label_form, read_ip_address

AUTHORITY_LIFE = timedelta(days=3652)
"""Ten years: people install it on their devices by hand."""
SERVER_LIFE = timedelta(days=366)
"""The most that Mozilla's guideline allows."""
CLOCK_SKEW = timedelta(hours=1)
"""A certificate is valid from a little before it was made: clients' clocks are late."""

_COMMON_NAME_LIMIT_CHARACTERS = 64
"""X.520, ub-common-name (RFC 5280 appendix A.1)."""
_LOOPBACK = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
    x509.IPAddress(ipaddress.IPv6Address("::1")),
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(hostname: str, now: datetime) -> Authority:
    """Return a new authority, named after a host so that people know it in a list.

    Raises:
        InvalidHostname: the name can be no host's.
    """
    key = new_key()
    label = _general_name(hostname).value
    name = _common_name(f"Mailkeep authority of {label}"[:_COMMON_NAME_LIMIT_CHARACTERS])
    not_before = now - CLOCK_SKEW
    certificate = (
        _builder(name, key.public_key())
        .issuer_name(name)
        .not_valid_before(not_before)
        .not_valid_after(not_before + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def sign_server(
    authority: Authority, key: ec.EllipticCurvePublicKey, hostname: str, now: datetime
) -> x509.Certificate:
    """Return a server's certificate for a host name (or address), `localhost` and loopback.

    Args:
        authority: who signs; the certificate does not outlive it.
        key: the server's.
        hostname: beyond ASCII it goes in as A-labels (RFC 5280 section 7.2).
        now: aware.

    Raises:
        InvalidHostname: the name can be no host's.
    """
    names = tuple(_subject_names(hostname))
    not_before = now - CLOCK_SKEW
    not_after = min(not_before + SERVER_LIFE, authority.certificate.not_valid_after_utc)
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.value)
    return (
        _builder(_server_subject(names), key)
        .issuer_name(authority.certificate.subject)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    """Return what both kinds share; the serial has 20 random octets (RFC 5280 4.1.2.2)."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(identifier, critical=False)
    )


def _subject_names(hostname: str) -> Iterator[x509.DNSName | x509.IPAddress]:
    name = _general_name(hostname)
    yield name
    yield from (other for other in _LOOPBACK if other != name)


def _general_name(hostname: str) -> x509.DNSName | x509.IPAddress:
    address = read_ip_address(hostname)
    return x509.DNSName(a_label_form(hostname)) if address is None else x509.IPAddress(address)


def _server_subject(names: tuple[x509.DNSName | x509.IPAddress, ...]) -> x509.Name:
    """Return the first name, for old clients that show nothing else; none may trust it."""
    first = str(names[0].value)
    is_short = len(first) <= _COMMON_NAME_LIMIT_CHARACTERS
    return _common_name(first if is_short else "Mailkeep server")


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
