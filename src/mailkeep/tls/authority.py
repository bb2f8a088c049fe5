"""The site's own certificate authority on disk: made once, and the server's certificate each year.

It gives a site TLS that verifies before anybody has bought or requested a certificate: clients are
given `ca.pem`. Files in the site's `tls` folder: `ca.pem`, `ca.key`, `server.pem`, `server.key`.

A renewal keeps `server.key` and replaces one file, `server.pem`, in one step: no reader, and no
power cut, ever meets a certificate without its key, and clients that pinned the key stay content.
For a new key, remove `server.key`; the next look makes both anew. Certificates that somebody else
issued are never touched: an operator may have put a public one there.

Known limit: nothing is revoked. A stolen authority is made anew and given to the clients again.
"""

from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailkeep.tls.description import CertificateDescription, describe
from mailkeep.tls.errors import CertificateProblem
from mailkeep.tls.issuance import Authority, new_authority, new_key, sign_server
from mailkeep.tls.pem_files import (
    CERTIFICATE_MODE,
    KEY_MODE,
    is_pair,
    read_chain,
    read_key,
    write_durably,
)

AUTHORITY, AUTHORITY_KEY = "ca.pem", "ca.key"
SERVER, SERVER_KEY = "server.pem", "server.key"


def create_authority(folder: Path, hostname: str, now: datetime) -> None:
    """Make `ca.pem` and `ca.key` in a folder, which is made too if it is missing.

    The key is written first: one that is there without a certificate is worth nothing and is
    replaced.

    Args:
        folder: the site's `tls` folder.
        hostname: goes into the authority's name.
        now: aware.

    Raises:
        CertificateProblem: there is an authority already, or a file cannot be written.
        InvalidHostname: the name can be no host's.
    """
    path = folder / AUTHORITY
    if path.exists():
        raise CertificateProblem(
            path,
            "there is an authority already, and clients may trust it",
            f"keep it; to start anew remove it and {folder / AUTHORITY_KEY}",
        )
    authority = new_authority(hostname, now)
    write_durably(folder / AUTHORITY_KEY, _key_pem(authority.key), mode=KEY_MODE)
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM)
    write_durably(path, pem, mode=CERTIFICATE_MODE)


def issue(folder: Path, hostname: str, now: datetime) -> None:
    """Write `server.pem` for a host name and the loopback addresses, and `server.key` if missing.

    Args:
        folder: the site's `tls` folder, with its authority.
        hostname: the site's; a name beyond ASCII goes in as A-labels, an address as an address.
        now: aware.

    Raises:
        CertificateProblem: the authority cannot be used, or a file cannot be written.
        InvalidHostname: the name can be no host's.
    """
    authority = _read_authority(folder, now)
    key = _read_server_key(folder) or new_key()
    certificate = sign_server(authority, key.public_key(), hostname, now)
    if not (folder / SERVER_KEY).exists():
        write_durably(folder / SERVER_KEY, _key_pem(key), mode=KEY_MODE)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    write_durably(folder / SERVER, pem, mode=CERTIFICATE_MODE)


def is_renewal_due(certificate: CertificateDescription, *, hostname: str, now: datetime) -> bool:
    """Tell whether a certificate from the site's own authority should be replaced.

    It is when less than a third of its life is left, and when the site's name has changed.
    """
    life = certificate.not_after - certificate.not_before
    return certificate.not_after - now < life / 3 or not certificate.covers(hostname)


def renew_if_due(folder: Path, hostname: str, now: datetime) -> bool:
    """Issue anew if the server's certificate is the authority's own and is due, or is missing.

    It is due, too, when its key is missing or another one. Safe to call at any time.

    Returns:
        Whether there is a new certificate.

    Raises:
        CertificateProblem, InvalidHostname: as `issue`; the old files are still there.
    """
    server = folder / SERVER
    if server.exists():
        if not _is_own(folder):
            return False
        is_due = is_renewal_due(describe(server), hostname=hostname, now=now)
        if not is_due and _has_its_key(folder):
            return False
    issue(folder, hostname, now)
    return True


def _read_authority(folder: Path, now: datetime) -> Authority:
    path, key_path = folder / AUTHORITY, folder / AUTHORITY_KEY
    certificate, key = read_chain(path)[0], read_key(key_path)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not is_pair(certificate, key):
        raise CertificateProblem(
            key_path,
            f"the key does not belong to the authority {path}",
            "put the right one back, or remove both and make a new authority",
        )
    if now >= certificate.not_valid_after_utc:
        raise CertificateProblem(
            path,
            f"the authority expired on {certificate.not_valid_after_utc:%Y-%m-%d}",
            "remove it with its key, make a new one, and give the new ca.pem to the clients",
        )
    return Authority(certificate, key)


def _read_server_key(folder: Path) -> ec.EllipticCurvePrivateKey | None:
    """Return the key that is there, None if none is."""
    path = folder / SERVER_KEY
    if not path.exists():
        return None
    key = read_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateProblem(
            path,
            "the key is not an elliptic curve's, so it is not from this authority",
            "remove it if nothing else uses it; a new one is made then",
        )
    return key


def _is_own(folder: Path) -> bool:
    """Tell whether the server's certificate came from this authority."""
    if not (folder / AUTHORITY).exists():
        return False
    try:
        read_chain(folder / SERVER)[0].verify_directly_issued_by(read_chain(folder / AUTHORITY)[0])
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _has_its_key(folder: Path) -> bool:
    key = _read_server_key(folder)
    return key is not None and is_pair(read_chain(folder / SERVER)[0], key)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
