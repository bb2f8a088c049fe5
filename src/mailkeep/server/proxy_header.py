"""The PROXY protocol, versions 1 and 2: who the client is that a proxy speaks for. Pure.

A proxy that the operator named begins each connection with one header. This reads exactly its
octets, in whatever pieces they come, and hands back what follows: that is the client's own.
It must not know which proxies are believed, or how long they may take.

Source: haproxy's `proxy-protocol.txt` (W. Tarreau), sections 2.1 and 2.2.

Known limits: additions (TLV) are skipped unread, a checksum (CRC32C) among them. A header that says
`LOCAL` or `UNKNOWN` leaves the proxy itself as the client, as a proxy's own health checks need it.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from mailkeep.site import Endpoint

VERSION_1_LIMIT_OCTETS = 107
"""The longest line that section 2.1 can make, CRLF included; one that is longer is none."""

VERSION_2_LIMIT_OCTETS = 536
"""Behind the 16 fixed octets: section 2.2 has a whole header fit into the smallest segment that
every network carries."""

_VERSION_1_START = b"PROXY "
_VERSION_2_START = b"\r\n\r\n\0\r\nQUIT\n"
_VERSION_2_FIXED_OCTETS = 16
_UNKNOWN = b"PROXY UNKNOWN"
_ADDRESS_LINE = re.compile(rb"PROXY (TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d+) (\d+)")
_PORT_LIMIT = 65535
_LOCAL, _PROXIED = 0x20, 0x21
"""Version 2 in the upper half, the command in the lower."""
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
"""Address family in the upper half, transport in the lower."""


class BadProxyHeader(Exception):
    """The first octets are no PROXY header that is understood; the text is for operators."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A whole header."""

    client: Endpoint | None
    """Who connected to the proxy; None when the proxy speaks for itself."""
    rest: bytes
    """What came behind the header."""


class ProxyHeaderReader:
    """Collects octets until the header is whole; it keeps no more than its limits and a segment."""

    __slots__ = ("_octets",)

    def __init__(self) -> None:
        self._octets = b""

    def feed(self, octets: bytes) -> ProxyHeader | None:
        """Take what arrived and return the header, or None while it is incomplete.

        Raises:
            BadProxyHeader: it is none, too long, or for something else than TCP.
        """
        self._octets += octets
        if _may_start(self._octets, _VERSION_1_START):
            return _read_version_1(self._octets)
        if _may_start(self._octets, _VERSION_2_START):
            return _read_version_2(self._octets)
        raise BadProxyHeader(f"the first octets are no PROXY header: 0x{self._octets[:8].hex()}")


def _may_start(octets: bytes, start: bytes) -> bool:
    """Tell whether octets begin with `start`, as far as they have come."""
    return octets.startswith(start) or start.startswith(octets)


def _read_version_1(octets: bytes) -> ProxyHeader | None:
    line, end, rest = octets[:VERSION_1_LIMIT_OCTETS].partition(b"\r\n")
    if not end:
        if len(octets) >= VERSION_1_LIMIT_OCTETS:
            raise BadProxyHeader(f"no line end in {VERSION_1_LIMIT_OCTETS} octets")
        return None
    rest += octets[VERSION_1_LIMIT_OCTETS:]
    if line == _UNKNOWN or line.startswith(_UNKNOWN + b" "):
        return ProxyHeader(None, rest)  # what the line says besides must be ignored
    return ProxyHeader(_read_address_line(line), rest)


def _read_address_line(line: bytes) -> Endpoint:
    """Return the client that a line of version 1 names; the proxy's own address is checked too."""
    parts = _ADDRESS_LINE.fullmatch(line)
    if parts is None:
        raise BadProxyHeader(f"a PROXY line that is not understood: {line!r}")
    family, source, destination, source_port, destination_port = parts.groups()
    kind = IPv4Address if family == b"TCP4" else IPv6Address
    try:
        kind(destination.decode())
        client = kind(source.decode())
    except AddressValueError as cause:
        raise BadProxyHeader(f"an address that is none: {line!r}") from cause
    _read_port(destination_port, line)
    return _endpoint(client, _read_port(source_port, line))


def _read_port(digits: bytes, line: bytes) -> int:
    """Return a port in its one spelling: decimal, without a leading zero."""
    if len(digits) > len(str(_PORT_LIMIT)) or str(int(digits)).encode() != digits:
        raise BadProxyHeader(f"a port that is none: {line!r}")
    if int(digits) > _PORT_LIMIT:
        raise BadProxyHeader(f"a port over {_PORT_LIMIT}: {line!r}")
    return int(digits)


def _read_version_2(octets: bytes) -> ProxyHeader | None:
    if len(octets) < _VERSION_2_FIXED_OCTETS:
        return None
    command, family = octets[12], octets[13]
    length = int.from_bytes(octets[14:_VERSION_2_FIXED_OCTETS])
    if command not in {_LOCAL, _PROXIED}:
        raise BadProxyHeader(f"a version or command that is not understood: 0x{command:02x}")
    if length > VERSION_2_LIMIT_OCTETS:
        raise BadProxyHeader(f"a header of {length} octets, and {VERSION_2_LIMIT_OCTETS} may be")
    end = _VERSION_2_FIXED_OCTETS + length
    is_own = command == _LOCAL or family == _UNSPECIFIED
    if not is_own:
        _check_family(family, length)
    if len(octets) < end:
        return None
    client = None if is_own else _read_block(family, octets[_VERSION_2_FIXED_OCTETS:end])
    return ProxyHeader(client, octets[end:])


def _check_family(family: int, length: int) -> None:
    if family not in {_TCP4, _TCP6}:
        raise BadProxyHeader(f"an address family or transport other than TCP: 0x{family:02x}")
    if length < (12 if family == _TCP4 else 36):
        raise BadProxyHeader(f"{length} octets are too few for the addresses")


def _read_block(family: int, block: bytes) -> Endpoint:
    """Return the client in a block of source, destination and their two ports."""
    if family == _TCP4:
        return _endpoint(IPv4Address(block[:4]), int.from_bytes(block[8:10]))
    return _endpoint(IPv6Address(block[:16]), int.from_bytes(block[32:34]))


def _endpoint(address: IPv4Address | IPv6Address, port: int) -> Endpoint:
    """Return an endpoint, an IPv4 address that came in IPv6's clothes as itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return Endpoint(str(mapped or address), port)
