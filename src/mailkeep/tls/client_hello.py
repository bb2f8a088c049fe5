"""The first message of a TLS client, read before OpenSSL sees it.

Standard `ssl` takes a client that offers only `http/1.1` and says nothing, so the list of
application protocols is read here (RFC 7301; the attack is ALPACA). Responsible for two things: to
tell TLS from anything else at the first octet, and to find the protocols and the server name, with
every length checked. It must not know what is decided from them. It has no I/O.

Each handshake reads one, so the list of extensions, the dearest part of it, is read in one call a
header, and other numbers are put together in place.

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
_SESSION_ID_LIMIT_OCTETS = 32
_EXTENSION_HEADER = struct.Struct(">HH")
"""Its type and its length."""
_BEFORE_NAME_OCTETS = 5
"""In server_name: the length of the list, the name's type and its length."""
_SERVER_NAME = 0
_HOST_NAME = 0
_ALPN = 16
_PAST_THE_END = "a length in the ClientHello points past its end"
_OUT_OF_BOUNDS = "a length in the ClientHello is out of its bounds"
_PLAIN_NAME = re.compile(rb"[A-Za-z0-9._-]{1,255}")


@dataclass(slots=True)
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

    def _next_fragment(self) -> bytearray | None:
        """Return what the next record carries, or None while it is incomplete."""
        raw, record_at = self._raw, self._record_at
        start = record_at + _RECORD_HEADER_OCTETS
        if raw[record_at : record_at + 2] != _RECORD_START:
            self._judge_start(bytes(raw[record_at : record_at + 2]))
        if len(raw) < start:
            return None
        length = raw[record_at + 3] << 8 | raw[record_at + 4]
        if not 1 <= length <= _RECORD_LIMIT_OCTETS:
            raise BadHello(f"a handshake record of {length} octets")
        end = start + length
        if len(raw) < end:
            return None
        self._record_at = end
        return raw[start:end]

    def _judge_start(self, octets: bytes) -> None:
        """Return if the next record has only just begun; else it is none of a ClientHello's."""
        if _RECORD_START.startswith(octets):
            return
        if self._record_at == 0:
            raise NotTls(f"the first octets are no TLS record: 0x{octets.hex()}")
        raise BadHello("another record comes before the ClientHello is whole")

    def _whole_body(self) -> bytes | None:
        """Return the ClientHello without its header, or None while it is incomplete."""
        message = self._message
        if message[0] != _CLIENT_HELLO:
            raise BadHello(f"the first handshake message is of type {message[0]}")
        if len(message) < _MESSAGE_HEADER_OCTETS:
            return None
        length = message[1] << 16 | message[2] << 8 | message[3]
        if length > HELLO_LIMIT_OCTETS:
            raise BadHello(f"a ClientHello of {length} octets")
        end = _MESSAGE_HEADER_OCTETS + length
        return bytes(message[_MESSAGE_HEADER_OCTETS:end]) if len(message) >= end else None


def parse_client_hello(body: bytes) -> ClientHello:
    """Return what the body of a ClientHello message says.

    Source: RFC 8446 section 4.1.2, and RFC 5246 section 7.4.1.2 for one without extensions.

    Raises:
        BadHello: a length does not fit, something is left over, or an extension comes twice.
    """
    try:
        begins = _find_extensions(body, _extensions_at(body))
    except (IndexError, struct.error) as cause:
        raise BadHello(_PAST_THE_END) from cause
    return ClientHello(
        _read_protocols(_content(body, begins.get(_ALPN))),
        _read_server_name(_content(body, begins.get(_SERVER_NAME))),
    )


def _extensions_at(body: bytes) -> int:
    """Return where the list of extensions begins, which is the end for a hello without one.

    Raises:
        BadHello: a length before it does not fit.
        IndexError: one points past the end.
    """
    session_id_octets = body[_BEFORE_SESSION_ID_OCTETS]
    suites_at = _BEFORE_SESSION_ID_OCTETS + 1 + session_id_octets
    suites_octets = body[suites_at] << 8 | body[suites_at + 1]
    methods_at = suites_at + 2 + suites_octets
    methods_octets = body[methods_at]  # legacy_compression_methods
    if session_id_octets > _SESSION_ID_LIMIT_OCTETS or suites_octets < 2 or methods_octets < 1:
        raise BadHello(_OUT_OF_BOUNDS)
    if suites_octets % 2:
        raise BadHello("half a cipher suite")
    return methods_at + 1 + methods_octets


def _find_extensions(body: bytes, start: int) -> dict[int, int]:
    """Return where each type of extension begins (RFC 8446 section 4.2: none may come twice).

    Args:
        body: of the ClientHello.
        start: where their list begins.

    Raises:
        BadHello: a length does not fit, or one comes twice.
        IndexError, struct.error: one ends too early.
    """
    begins: dict[int, int] = {}
    size = len(body)
    if start == size:
        return begins
    at = start + 2
    if (body[start] << 8 | body[start + 1]) != size - at:
        raise BadHello(f"{size - at} octets of extensions, which say another number")
    read_header, header_octets = _EXTENSION_HEADER.unpack_from, _EXTENSION_HEADER.size
    while at < size:
        kind, length = read_header(body, at)
        if kind in begins:
            raise BadHello(f"extension {kind} comes twice")
        begins[kind] = at
        at += header_octets + length
    if at > size:
        raise BadHello(_PAST_THE_END)
    return begins


def _content(body: bytes, at: int | None) -> bytes | None:
    """Return what the extension that begins there holds; None for none."""
    if at is None:
        return None
    _, length = _EXTENSION_HEADER.unpack_from(body, at)
    start = at + _EXTENSION_HEADER.size
    return body[start : start + length]


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
    size = len(octets)
    if size <= _BEFORE_NAME_OCTETS:
        raise BadHello(_OUT_OF_BOUNDS)
    list_octets, name_octets = octets[0] << 8 | octets[1], octets[3] << 8 | octets[4]
    if (list_octets, name_octets) != (size - 2, size - _BEFORE_NAME_OCTETS):
        raise BadHello("not one server name, or a length that does not fit")
    if octets[2] != _HOST_NAME:
        raise BadHello("a server name that is no host name")
    name = octets[_BEFORE_NAME_OCTETS:]
    return name.decode().lower() if _PLAIN_NAME.fullmatch(name) else None


def _stretch(octets: bytes, at: int, length_octets: int, *, least: int) -> tuple[int, int]:
    """Return where the stretch begins and ends whose length is told at `at`."""
    start = at + length_octets
    length = int.from_bytes(octets[at:start])
    end = start + length
    if end > len(octets):
        raise BadHello(_PAST_THE_END)
    if length < least:
        raise BadHello(_OUT_OF_BOUNDS)
    return start, end


def _check_end(octets: bytes, end: int) -> None:
    if end < len(octets):
        raise BadHello(f"{len(octets) - end} octets too many in the ClientHello")
