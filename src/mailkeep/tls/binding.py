"""Channel binding: what ties a login to the TLS connection that it comes through.

It must not know mechanisms. Known limit: `tls-exporter` (RFC 9266) would be the better one for TLS
1.3, but Python's `ssl` cannot export keys.
"""


def server_end_point(certificate: bytes) -> bytes | None:
    """Return the `tls-server-end-point` of a server's certificate, or None if it has none.

    It is the certificate's hash by the function that its signature uses, and by SHA-256 in the
    place of MD5 and SHA-1. A signature without a hash of its own (Ed25519) leaves it undefined.
    Source: RFC 5929 section 4.1.

    Args:
        certificate: DER.

    Raises:
        ValueError: it is no certificate.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, Hash
    from cryptography.x509 import load_der_x509_certificate

    try:
        algorithm = load_der_x509_certificate(certificate).signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    # MD5 and SHA-1 are named because the RFC replaces them; neither is computed.
    is_replaced = isinstance(algorithm, MD5 | SHA1)
    digest = Hash(SHA256() if is_replaced else algorithm)
    digest.update(certificate)
    return digest.finalize()
