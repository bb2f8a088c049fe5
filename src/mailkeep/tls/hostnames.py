"""The names a certificate is made for and checked against.

Known limit: names beyond ASCII go through Python's IDNA 2003 tables. The four characters that IDNA
2008 (RFC 5891) maps otherwise are refused; for a name with them, write its `xn--` form.
"""

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""RFC 952, RFC 1123 section 2.1."""
_NAME_LIMIT_CHARACTERS = 253
"""RFC 1035 section 2.3.4: 255 octets on the wire."""
_MAPPED_OTHERWISE = frozenset("\u00df\u03c2\u200c\u200d")
"""Sharp s, final sigma, zero width non-joiner and joiner (RFC 5894 section 7.2)."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class InvalidHostname(ValueError):
    """A text that can be no host's name; the reason is for operators."""


def read_ip_address(name: str) -> IpAddress | None:
    """Return the address that `name` writes, or None if it is no address."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def a_label_form(hostname: str) -> str:
    """Return a host name as certificates and DNS write it: ASCII, lower case, no final dot.

    Source: RFC 5280 section 7.2, RFC 5890 section 2.3.2.1.

    Raises:
        InvalidHostname: it is no host name.
    """
    if not _MAPPED_OTHERWISE.isdisjoint(hostname):
        raise InvalidHostname(f"{hostname!r} can be read in two ways: write its xn-- form")
    try:
        name = hostname.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError as cause:
        raise InvalidHostname(f"{hostname!r} is no host name: {cause}") from cause
    if len(name) > _NAME_LIMIT_CHARACTERS:
        raise InvalidHostname(f"a host name has at most {_NAME_LIMIT_CHARACTERS} characters")
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidHostname(f"{hostname!r} is no host name: letters, digits, hyphens and dots")
    return name


def covers(certificate_name: str, name: str) -> bool:
    """Tell whether a name of a certificate stands for a host.

    Source: RFC 9525 section 6.3: a `*` is the whole first label and stands for exactly one.

    Args:
        certificate_name: a DNS name or an address, as the certificate has it.
        name: in the form of `a_label_form`, or an address.
    """
    address = read_ip_address(name)
    if address is not None:
        return read_ip_address(certificate_name) == address
    wanted = certificate_name.lower()
    if wanted.startswith("*."):
        return name.partition(".")[2] == wanted.removeprefix("*.")
    return name == wanted
