"""What a user wants of a mailbox: what to fetch, what to delete, and when."""

import re
from dataclasses import dataclass
from enum import Enum

from mailkeep.fetch.failures import WrongSettings

DAY_S = 86_400
MIB = 1 << 20

MESSAGE_LIMIT_OCTETS = 150 * MIB
"""Larger messages are not fetched unless a limit says so: no provider takes mail of this size, and
an endless one must end (S-42, S-53)."""


class Initial(Enum):
    """What the first run of an account fetches of the mail that was there before."""

    ALL = "all"
    NONE = "none"
    NEWER = "newer"
    """Than `Policy.initial_amount` seconds."""
    LAST = "last"
    """`Policy.initial_amount` messages."""


class Larger(Enum):
    """What becomes of a message above the size limit."""

    SKIP = "skip"
    HEADERS = "headers"


@dataclass(frozen=True, slots=True)
class Policy:
    """One account's policy; the default fetches all and deletes nothing.

    Attributes:
        delete: delete from the server what is proved safe in every destination.
        delete_after_s: the same, so many seconds after it was stored; None for never.
        keep_newest: the same, all but so many of the newest; None for no such rule.
        initial, initial_amount: see `Initial`.
        larger_than: octets; messages above are treated as `larger` says. None for no such rule.
        limit_octets: a message above this is refused whatever `larger_than` says.
    """

    delete: bool = False
    delete_after_s: int | None = None
    keep_newest: int | None = None
    initial: Initial = Initial.ALL
    initial_amount: int = 0
    larger_than: int | None = None
    larger: Larger = Larger.SKIP
    limit_octets: int = MESSAGE_LIMIT_OCTETS

    @property
    def deletes(self) -> bool:
        """Whether anything is ever deleted from the server."""
        return self.delete or self.delete_after_s is not None or self.keep_newest is not None


_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": DAY_S, "w": 7 * DAY_S}
_UNITS_OCTETS = {"": 1, "k": 1 << 10, "m": MIB, "g": 1 << 30}


def parse_duration(text: str) -> int:
    """Return the seconds that `30s`, `5m`, `12h`, `14d` or `2w` stands for.

    Raises:
        WrongSettings: it stands for none.
    """
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    if not found:
        raise WrongSettings(f"{text} is not a time", hint="write 30s, 5m, 12h, 14d or 2w")
    return int(found[1]) * _UNITS_S[found[2]]


def parse_size(text: str) -> int:
    """Return the octets that `500k`, `20M`, `1G` or a plain number stands for (powers of 1024).

    Raises:
        WrongSettings: it stands for none.
    """
    found = re.fullmatch(r"([0-9]{1,12})([kmgKMG]?)", text)
    if not found:
        raise WrongSettings(f"{text} is not a size", hint="write 500k, 20M or 1G")
    return int(found[1]) * _UNITS_OCTETS[found[2].lower()]


def parse_initial(text: str) -> tuple[Initial, int]:
    """Return what `all`, `none`, `30d` or `last:100` asks the first run to fetch.

    Raises:
        WrongSettings: it asks for nothing that there is.
    """
    if text in {"all", "none"}:
        return Initial(text), 0
    if found := re.fullmatch(r"last:([0-9]{1,9})", text):
        return Initial.LAST, int(found[1])
    try:
        return Initial.NEWER, parse_duration(text)
    except WrongSettings:
        raise WrongSettings(
            f"{text} is no first run", hint="write all, none, 30d or last:100"
        ) from None
