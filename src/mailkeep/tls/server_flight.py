"""Which group a handshake agreed on, read from the server's own first flight.

Before Python 3.15 `ssl` does not tell it, and it is what shows whether a recorded session will be
readable one day. The flight is OpenSSL's and in clear where it matters: a ServerHello of TLS 1.3
has a key share, after a HelloRetryRequest of the same group; in TLS 1.2 a ServerKeyExchange names
the curve. It must not know connections; what it does not understand is None and no error.

Known limit: a resumed session of TLS 1.2 agrees on nothing anew, so there is no group.
"""

GROUPS = {
    0x0017: "secp256r1",
    0x0018: "secp384r1",
    0x0019: "secp521r1",
    0x001D: "x25519",
    0x001E: "x448",
    0x0100: "ffdhe2048",
    0x0101: "ffdhe3072",
    0x11EB: "SecP256r1MLKEM768",
    0x11EC: "X25519MLKEM768",
    0x11ED: "SecP384r1MLKEM1024",
}
"""By their names in the IANA registry "TLS Supported Groups"."""

_HANDSHAKE_RECORD = 22
_RECORD_HEADER_OCTETS = 5
_MESSAGE_HEADER_OCTETS = 4
_SERVER_HELLO, _SERVER_KEY_EXCHANGE = 2, 12
_KEY_SHARE = 51
_NAMED_CURVE = 3
_BEFORE_SESSION_ID_OCTETS = 2 + 32
"""legacy_version and random (RFC 8446 section 4.1.3)."""
_BEHIND_SESSION_ID_OCTETS = 2 + 1
"""cipher_suite and legacy_compression_method."""


def find_group(flight: bytes) -> str | None:
    """Return the name of the group, a number for one without a name here, or None.

    Args:
        flight: all that a server sends after the first ClientHello.
    """
    messages = _clear_messages(flight)
    size, start = len(messages), 0
    while start + _MESSAGE_HEADER_OCTETS <= size:
        body_at = start + _MESSAGE_HEADER_OCTETS
        length = messages[start + 1] << 16 | messages[start + 2] << 8 | messages[start + 3]
        end = body_at + length
        group = _group_in(messages[start], messages[body_at:end])
        if group:
            return GROUPS.get(group) or f"0x{group:04x}"
        start = end
    return None


def _clear_messages(flight: bytes) -> bytes:
    """Return what the handshake records carry, up to the first that is none or is encrypted."""
    messages, size, start = b"", len(flight), 0
    while start + _RECORD_HEADER_OCTETS <= size and flight[start] == _HANDSHAKE_RECORD:
        body_at = start + _RECORD_HEADER_OCTETS
        end = body_at + (flight[start + 3] << 8 | flight[start + 4])
        messages += flight[body_at:end]
        start = end
    return messages


def _group_in(kind: int, body: bytes) -> int:
    """Return the group that a message names, 0 for none."""
    if kind == _SERVER_HELLO:
        return _group_in_hello(body)
    if kind == _SERVER_KEY_EXCHANGE and body[:1] == bytes([_NAMED_CURVE]):
        return int.from_bytes(body[1:3])  # RFC 8422 section 5.4
    return 0


def _group_in_hello(body: bytes) -> int:
    """Return the group of a ServerHello's key share (RFC 8446 section 4.2.8)."""
    size = len(body)
    if size <= _BEFORE_SESSION_ID_OCTETS:
        return 0
    at = _BEFORE_SESSION_ID_OCTETS + 1 + body[_BEFORE_SESSION_ID_OCTETS]
    at += _BEHIND_SESSION_ID_OCTETS + 2  # and the length of all extensions
    while at + 4 <= size:
        content = at + 4
        if (body[at] << 8 | body[at + 1]) == _KEY_SHARE:
            return int.from_bytes(body[content : content + 2])
        at = content + (body[at + 2] << 8 | body[at + 3])
    return 0
