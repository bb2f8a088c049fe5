"""Who attacks whom, from where, with what: pure, and the same each time."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from itertools import count
from random import Random

ACCOUNTS = [f"owner{number:02}" for number in range(50)]
UNKNOWN = [f"nobody{number:02}" for number in range(15)]
HOT = ["Winter2026!", "password123456789", "mailmailmailmail", "letmeinletmeinletmein"]
"""Passwords that are tried on every account."""

HOT_SHARE = 0.1

WIDE_PREFIXES = 8
NARROW_PREFIXES = 200
"""Attacking addresses, spread evenly over so many /21."""

LISTENED_ON = "127.0.0.1"


def attackers() -> list[str]:
    """Return 200 addresses in eight /21 of 127.0.0.0/8, in each of them in more than one /26."""
    in_each = NARROW_PREFIXES // WIDE_PREFIXES
    return [
        f"127.20.{8 * wide + place % 5}.{10 + 11 * (place // 5)}"
        for wide in range(WIDE_PREFIXES)
        for place in range(in_each)
    ]


def attackers_neighbour(wide: int) -> str:
    """Return an address in an attacked /21 that attacks nobody."""
    return f"127.20.{8 * wide + 6}.200"


def owners_address(place: int) -> str:
    """Return where an owner reads mail: each in a /21 of his own, from where nobody attacks."""
    return f"127.{100 + place // 32}.{8 * (place % 32)}.9"


def strangers_address(place: int) -> str:
    """Return an address that nobody knows, in a /21 from where nobody attacks."""
    return f"127.{150 + place}.0.77"


def six_in_one_64() -> Iterator[str]:
    """Yield addresses without end, all in one /64."""
    return (str(IPv6Address("2001:db8:1:1::") + n) for n in count(1))


def six_in_one_48() -> Iterator[str]:
    """Yield addresses without end from 200 /64 of one /48."""
    return (str(IPv6Address("2001:db8:2::") + ((n % 200) << 64) + n) for n in count(1))


def six_in_one_32() -> Iterator[str]:
    """Yield addresses without end from 200 /48 of one /32."""
    return (str(IPv6Address("2001:db9::") + ((n % 200) << 80) + n) for n in count(1))


@dataclass(frozen=True, slots=True)
class Guess:
    """A name and a password."""

    name: str
    password: str


def guesses(seed: str) -> Iterator[Guess]:
    """Yield guesses without end, none of them right.

    Args:
        seed: makes passwords that no other seed makes.
    """
    random = Random(seed)  # noqa: S311  # to be repeated
    names = ACCOUNTS + UNKNOWN
    for number in count(1):
        is_hot = random.random() < HOT_SHARE
        password = random.choice(HOT) if is_hot else f"guess {seed} {number}"
        yield Guess(random.choice(names), password)
