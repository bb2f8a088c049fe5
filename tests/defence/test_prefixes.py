"""Whom to count together, in three sizes; an IPv4 address inside IPv6 is the IPv4 address."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.defence.prefixes import (
    InvalidPrefix,
    Prefixes,
    around,
    parse_prefix,
    prefix_of,
    prefixes_of,
)
from mailkeep.values import IpAddress


@pytest.mark.parametrize(
    ("source", "prefixes"),
    [
        ("192.0.2.77", ("192.0.2.77/32", "192.0.2.64/26", "192.0.0.0/21")),
        ("1.0.0.0", ("1.0.0.0/32", "1.0.0.0/26", "1.0.0.0/21")),
        ("255.255.255.255", ("255.255.255.255/32", "255.255.255.192/26", "255.255.248.0/21")),
        ("::ffff:192.0.2.77", ("192.0.2.77/32", "192.0.2.64/26", "192.0.0.0/21")),
        ("2001:db8:1:2:3::4", ("2001:db8:1:2::/64", "2001:db8:1::/48", "2001:db8::/32")),
        ("::1", ("::/64", "::/48", "::/32")),
    ],
)
def test_the_three_prefixes_of_an_address(source: str, prefixes: tuple[str, str, str]) -> None:
    """IPv4 /32, /26, /21; IPv6 /64, /48, /32."""
    assert prefixes_of(ip_address(source)) == Prefixes(*prefixes)


addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@given(addresses, st.integers(0, 32))
def test_a_prefix_is_the_network_of_its_size(source: IpAddress, bits: int) -> None:
    """The standard library says the same."""
    assert prefix_of(source, bits) == str(ip_network((source, bits), strict=False))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_counted_as_what_it_is(source: IPv4Address) -> None:
    """A dual-stack listener must not give an attacker a second life."""
    assert prefixes_of(IPv6Address(f"::ffff:{source}")) == prefixes_of(source)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        (" 192.0.2.7/24 ", "192.0.2.0/24"),
        ("2001:DB8::1/64", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
    ],
)
def test_an_operators_network_is_kept_in_one_form(text: str, prefix: str) -> None:
    """What is banned in one spelling can be found in another."""
    assert parse_prefix(text) == prefix


@pytest.mark.parametrize("text", ["", "example.com", "192.0.2.7/33", "1.2.3", "::/129"])
def test_what_is_no_network_is_refused(text: str) -> None:
    """The error names it."""
    with pytest.raises(InvalidPrefix, match="is not an address or network"):
        parse_prefix(text)


def test_networks_around_an_address_are_those_of_its_version() -> None:
    """A /64 is no IPv4 network."""
    sizes = [(4, 24), (6, 64), (4, 0)]
    assert list(around(ip_address("192.0.2.7"), sizes)) == ["192.0.2.0/24", "0.0.0.0/0"]
    assert list(around(ip_address("2001:db8::7"), sizes)) == ["2001:db8::/64"]
