"""What the file names of a Maildir say. Pure: nothing here looks at a disk.

A message is its unique base name, the part of the file name before the first colon; what follows
are flags that other programs change. Names are octets: a name need not be UTF-8.

Sources: D. J. Bernstein, maildir(5); the fields `,S=` and `,W=` are those of Maildir++ and Dovecot:
the size of the file and the size of its wire form. The field `,U=1` is ours and marks a message
that came with SMTPUTF8 (RFC 6531). It stands in the name because it can be found out from nothing
else and must not be lost: an index is only a memory, and a second file would be no message.
Programs that rename messages keep the base name, and leave fields that they do not know alone.
"""

import hashlib
import math
import re
from array import array
from collections.abc import Sequence

from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir.changes import joined
from mailkeep.values import UIDL_LIMIT_OCTETS, Index, Uidl, is_uidl

HASHED_MARK = b"~"
"""How a unique-id starts that is a hash; a base name that starts so is hashed itself."""

_TIME = re.compile(rb"[0-9]+")
_SIZE_DIGITS = 18
"""They fit the 64 bits of a listing."""
_WIRE_OCTETS = re.compile(rb",W=([0-9]{1,%d})(?:,|\Z)" % _SIZE_DIGITS)

_LAST_WIRE_OCTETS = re.compile(rb",W=([0-9]{1,%d})/" % _SIZE_DIGITS)
"""At the ends of names that are joined: each has it once at most."""

_ALL_LEGAL = re.compile(rb"[\x21-\x7e]*")

_INTERNATIONALISED = re.compile(rb",U=1(?:,|\Z)")

INTERNATIONALISED_FIELD = b",U=1"
"""What marks a message that came with SMTPUTF8."""


def base_of(filename: bytes) -> bytes:
    """Return the base name, which a message keeps while its flags change."""
    return filename.partition(b":")[0]


def order_of(base: bytes) -> tuple[float, bytes]:
    """Return what messages are sorted by: the time, then the name."""
    return time_of(base), base


def time_of(base: bytes) -> float:
    """Return the time of delivery that a base name starts with, in seconds.

    A name without one counts as later than all: a client that reads from the oldest on should not
    find a stranger before all that it knows.
    """
    found = _TIME.match(base)
    return int(found[0]) if found else math.inf


def announced_octets(base: bytes) -> int | None:
    """Return the size of the wire form that the name claims, or `None`. It may be wrong."""
    last = base.rpartition(b",W=")[2]
    if last.isdigit() and len(last) <= _SIZE_DIGITS and last is not base:
        return int(last)  # it stands last nearly always: four times as fast
    found = _WIRE_OCTETS.search(base)
    return int(found[1]) if found else None


def all_announced_octets(bases: Sequence[bytes]) -> "array[int] | None":
    """Return what all these names claim, for a fifth of what asking for each costs.

    `None` where one of them makes no claim, or not at its end, as nearly all do.
    """
    found = _LAST_WIRE_OCTETS.findall(joined(bases))
    return array("Q", map(int, found)) if len(found) == len(bases) else None


def is_internationalised(base: bytes) -> bool:
    """Tell whether the name marks a message that came with SMTPUTF8."""
    return INTERNATIONALISED_FIELD in base and _INTERNATIONALISED.search(base) is not None


def uidl_of(base: bytes) -> Uidl:
    """Return the unique-id of the message with this base name.

    The same name always gives the same unique-id, without an index, and two names never the same:
    it is the name itself where RFC 1939 section 7 allows, else a mark and the SHA-256 of the name.
    """
    if is_uidl(base) and not base.startswith(HASHED_MARK):
        return Uidl(base)
    from base64 import urlsafe_b64encode  # `deliver`, which imports this, never comes here

    digest = urlsafe_b64encode(hashlib.sha256(base).digest())
    return Uidl(HASHED_MARK + digest.rstrip(b"="))


class UidlsOfNames:
    """The unique-ids of packed base names, each worked out when it is asked for."""

    __slots__ = ("_bases", "_looked_at")

    def __init__(self, bases: PackedStrings) -> None:
        self._bases = bases
        self._looked_at = 0
        """So many from the first on are known to be their own unique-ids."""

    def __len__(self) -> int:
        return len(self._bases)

    def __getitem__(self, index: Index, /) -> bytes:
        base = self._bases[index]
        return base if index < self._looked_at else uidl_of(base)

    def part(self, start: int, stop: int) -> list[bytes]:
        """Return unique-ids: mostly the names, if one look says that all of them may be."""
        names = self._bases.part(start, stop)
        if stop <= self._looked_at:
            return names
        if not _are_uidls(names):
            return [uidl_of(name) for name in names]
        if start <= self._looked_at:
            self._looked_at = max(self._looked_at, start + len(names))
        return names


def _are_uidls(names: list[bytes]) -> bool:
    """Tell whether each of these names is surely its own unique-id."""
    octets = b"".join(names)
    if HASHED_MARK in octets or not _ALL_LEGAL.fullmatch(octets):
        return False
    lengths = set(map(len, names))
    return 0 not in lengths and max(lengths, default=0) <= UIDL_LIMIT_OCTETS
