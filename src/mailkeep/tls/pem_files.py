"""Certificates and keys as PEM files: read with an error that says what to do, written durably.

It must not know what a certificate is for. Blocking I/O on small files.
"""

import os
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from mailkeep.tls.errors import CertificateProblem

CERTIFICATE_MODE = 0o644
"""Everybody may read a certificate: every client gets it."""
KEY_MODE = 0o600


def read_chain(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a PEM file, in its order; at least one.

    Raises:
        CertificateProblem: the file cannot be read or holds none.
    """
    pem = _read(path)
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as cause:
        raise CertificateProblem(
            path,
            f"holds no certificate that can be read ({cause})",
            "it must be PEM, the server's certificate first, then the rest of its chain",
        ) from cause


def read_key(path: Path) -> PrivateKeyTypes:
    """Return the private key in a PEM file.

    Raises:
        CertificateProblem: the file cannot be read, or holds no key, or one with a passphrase.
    """
    pem = _read(path)
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError as cause:
        raise CertificateProblem(
            path,
            "the key is protected by a passphrase",
            f"write a copy without one: openssl pkey -in {path} -out NEW",
        ) from cause
    except ValueError as cause:
        raise CertificateProblem(
            path,
            "holds no private key that can be read",
            "it must be PEM: -----BEGIN PRIVATE KEY-----",
        ) from cause


def is_pair(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    """Tell whether this key is the one that the certificate speaks for."""
    return certificate.public_key() == key.public_key()


def write_durably(path: Path, octets: bytes, *, mode: int) -> None:
    """Put a file in the place of another so that a reader, or a power cut, meets one of the two.

    Args:
        path: which file; its folder is made if it is missing.
        octets: what it shall hold.
        mode: its permissions, whatever the umask.

    Raises:
        CertificateProblem: it cannot be written; what was there is still there.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
                os.fchmod(descriptor, mode)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as cause:
        raise CertificateProblem(
            path,
            f"cannot be written: {cause.strerror}",
            "check the space and who may write in that folder",
        ) from cause


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise CertificateProblem(
            path,
            f"cannot be read: {cause.strerror}",
            "check that it exists and that the site's user may read it",
        ) from cause
