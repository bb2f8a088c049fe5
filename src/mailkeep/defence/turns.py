"""Whether a guess that waits may be looked at now, later or never. Pure; `now` is an argument.

After a failure one guess at a time is looked at, and the next only when the wait for the last
failure is over; guesses that are sent side by side gain nothing. (Dovecot has no such limit.)
"""

from dataclasses import dataclass

from mailkeep.defence.counters import Record
from mailkeep.defence.failures import DAY_LIMIT, MINUTE_LIMIT
from mailkeep.defence.seam import Turning

PLACES = 2
"""Guesses of one narrow prefix that are looked at at a time."""

QUEUE_LIMIT = 20
"""Guesses of one narrow prefix that wait while it has failures; the next is turned away."""

PATIENCE_S = 20.0
"""Mail programs give up after 30 to 60 s, and the password hash and the maildrop come after."""

PATIENCE_SPREAD = 0.25
"""Of it that chance takes off: an attack comes all at once, and must not be answered so."""

LOOK_AGAIN_S = 0.5
"""Guesses that wait for room in a wider prefix look as often."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A guess that waits."""

    arrived_s: float
    ready_s: float
    """When its wait for failures of others is over."""
    ahead: int
    """How many of its prefix and kind came before it."""
    patience_s: float = PATIENCE_S

    @property
    def last_s(self) -> float:
        """When it has waited long enough."""
        return self.arrived_s + self.patience_s


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a guess meets."""

    record: Record
    is_banned: bool
    is_familiar: bool
    held: int
    """Guesses of its narrow prefix that are being looked at."""
    held_alike: int
    """Those of them that count where it would: strangers, or the same familiar name."""
    has_wider_room: bool
    wider_failed: bool
    has_site_room: bool
    """One of the few places for strangers is free, or it needs none."""
    suspicion: int
    """What counts against its prefix and the wider ones (`Counters.suspicion`), if it must wait."""


@dataclass(frozen=True, slots=True)
class Go:
    """It may be looked at."""


@dataclass(frozen=True, slots=True)
class Later:
    """It waits."""

    until_s: float
    """When to judge it again, if nothing happens before."""
    is_for_failures: bool
    blocks_others: bool = False
    """Nobody behind it fares better."""
    suspicion: int | None = None
    """It waits for nothing but one of the few places for strangers, which go to the least."""


@dataclass(frozen=True, slots=True)
class Never:
    """It is turned away."""

    reason: Turning | None
    """None: nobody failed, there are just too many at a time."""


Turn = Go | Later | Never


def decide_turn(guess: Waiting, meets: Circumstances, now_s: float) -> Turn:
    """Return what becomes of a guess now."""
    never = _refusal(guess, meets, now_s)
    if never is not None:
        return never
    has_failures = meets.record.failures > 0
    last_s, when_s = guess.last_s, _earliest_s(guess, meets)
    if when_s > now_s:
        return Later(when_s, is_for_failures=True)
    if not _has_place(meets):
        return Later(last_s, is_for_failures=has_failures, blocks_others=not has_failures)
    if not meets.is_familiar and not meets.has_wider_room:
        return Later(min(now_s + LOOK_AGAIN_S, last_s), is_for_failures=True)
    if not meets.has_site_room:
        return _wait_for_the_site(meets, last_s)
    return Go()


def _wait_for_the_site(meets: Circumstances, last_s: float) -> Later:
    """Let it wait behind those who have failed less; that is for failures if there are any."""
    suspicion = meets.suspicion
    blocks = meets.record.failures == 0
    return Later(last_s, is_for_failures=suspicion > 0, blocks_others=blocks, suspicion=suspicion)


def _refusal(guess: Waiting, meets: Circumstances, now_s: float) -> Never | None:
    """Return why a guess will not be looked at at all."""
    if meets.is_banned and not meets.is_familiar:
        return Never(Turning.BANNED)
    record = meets.record
    if _is_used_up(record) or (record.failures and guess.ahead >= QUEUE_LIMIT):
        return Never(Turning.THROTTLED)
    last_s, when_s = guess.last_s, _earliest_s(guess, meets)
    if when_s <= last_s and now_s < last_s:
        return None
    is_slowed = record.failures or when_s > guess.arrived_s or meets.wider_failed
    return Never(Turning.THROTTLED if is_slowed else None)


def _earliest_s(guess: Waiting, meets: Circumstances) -> float:
    return max(guess.ready_s, meets.record.not_before_s)


def _is_used_up(record: Record) -> bool:
    return record.in_minute >= MINUTE_LIMIT or record.in_day >= DAY_LIMIT


def _has_place(meets: Circumstances) -> bool:
    one_at_a_time = meets.record.failures > 0 or meets.record.in_day >= DAY_LIMIT - 1
    return meets.held < PLACES and not (one_at_a_time and meets.held_alike)
