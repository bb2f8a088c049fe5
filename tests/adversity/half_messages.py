"""A TLS 1.3 client that says what no library would: half a handshake message after the handshake.

It lets Python's own client shake hands, takes the keys that it writes down for debuggers, and seals
the records itself.
"""

import ssl
import struct
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

HANDSHAKE, APPLICATION_DATA = 22, 23
KEY_UPDATE_WITHOUT_ITS_BODY = bytes((24, 0, 0, 1))
"""RFC 8446 section 4.6.3: type 24, length 1, and then one octet that never comes."""

_SECRET = "CLIENT_TRAFFIC_SECRET_0"
_TAG_OCTETS = 16


class Sealer:
    """Seals what a client sends once its handshake is over, instead of its library."""

    def __init__(self, suite: str, secret: bytes) -> None:
        algorithm = hashes.SHA384() if suite.endswith("SHA384") else hashes.SHA256()
        key = _expand(secret, b"key", 16 if "AES_128" in suite else 32, algorithm)
        self._cipher = ChaCha20Poly1305(key) if "CHACHA20" in suite else AESGCM(key)
        self._vector = int.from_bytes(_expand(secret, b"iv", 12, algorithm))
        self._records = 0

    def seal(self, content: bytes, kind: int = APPLICATION_DATA) -> bytes:
        """Return one record (RFC 8446 sections 5.2 and 5.3)."""
        inner = content + bytes([kind])
        header = b"\x17\x03\x03" + struct.pack(">H", len(inner) + _TAG_OCTETS)
        nonce = (self._vector ^ self._records).to_bytes(12)
        self._records += 1
        return header + self._cipher.encrypt(nonce, inner, header)


def sealer_of(client: ssl.SSLObject, key_log: Path) -> Sealer:
    """Return what takes the place of `client`, which has sent nothing since its handshake."""
    cipher = client.cipher()
    assert cipher is not None
    [line] = [line for line in key_log.read_text().splitlines() if line.startswith(_SECRET)]
    return Sealer(cipher[0], bytes.fromhex(line.split()[2]))


def _expand(secret: bytes, label: bytes, octets: int, algorithm: hashes.HashAlgorithm) -> bytes:
    """HKDF-Expand-Label of RFC 8446 section 7.1."""
    full = b"tls13 " + label
    info = struct.pack(">HB", octets, len(full)) + full + b"\0"
    return HKDFExpand(algorithm, octets, info).derive(secret)
