"""Pins: the SHA-256 of a certificate, or of the key in it, that a user has written down.

A pin of the key (its SubjectPublicKeyInfo, as RFC 7469 section 2.4 has it) outlives a renewal that
keeps the key. It must not know connections, or how people write a fingerprint.

Known limit: a key that is marked for RSA-PSS alone is hashed as a plain RSA key; such a certificate
is pinned as a whole.
"""

import hashlib
from collections.abc import Collection


def matches_pin(certificate: bytes, pins: Collection[bytes]) -> bool:
    """Tell whether a certificate is one of those that are pinned, or holds a pinned key.

    Args:
        certificate: DER.
        pins: SHA-256 sums, 32 octets each.
    """
    if _of_certificate(certificate) in pins:
        return True
    try:
        return _of_key(certificate) in pins
    except ValueError:
        return False


def fingerprints(certificate: bytes) -> tuple[bytes, bytes]:
    """Return the SHA-256 of a certificate (DER) and of its key's SubjectPublicKeyInfo.

    Raises:
        ValueError: it is no certificate, or its key is of an unknown kind.
    """
    return _of_certificate(certificate), _of_key(certificate)


def _of_certificate(certificate: bytes) -> bytes:
    return hashlib.sha256(certificate).digest()


def _of_key(certificate: bytes) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509 import load_der_x509_certificate

    try:
        key = load_der_x509_certificate(certificate).public_key()
    except UnsupportedAlgorithm as cause:
        raise ValueError(f"the certificate's key is of an unknown kind: {cause}") from cause
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).digest()
