"""Networks around an address: whom to count together.

One customer has an IPv4 address or an IPv6 /64, and some have far more; so failures are counted
three times, in ever wider prefixes. The sizes are those of mox: /32, /26 and /21, and for IPv6 /64,
/48 and /32.

An IPv4 address inside IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 address.
"""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from mailkeep.values import IpAddress

NARROW_BITS = {4: 32, 6: 64}
MIDDLE_BITS = {4: 26, 6: 48}
WIDE_BITS = {4: 21, 6: 32}

REMEMBERED_ADDRESSES = 4096
"""Whose prefixes need not be worked out again: it takes 27 us, several times a login."""

_MAPPED = IPv6Network("::ffff:0:0/96")


class InvalidPrefix(ValueError):
    """A text that is no network; the reason is for operators."""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The three prefixes that an address is counted in, as text."""

    narrow: str
    middle: str
    wide: str


def unmapped(source: IpAddress) -> IpAddress:
    """Return an address that came over IPv6 but is an IPv4 one as what it is."""
    if isinstance(source, IPv6Address) and source.ipv4_mapped is not None:
        return source.ipv4_mapped
    return source


@functools.lru_cache(REMEMBERED_ADDRESSES)
def prefixes_of(source: IpAddress) -> Prefixes:
    """Return the prefixes that a source is counted in."""
    plain = unmapped(source)
    return Prefixes(
        narrow=prefix_of(plain, NARROW_BITS[plain.version]),
        middle=prefix_of(plain, MIDDLE_BITS[plain.version]),
        wide=prefix_of(plain, WIDE_BITS[plain.version]),
    )


def prefix_of(source: IpAddress, bits: int) -> str:
    """Return the network of so many bits around an address, as text.

    Args:
        source: not a mapped one.
        bits: 0 to 32 or 0 to 128.
    """
    shift = source.max_prefixlen - bits
    base = int(source) >> shift << shift
    address = IPv4Address(base) if source.version == 4 else IPv6Address(base)
    return f"{address}/{bits}"


def parse_prefix(text: str) -> str:
    """Return an address or network that an operator named, in the one form in which it is kept.

    Raises:
        InvalidPrefix: it is neither.
    """
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError as cause:
        raise InvalidPrefix(f'"{text}" is not an address or network') from cause
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return f"{mapped}/{network.prefixlen - _MAPPED.prefixlen}"
    return str(network)


def around(source: IpAddress, sizes: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Yield the networks around an address.

    Args:
        source: the address.
        sizes: pairs of IP version and bits; those of the other version are left out.
    """
    plain = unmapped(source)
    for version, bits in sizes:
        if version == plain.version:
            yield prefix_of(plain, bits)
