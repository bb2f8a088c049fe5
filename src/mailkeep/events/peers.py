"""Reading a `peer` field: an address and a port, as the server writes it."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address


@dataclass(frozen=True, slots=True)
class Peer:
    """Who was on the other side."""

    address: IPv4Address | IPv6Address
    port: int | None


def read_peer(text: str) -> Peer | None:
    """Return the peer of a field: `192.0.2.7:40000`, `[2001:db8::7]:40000`; None if it is neither.

    An interface (`%eth0`) is left out, and an IPv4 address that came over IPv6 is an IPv4 address.
    """
    host, _, port = text.rpartition(":")
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return Peer(mapped or address, int(port) if port.isdecimal() and port.isascii() else None)


def address_of(text: str) -> str:
    """Return the address of a field, or the field where it has none."""
    peer = read_peer(text)
    return str(peer.address) if peer else text
