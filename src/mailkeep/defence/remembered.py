"""What the door remembers across restarts, as plain rows. Times are seconds since 1970 (UTC)."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailkeep.defence.seam import Place
from mailkeep.values import AccountId

FAMILIAR_FOR_S = 30 * 86_400.0
"""A program that looks for mail once a month is still known."""

PLACES_FOR_S = 365 * 86_400.0
"""How long a login's place counts as somewhere an account has been at all."""

BAN_REMEMBERED_S = 7 * 86_400.0
"""How long after its end a ban still doubles the next (fail2ban's `recidive` looks back a week)."""


@dataclass(slots=True)
class FamiliarRow:
    """An account was logged in to from a prefix."""

    name: str
    prefix: str
    last_success_s: float
    place: Place | None


@dataclass(frozen=True, slots=True)
class BanRow:
    """A ban, in force or over."""

    prefix: str
    until_s: float | None
    """None: until an operator lifts it."""
    reason: str
    times: int
    """How often it was banned in a row, by the door itself."""
    made_by: str

    def is_in_force(self, now_s: float) -> bool:
        """Tell whether it bans now."""
        return self.until_s is None or now_s < self.until_s


@dataclass(frozen=True, slots=True)
class GuessesRow:
    """Failures on an account from unfamiliar sources."""

    account: AccountId
    failures: int
    since_s: float
    """When the owner last changed or confirmed the main password, or the first failure."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Everything there was at the start; the youngest familiar row last."""

    familiar: Sequence[FamiliarRow] = ()
    bans: Sequence[BanRow] = ()
    guesses: Sequence[GuessesRow] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What is new since the last time, to be written."""

    familiar: tuple[FamiliarRow, ...] = ()
    bans: tuple[BanRow, ...] = ()
    guesses: tuple[GuessesRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.familiar or self.bans or self.guesses)
