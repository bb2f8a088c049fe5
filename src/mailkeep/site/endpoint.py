"""Where a listener stands and who may come: addresses and networks as an operator writes them.

Names are refused: a name can stand for several addresses, or for another one tomorrow.
Known limit: the two types are plain classes, because msgspec fills dataclasses from tables only.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import final

from mailkeep.site.errors import InvalidSetting

_ENDPOINT = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[^:\[\]]*)):(?P<port>[0-9]{1,5})", re.ASCII)
_PORT_LIMIT = 65535
_HOW = 'write "127.0.0.1:995", or "[::1]:995" for IPv6'


@final
class Endpoint:
    """An IP address and a TCP port.

    Attributes:
        host: the address itself, an IPv6 one without brackets.
        port: 0 takes any free port.
    """

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Return the endpoint that `text` names: `address:port` or `[v6]:port`.

        Raises:
            InvalidSetting: it names none.
        """
        parts = _ENDPOINT.fullmatch(text)
        if parts is None:
            raise InvalidSetting(f'"{text}" is not an address and a port', hint=_HOW)
        host, port = parts["v6"] or parts["v4"], int(parts["port"])
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise InvalidSetting(f'"{host}" is not an IP address', hint=_HOW) from None
        if (address.version == 6) != (parts["v6"] is not None):
            raise InvalidSetting("only an IPv6 address stands in brackets", hint=_HOW)
        if port > _PORT_LIMIT:
            raise InvalidSetting(f"port {port} is over {_PORT_LIMIT}", hint=_HOW)
        return cls(str(address), port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Endpoint({self.host!r}, {self.port})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Endpoint):
            return NotImplemented
        return (self.host, self.port) == (other.host, other.port)

    def __hash__(self) -> int:
        return hash((self.host, self.port))


@final
class Networks:
    """Some networks; `address in networks` tells whether one of them holds an address."""

    __slots__ = ("_networks",)

    def __init__(self, texts: Iterable[str]) -> None:
        """Read networks; a single address is a network of one.

        Raises:
            InvalidSetting: one is none, or has bits beside its mask: then it is not known whether
                one computer was meant or all of them.
        """
        self._networks = tuple(_parse_network(text) for text in texts)

    def __contains__(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Tell whether an address is in a network, an IPv4 one that came over IPv6 as itself."""
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    def __repr__(self) -> str:
        return f"Networks({[str(network) for network in self._networks]})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Networks):
            return NotImplemented
        return self._networks == other._networks

    def __hash__(self) -> int:
        return hash(self._networks)


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        refusal = f'"{text}" is not a network'
    try:
        wide = ipaddress.ip_network(text, strict=False)
    except ValueError:
        hint = 'write "192.0.2.7", "10.0.0.0/8" or "2001:db8::/32"'
    else:
        hint = f'"{wide}" is the whole network, "{text.partition("/")[0]}" the one computer'
    raise InvalidSetting(refusal, hint=hint)
