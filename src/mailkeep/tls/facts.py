"""What a handshake agreed, for the record and for a login by certificate."""

import hashlib
from dataclasses import dataclass


@dataclass(slots=True)
class TlsFacts:
    """One connection's TLS as it was agreed."""

    version: str
    """`TLSv1.3`."""
    suite: str
    """By OpenSSL's name."""
    group: str | None
    """Of the key agreement, `x25519`; None when a session of TLS 1.2 was resumed."""
    server_name: str | None
    """The host name that the client called (RFC 6066 section 3), unchecked but for its letters."""
    client_certificate: bytes | None
    """DER; verified against the authorities of the settings, or None: the client showed none."""

    @property
    def client_certificate_sha256(self) -> str | None:
        """The certificate's SHA-256 in hexadecimal digits, as people write it down."""
        if self.client_certificate is None:
            return None
        return hashlib.sha256(self.client_certificate).hexdigest()
