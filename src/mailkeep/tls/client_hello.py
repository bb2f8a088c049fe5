"""The first message of a TLS client, read before OpenSSL sees it.

Standard `ssl` takes a client that offers only `http/1.1` and says nothing, so the list of
application protocols is read here (RFC 7301; the attack is ALPACA). Responsible for two things: to
tell TLS from anything else at the first octet, and to find the protocols and the server name, with
every length checked. It must not know what is decided from them. It has no I/O.

Known limit: after a HelloRetryRequest the second ClientHello is not read here. It may not offer
other protocols (RFC 8446 section 4.1.2), so only a client that attacks itself could gain from it.
"""

import re
import struct
from dataclasses import dataclass

from mailkeep.tls.errors import BadHello, NotTls

HELLO_LIMIT_OCTETS = 20 * 1024
"""What a client may send until its ClientHello is whole, record headers included.

Real ones have 200 octets to 2 KiB (a post-quantum key share makes the difference) and some more
with a ticket; 16 KiB is the most that one record carries (RFC 8446 section 5.1), and the rest
leaves room for one that is cut into several records.
"""

_RECORD_START = b"\x16\x03"
"""Handshake, and the major version that every TLS has (RFC 8446 section 5.1)."""
_RECORD_HEADER_OCTETS = 5
_RECORD_LIMIT_OCTETS = 1 << 14
_MESSAGE_HEADER_OCTETS = 4
_CLIENT_HELLO = 1
_BEFORE_SESSION_ID_OCTETS = 2 + 32
"""legacy_version and random."""
_EXTENSION_HEADER = struct.Struct(">HH")
"""Its type and its length."""
_SERVER_NAME = 0
_HOST_NAME = 0
_ALPN = 16
_PLAIN_NAME = re.compile(rb"[A-Za-z0-9._-]{1,255}")


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What the server's decisions need of a ClientHello."""

    protocols: tuple[bytes, ...] | None
    """The application protocols offered; None if the client says nothing about them."""
    server_name: str | None
    """The name the client called, in lower case; None without one or if it is no host name."""


class HelloReader:
    """Collects octets until the ClientHello is whole, over any segments and records.

    Every octet is looked at once, however small the pieces are in which they come.
    """

    __slots__ = ("_message", "_raw", "_record_at")

    def __init__(self) -> None:
        self._raw = bytearray()
        self._message = bytearray()
        self._record_at = 0

    def feed(self, octets: bytes) -> ClientHello | None:
        """Take what the peer sent and return its ClientHello, or None while it is incomplete.

        Raises:
            NotTls: the first octets are no TLS.
            BadHello: it is malformed or longer than `HELLO_LIMIT_OCTETS`.
        """
        self._raw += octets
        while (fragment := self._next_fragment()) is not None:
            self._message += fragment
            if self._record_at > HELLO_LIMIT_OCTETS:
                break
            if (body := self._whole_body()) is not None:
                return parse_client_hello(body)
        if len(self._raw) > HELLO_LIMIT_OCTETS:
            raise BadHello(f"no whole ClientHello in {HELLO_LIMIT_OCTETS} octets")
        return None

    @property
    def raw(self) -> bytes:
        """Everything that was fed, unchanged: it belongs to the handshake."""
        return bytes(self._raw)

    def _next_fragment(self) -> bytes | None:
        """Return what the next record carries, or None while it is incomplete."""
        header = bytes(self._raw[self._record_at : self._record_at + _RECORD_HEADER_OCTETS])
        if not _RECORD_START.startswith(header[: len(_RECORD_START)]):
            if self._record_at == 0:
                raise NotTls(f"the first octets are no TLS record: 0x{header[:2].hex()}")
            raise BadHello("another record comes before the ClientHello is whole")
        if len(header) < _RECORD_HEADER_OCTETS:
            return None
        length = int.from_bytes(header[3:])
        if not 1 <= length <= _RECORD_LIMIT_OCTETS:
            raise BadHello(f"a handshake record of {length} octets")
        start = self._record_at + _RECORD_HEADER_OCTETS
        if len(self._raw) < start + length:
            return None
        self._record_at = start + length
        return bytes(self._raw[start : self._record_at])

    def _whole_body(self) -> bytes | None:
        """Return the ClientHello without its header, or None while it is incomplete."""
        if self._message[:1] != bytes([_CLIENT_HELLO]):
            raise BadHello(f"the first handshake message is of type {self._message[0]}")
        if len(self._message) < _MESSAGE_HEADER_OCTETS:
            return None
        length = int.from_bytes(self._message[1:_MESSAGE_HEADER_OCTETS])
        if length > HELLO_LIMIT_OCTETS:
            raise BadHello(f"a ClientHello of {length} octets")
        end = _MESSAGE_HEADER_OCTETS + length
        return (
            bytes(self._message[_MESSAGE_HEADER_OCTETS:end]) if len(self._message) >= end else None
        )


def parse_client_hello(body: bytes) -> ClientHello:
    """Return what the body of a ClientHello message says.

    Source: RFC 8446 section 4.1.2, and RFC 5246 section 7.4.1.2 for one without extensions.

    Raises:
        BadHello: a length does not fit, something is left over, or an extension comes twice.
    """
    _, end = _stretch(body, _BEFORE_SESSION_ID_OCTETS, 1, most=32)  # legacy_session_id
    start, end = _stretch(body, end, 2, least=2)  # cipher_suites
    if (end - start) % 2:
        raise BadHello("half a cipher suite")
    _, end = _stretch(body, end, 1, least=1)  # legacy_compression_methods
    extensions: dict[int, bytes] = {}
    if end < len(body):
        start, end = _stretch(body, end, 2)
        extensions = _read_extensions(body[start:end])
    _check_end(body, end)
    return ClientHello(
        protocols=_read_protocols(extensions.get(_ALPN)),
        server_name=_read_server_name(extensions.get(_SERVER_NAME)),
    )


def _read_extensions(octets: bytes) -> dict[int, bytes]:
    """Return each extension under its type (RFC 8446 section 4.2: none may come twice)."""
    found: dict[int, bytes] = {}
    start, size = 0, len(octets)
    while start < size:
        content = start + _EXTENSION_HEADER.size
        if content > size:
            raise BadHello("an extension points past the end of the ClientHello")
        kind, length = _EXTENSION_HEADER.unpack_from(octets, start)
        start = content + length
        if start > size:
            raise BadHello("an extension points past the end of the ClientHello")
        if kind in found:
            raise BadHello(f"extension {kind} comes twice")
        found[kind] = octets[content:start]
    return found


def _read_protocols(octets: bytes | None) -> tuple[bytes, ...] | None:
    """Return the names in an ALPN extension (RFC 7301 section 3.1)."""
    if octets is None:
        return None
    at, end = _stretch(octets, 0, 2, least=2)
    _check_end(octets, end)
    protocols: list[bytes] = []
    while at < end:
        start, at = _stretch(octets, at, 1, least=1)
        protocols.append(octets[start:at])
    return tuple(protocols)


def _read_server_name(octets: bytes | None) -> str | None:
    """Return the host name in a server_name extension (RFC 6066 section 3).

    OpenSSL wants exactly one name, of type host_name, and so does this: two readers that disagree
    about a message are a hole.
    """
    if octets is None:
        return None
    kind_at, end = _stretch(octets, 0, 2, least=1)
    _check_end(octets, end)
    if octets[kind_at] != _HOST_NAME:
        raise BadHello("a server name that is no host name")
    start, end = _stretch(octets, kind_at + 1, 2, least=1)
    _check_end(octets, end)
    name = octets[start:end]
    return name.decode().lower() if _PLAIN_NAME.fullmatch(name) else None


def _stretch(
    octets: bytes, at: int, length_octets: int, *, least: int = 0, most: int | None = None
) -> tuple[int, int]:
    """Return where the stretch begins and ends whose length is told at `at`.

    Each handshake asks a dozen times, so there is no reader that keeps its place.
    """
    start = at + length_octets
    length = int.from_bytes(octets[at:start])
    end = start + length
    if end > len(octets):
        raise BadHello("a length in the ClientHello points past its end")
    if length < least or (most is not None and length > most):
        raise BadHello("a length in the ClientHello is out of its bounds")
    return start, end


def _check_end(octets: bytes, end: int) -> None:
    if end < len(octets):
        raise BadHello(f"{len(octets) - end} octets too many in the ClientHello")
