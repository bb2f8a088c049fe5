"""Failures of one source, and when they were. Pure: `now` is an argument.

Times are monotonic seconds. A record keeps no more of them than its limits ask for.
"""

from array import array
from bisect import bisect_right

from mailkeep.defence.curve import REPEATED_S, delay_s, jittered_s, step

MINUTE_S = 60.0
BAN_WINDOW_S = 600.0
FORGOTTEN_AFTER_S = 1800.0
DAY_S = 86_400.0

MINUTE_LIMIT = 10
DAY_LIMIT = 50
"""Wrong guesses of one narrow prefix that are answered, as in mox. A day has 1440 minutes: without
the second limit ten a minute would be fourteen thousand."""

BAN_FAILURES = 10
BAN_NAMES = 10
"""In `BAN_WINDOW_S`: mailcow bans after ten, and a person has not ten wrong passwords or names."""


class Times:
    """When something happened, the last so many times."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times = array("d")

    def __len__(self) -> int:
        return len(self._times)

    @property
    def last_s(self) -> float:
        """When it happened last; long ago if never."""
        return self._times[-1] if self._times else float("-inf")

    def note(self, now_s: float, *, keep: int) -> None:
        """Remember that it happened now, and no more than `keep` times in all."""
        self._times.append(now_s)
        if len(self._times) > keep:
            del self._times[:-keep]

    def within(self, now_s: float, seconds: float) -> int:
        """Return how often it happened in the last `seconds`."""
        return len(self._times) - bisect_right(self._times, now_s - seconds)


class Failures:
    """The failures of a narrow prefix, or of one on one name."""

    __slots__ = ("_names", "_not_before_s", "_run", "_times")

    def __init__(self) -> None:
        self._times = Times()
        self._run = 0
        self._not_before_s = float("-inf")
        self._names: tuple[tuple[str, float], ...] = ()

    def count(self, now_s: float) -> int:
        """Return how many are remembered: none, half an hour after the last."""
        return self._run if now_s - self._times.last_s < FORGOTTEN_AFTER_S else 0

    @property
    def not_before_s(self) -> float:
        """When the next guess may be looked at."""
        return self._not_before_s

    def steps(self, now_s: float) -> int:
        """Return how far along the curve they are; one at least if a guess was wrong at all.

        Those that were made before are not counted, and yet a source that makes nothing else
        should not go before those that have made none.
        """
        has_failed = now_s - self._not_before_s < FORGOTTEN_AFTER_S
        return max(step(self.count(now_s)), int(has_failed))

    def note(self, now_s: float, chance: float) -> None:
        """Count a wrong guess.

        Args:
            now_s: the time.
            chance: 0 to 1, for the wait before the next.
        """
        self._run = self.count(now_s) + 1
        self._times.note(now_s, keep=DAY_LIMIT)
        self._wait_until(now_s + jittered_s(delay_s(self._run), chance))

    def note_repeated(self, now_s: float) -> None:
        """Take note of a wrong guess that was made before: it is not counted."""
        self._wait_until(now_s + REPEATED_S)

    def note_name(self, name: str, now_s: float) -> None:
        """Take note of a name that was guessed at, wrongly."""
        others = tuple(it for it in self._names if it[0] != name)
        self._names = (*others, (name, now_s))[-BAN_NAMES:]

    def in_minute(self, now_s: float) -> int:
        """Return how many there were in the last minute."""
        return self._times.within(now_s, MINUTE_S)

    def in_day(self, now_s: float) -> int:
        """Return how many there were in the last day."""
        return self._times.within(now_s, DAY_S)

    def asks_for_a_ban(self, now_s: float) -> bool:
        """Tell whether there are too many failures or too many names in ten minutes."""
        fresh_names = sum(1 for _, seen_s in self._names if now_s - seen_s < BAN_WINDOW_S)
        return self._times.within(now_s, BAN_WINDOW_S) >= BAN_FAILURES or fresh_names >= BAN_NAMES

    def _wait_until(self, when_s: float) -> None:
        self._not_before_s = max(self._not_before_s, when_s)
