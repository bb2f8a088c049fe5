"""How far an account's run has come, from its events: counts, rate, time left. Pure.

Sizes are what the server announced, so more may arrive than was planned; the whole grows then.
After a lost connection there is another plan for what is left: it is added to what was done.
"""

from collections import deque
from dataclasses import dataclass, field

from mailkeep.cli.fetch.amounts import format_clock, format_octets, format_part
from mailkeep.fetch.events import (
    Connected,
    Event,
    LoggedIn,
    MessageAdopted,
    MessageFailed,
    MessageStored,
    Planned,
    Progress,
)

_WINDOW_S = 15.0
"""The rate is that of so many seconds: a stall shows, a hiccup does not."""
_SAMPLE_S = 0.2
_SHORTEST_S = 0.5
"""No rate is told of less: the first segments of a connection say nothing about it."""


@dataclass(slots=True)
class Amount:
    """Messages and their octets."""

    messages: int = 0
    octets: int = 0


@dataclass(slots=True)
class SoFar:
    """One account's run.

    Attributes:
        stage: what happens now, before there is a plan.
        is_planned: whether the totals are known.
        total: what there will be at the end.
    """

    stage: str = "connecting"
    is_planned: bool = False
    total: Amount = field(default_factory=Amount)
    _earlier: Amount = field(default_factory=Amount)
    _arrived: Amount = field(default_factory=Amount)
    _settled: Amount = field(default_factory=Amount)
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def messages(self) -> int:
        """Messages that have arrived or failed."""
        return max(self._earlier.messages + self._arrived.messages, self._settled.messages)

    @property
    def octets(self) -> int:
        """Octets that have arrived."""
        return max(self._earlier.octets + self._arrived.octets, self._settled.octets)

    @property
    def fraction(self) -> float:
        """How much is done, from 0 to 1; of the octets, if any were announced."""
        done, total = self.octets, self.total.octets
        if not total:
            done, total = self.messages, self.total.messages
        return min(1.0, done / total) if total else 0.0

    def note(self, event: Event, now: float) -> None:
        """Take note of an event.

        Args:
            event: of this account.
            now: seconds of a clock that never goes back.
        """
        match event:
            case Connected():
                self.stage = "logging in"
            case LoggedIn():
                self.stage = "listing"
            case Planned(fetch=messages, fetch_octets=octets):
                self.total = Amount(self.messages + messages, self.octets + octets)
                self.is_planned = True
            case Progress(messages=messages, octets=octets):
                self._arrive(Amount(messages, octets))
            case MessageStored(octets=octets) | MessageAdopted(octets=octets) if self.is_planned:
                self._settle(octets)
            case MessageFailed():
                self._settle(0)
            case _:
                return
        self.total.messages = max(self.total.messages, self.messages)
        self.total.octets = max(self.total.octets, self.octets)
        self._sample(now)

    def rate(self, now: float) -> float | None:
        """Return octets a second of the last seconds, or None if it cannot be told yet."""
        while len(self._samples) > 1 and self._samples[1][0] <= now - _WINDOW_S:
            self._samples.popleft()
        if not self._samples or not self.is_planned:
            return None
        since, octets = self._samples[0]
        return None if now - since < _SHORTEST_S else (self.octets - octets) / (now - since)

    def left_s(self, now: float) -> float | None:
        """Return the seconds until all has arrived at this rate, or None if nobody knows."""
        rate = self.rate(now)
        return (self.total.octets - self.octets) / rate if rate else None

    def words(self, now: float) -> tuple[str, str, str, str]:
        """Return messages, octets, rate and time left for people; empty if not known."""
        if not self.is_planned:
            return "", "", "", ""
        rate, left_s = self.rate(now), self.left_s(now)
        return (
            f"{self.messages}/{self.total.messages}",
            format_part(self.octets, self.total.octets),
            "" if rate is None else f"{format_octets(int(rate))}/s",
            "" if left_s is None else format_clock(left_s),
        )

    def _arrive(self, arrived: Amount) -> None:
        """Take totals; those of a new connection may begin again at nothing."""
        before = self._arrived
        if arrived.octets < before.octets or arrived.messages < before.messages:
            self._earlier.messages += before.messages
            self._earlier.octets += before.octets
        self._arrived = arrived

    def _settle(self, octets: int) -> None:
        self._settled.messages += 1
        self._settled.octets += octets

    def _sample(self, now: float) -> None:
        if not self.is_planned:
            return
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, self.octets))
