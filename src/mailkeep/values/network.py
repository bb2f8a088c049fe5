"""Where somebody comes from, as the network says it."""

from ipaddress import IPv4Address, IPv6Address

IpAddress = IPv4Address | IPv6Address
"""An IPv4 address that came over IPv6 is an `IPv4Address` here: whoever makes one sees to it."""
