"""How the client speaks TLS: whom it trusts, and the server's own versions and suites.

Decided here:

- No ALPN. A front end that knows other protocols must refuse a name that it does not know (RFC
  7301 section 3.2), and POP3 servers have no duty to know theirs. What ALPN protects from, another
  service with the same certificate, does not get past the greeting: nothing is said before `+OK`.
- Not X509_STRICT: many private authorities were made without the fields it asks for (RFC 5280
  section 4.2), and they do not vouch worse for it. A certificate in the user's own file is trusted
  as it is (X509_PARTIAL_CHAIN): it may be an intermediate authority or the server's own.
- A host's name is looked for among the subject's alternative names only (RFC 9525 section 6.3).

It must not know connections or pins. Known limit: nothing is asked about revocation.
"""

import os
import re
import ssl
from pathlib import Path

from mailkeep.tls.contexts import load_pair, restrict
from mailkeep.tls.errors import CertificateProblem


def client_context(
    *,
    authorities: Path | None = None,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    certificate: Path | None = None,
    key: Path | None = None,
    verify: bool = True,
) -> ssl.SSLContext:
    """Return a context for connections to servers; one may serve many.

    `verify=False` is for pins and nothing else: any certificate for any name is then accepted, so
    the caller must compare `ClientChannel.peer_certificate` with its pins (`matches_pin`) before it
    sends or believes anything. It saves the 30 ms that the system's authorities take to load.

    Args:
        authorities: a PEM file of authorities that are trusted beside the system's.
        minimum: TLS 1.2 or 1.3.
        certificate: the client's, PEM, and then the rest of its chain; None for none.
        key: of that certificate, PEM, without a passphrase; None if it is in the same file.
        verify: whether the server must prove its name.

    Raises:
        CertificateProblem: a file cannot be used.
        ValueError: `minimum` is an older version (RFC 8996 forbids them); or an argument is given
            without the one that gives it a meaning.
    """
    if authorities and not verify:
        raise ValueError("authorities are for a context that verifies")
    if key and not certificate:
        raise ValueError("a key needs its certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    restrict(context, minimum)
    if verify:
        _trust(context, authorities)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        load_pair(context, certificate, key or certificate)
    return context


def _trust(context: ssl.SSLContext, authorities: Path | None) -> None:
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _load_system_authorities(context)
    if authorities:
        _load_authorities(context, authorities)


def _load_system_authorities(context: ssl.SSLContext) -> None:
    """Trust the system's authorities.

    Where they lie in a folder by the hashes of their names (openssl-rehash(1)), OpenSSL opens the
    one that is needed; reading all of them out of one file takes 35 ms of every run.
    """
    paths = ssl.get_default_verify_paths()
    is_usual = not {paths.openssl_cafile_env, paths.openssl_capath_env} & os.environ.keys()
    if is_usual and paths.capath and _has_hashed_names(paths.capath):
        context.load_verify_locations(capath=paths.capath)
    else:
        context.load_default_certs()


def _has_hashed_names(folder: str) -> bool:
    try:
        return any(_HASHED_NAME.fullmatch(name) for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False


_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as cause:
        reason = (cause.reason or str(cause)).lower().replace("_", " ")
        raise CertificateProblem(
            path,
            f"OpenSSL reads no authorities from it: {reason}",
            f"it must be PEM; from DER: openssl x509 -inform der -in {path} -out NEW",
        ) from cause
    except OSError as cause:
        raise CertificateProblem(
            path,
            f"cannot be read: {cause.strerror}",
            "check that the file exists and that this user may read it",
        ) from cause
