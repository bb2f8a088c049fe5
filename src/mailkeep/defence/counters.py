"""What has failed: by source in three sizes, by source and name, by name, and on the whole site.

Pure: `now` is an argument (monotonic seconds), chance too. The tables are bounded, each by itself,
so that a flood of names cannot push out sources: 200,000 keys in all. Measured: a flood that fails
once with each key costs 80 MB; tables full of attackers who have all used up their day would cost
310 MB, which the wider prefixes' limits make take weeks. A quiet site needs some kilobytes.

A familiar source's failures count for this pair of source and name only, a stranger's for the
source, its neighbours, the name and the site, so that an attack on an account is not its owner's
fault. (A stranger's pair needs no counter: his source has failed at least as often.) Names that
nobody has are counted like others.

Known limit: what is pushed out is forgotten; with 80,000 narrow prefixes failing within half an
hour the wider ones have long been slowed down.
"""

import hashlib
from dataclasses import dataclass

from mailkeep.defence.bounded import Bounded
from mailkeep.defence.curve import (
    ACCOUNT_FACTOR,
    CURVE_S,
    MIDDLE_FACTOR,
    SITE_FACTOR,
    SITE_LIMIT_S,
    WIDE_FACTOR,
    step,
)
from mailkeep.defence.failures import FORGOTTEN_AFTER_S, MINUTE_LIMIT, MINUTE_S, Failures, Times
from mailkeep.defence.prefixes import Prefixes
from mailkeep.defence.wrong_passwords import HotPasswords, RepeatedPasswords

NARROW_KEYS = 80_000
WIDER_KEYS = 20_000
NAME_KEYS = 40_000
PAIR_KEYS = 20_000
PASSWORD_KEYS = 20_000
LOGIN_KEYS = 20_000
"""200,000 in all; the last are the times of logins for LOGIN-DELAY, kept in `door`."""

NAME_LIMIT_CHARACTERS = 80
"""A longer name is known by its hash: nobody fills the tables with long ones."""

_STEPS = 4
"""Failures beyond the curve's last step change nothing and are not kept."""


@dataclass(slots=True)
class Who:
    """A guess as it is counted."""

    name: str
    """From `name_key`."""
    prefixes: Prefixes
    is_familiar: bool
    is_allowed: bool
    """An operator's networks: never slowed down or banned."""


@dataclass(frozen=True, slots=True)
class Record:
    """What counts against a guess from where it comes from."""

    failures: int
    not_before_s: float
    in_minute: int
    in_day: int


@dataclass(frozen=True, slots=True)
class Noted:
    """What a wrong guess came to."""

    is_counted: bool
    """False: the same password was wrong for the same name before."""
    asks_for_a_ban: bool
    hot: frozenset[str]
    """Prefixes that have tried a password which is tried on many names."""


CLEAN = Record(failures=0, not_before_s=float("-inf"), in_minute=0, in_day=0)


class _Name:
    """What failed on one name."""

    __slots__ = ("repeated", "strangers")

    def __init__(self) -> None:
        self.strangers = Times()
        self.repeated = RepeatedPasswords()


class Counters:
    """All counters of a site."""

    def __init__(self) -> None:
        self._narrow: Bounded[str, Failures] = Bounded(NARROW_KEYS)
        self._wider: Bounded[str, Times] = Bounded(WIDER_KEYS)
        self._pairs: Bounded[tuple[str, str], Failures] = Bounded(PAIR_KEYS)
        self._names: Bounded[str, _Name] = Bounded(NAME_KEYS)
        self._site = Times()
        self.hot = HotPasswords(PASSWORD_KEYS)

    def __len__(self) -> int:
        tables = (self._narrow, self._wider, self._pairs, self._names, self.hot)
        return sum(len(table) for table in tables)

    def record(self, who: Who, now_s: float) -> Record:
        """Return what counts against a guess: a familiar one's own failures, else its prefix's."""
        if who.is_familiar:
            return _record(self._pairs.get((who.prefixes.narrow, who.name)), now_s)
        return _record(self._narrow.get(who.prefixes.narrow), now_s)

    def has_own_failures(self, who: Who) -> bool:
        """Tell whether anything is kept of a familiar guess; if not, its record is `CLEAN`."""
        return self._pairs.get((who.prefixes.narrow, who.name)) is not None

    def arrival_delay_s(self, who: Who, now_s: float) -> float:
        """Return what a guess waits for failures of others: neighbours, the account's, the site's.

        It is counted from the guess's arrival, so that it never adds up.
        """
        if who.is_familiar or who.is_allowed:
            return 0.0
        name = self._names.get(who.name)
        middle, wide = self._wider.get(who.prefixes.middle), self._wider.get(who.prefixes.wide)
        return max(
            _delay_s(middle, now_s, MIDDLE_FACTOR),
            _delay_s(wide, now_s, WIDE_FACTOR),
            _delay_s(name.strangers if name else None, now_s, ACCOUNT_FACTOR),
            min(SITE_LIMIT_S, _delay_s(self._site, now_s, SITE_FACTOR)),
        )

    def suspicion(self, prefixes: Prefixes, now_s: float) -> int:
        """Return what counts against a stranger's prefix: its steps on the curve, and its ranges'.

        An honest neighbour of attackers has but the range's, and goes before them.
        """
        narrow = self._narrow.get(prefixes.narrow)
        middle, wide = self._wider.get(prefixes.middle), self._wider.get(prefixes.wide)
        own = 0 if narrow is None else narrow.steps(now_s)
        return own + max(_step(middle, now_s, MIDDLE_FACTOR), _step(wide, now_s, WIDE_FACTOR))

    def has_wider_room(
        self, prefixes: Prefixes, *, middle_held: int, wide_held: int, now_s: float
    ) -> bool:
        """Tell whether the wider prefixes may have one more guess looked at in this minute.

        Args:
            prefixes: of the guess.
            middle_held: how many of strangers are being looked at there; each may fail.
            wide_held: the same.
            now_s: the time.
        """
        return (
            self._in_minute(prefixes.middle, now_s) + middle_held < MINUTE_LIMIT * MIDDLE_FACTOR
            and self._in_minute(prefixes.wide, now_s) + wide_held < MINUTE_LIMIT * WIDE_FACTOR
        )

    def have_wider_failed(self, prefixes: Prefixes, now_s: float) -> bool:
        """Tell whether there were failures in the wider prefixes in the last minute."""
        return any(self._in_minute(it, now_s) for it in (prefixes.middle, prefixes.wide))

    def note_wrong(self, who: Who, seal: bytes | None, now_s: float, chance: float) -> Noted:
        """Count a wrong guess.

        Args:
            who: whose.
            seal: the password's; None where none was sent.
            now_s: the time.
            chance: 0 to 1, for the wait before the next.
        """
        can_be_banned = not (who.is_familiar or who.is_allowed)
        narrow = who.prefixes.narrow if can_be_banned else None
        name = self._names.touched(who.name, _Name)
        is_repeated = seal is not None and name.repeated.note(seal, now_s)
        hot: frozenset[str] = frozenset()
        if seal is not None:
            hot = self.hot.note(seal, who.name, narrow, now_s)
        if who.is_allowed:
            return Noted(is_counted=not is_repeated, asks_for_a_ban=False, hot=hot)
        asks = False
        if who.is_familiar:
            pair = self._pairs.touched((who.prefixes.narrow, who.name), Failures)
            _note(pair, now_s, chance, is_repeated=is_repeated)
        else:
            asks = self._note_stranger(who, name, now_s, chance, is_repeated=is_repeated)
        return Noted(is_counted=not is_repeated, asks_for_a_ban=asks, hot=hot)

    def note_right(self, who: Who) -> None:
        """Forget the failures of this source on this name; those of its prefix stay."""
        self._pairs.remove((who.prefixes.narrow, who.name))

    def _note_stranger(
        self, who: Who, name: _Name, now_s: float, chance: float, *, is_repeated: bool
    ) -> bool:
        """Count a stranger's failure wherever it counts; tell whether it asks for a ban."""
        narrow = self._narrow.touched(who.prefixes.narrow, Failures)
        _note(narrow, now_s, chance, is_repeated=is_repeated)
        narrow.note_name(who.name, now_s)
        if not is_repeated:
            self._note_widely(who, name, now_s)
        return narrow.asks_for_a_ban(now_s)

    def _note_widely(self, who: Who, name: _Name, now_s: float) -> None:
        name.strangers.note(now_s, keep=ACCOUNT_FACTOR * _STEPS)
        middle = self._wider.touched(who.prefixes.middle, Times)
        middle.note(now_s, keep=MIDDLE_FACTOR * MINUTE_LIMIT)
        wide = self._wider.touched(who.prefixes.wide, Times)
        wide.note(now_s, keep=WIDE_FACTOR * MINUTE_LIMIT)
        self._site.note(now_s, keep=SITE_FACTOR * _STEPS)

    def _in_minute(self, prefix: str, now_s: float) -> int:
        times = self._wider.get(prefix)
        return 0 if times is None else times.within(now_s, MINUTE_S)


def name_key(name: str) -> str:
    """Return what a name is counted under."""
    if len(name) <= NAME_LIMIT_CHARACTERS:
        return name
    return "#" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _note(failures: Failures, now_s: float, chance: float, *, is_repeated: bool) -> None:
    if is_repeated:
        failures.note_repeated(now_s)
    else:
        failures.note(now_s, chance)


def _record(failures: Failures | None, now_s: float) -> Record:
    if failures is None:
        return CLEAN
    return Record(
        failures=failures.count(now_s),
        not_before_s=failures.not_before_s,
        in_minute=failures.in_minute(now_s),
        in_day=failures.in_day(now_s),
    )


def _delay_s(times: Times | None, now_s: float, factor: int) -> float:
    return CURVE_S[_step(times, now_s, factor)]


def _step(times: Times | None, now_s: float, factor: int) -> int:
    return 0 if times is None else step(times.within(now_s, FORGOTTEN_AFTER_S), factor=factor)
