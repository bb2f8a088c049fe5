"""What was measured of each server, and how it compares. Pure.

A figure is what one unit of a row's work cost, round by round; servers take turns within a round,
so that whatever else the machine does meets all of them.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from bench.server.rows import Row

LENIENT = 2.0
"""Times its target a ratio may be before it fails a run: another machine has other ratios."""

SLACK = 1.5
"""Times what was reached a ratio may be where that is more: a machine is never the same twice."""


class Side(enum.Enum):
    """Who is measured."""

    OURS = "Mailkeep"
    RIVAL = "Dovecot"
    FLOOR = "C responder"


class Verdict(enum.Enum):
    """How a ratio stands to its target; far off is more than twice of it."""

    MET = "ok"
    MISSED = "missed"
    FAR_OFF = "far off"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one unit cost, once a round; at least one round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one: what counts."""
        return median(self.rounds)

    @property
    def least(self) -> float:
        """The least of all rounds."""
        return min(self.rounds)

    @property
    def most(self) -> float:
        """The most of all rounds."""
        return max(self.rounds)


@dataclass(frozen=True, slots=True)
class Measured:
    """A row with what was measured.

    Attributes:
        row: what was done.
        figures: by server.
        problem: why the row counts for nothing; empty if all went well.
        notes: what a reader must know to believe it.
        load_idle: the least share of its time that the load program had nothing to do; near 0 it
            was the limit, not the server.
    """

    row: Row
    figures: Mapping[Side, Figure] = field(default_factory=dict)
    problem: str = ""
    notes: tuple[str, ...] = ()
    load_idle: float | None = None

    def ratio(self, other: Side) -> float | None:
        """Return Mailkeep's cost over that of another; None where one of the two is missing."""
        ours, theirs = self.figures.get(Side.OURS), self.figures.get(other)
        if self.problem or ours is None or theirs is None or not theirs.median:
            return None
        return ours.median / theirs.median

    def steady_ratio(self, other: Side) -> float | None:
        """Return the ratio of the medians or of the least figures, whichever is less.

        Whatever else the machine does adds to some turns; a server that has become dearer is so in
        all of them.
        """
        ratio = self.ratio(other)
        if ratio is None or not self.figures[other].least:
            return ratio
        return min(ratio, self.figures[Side.OURS].least / self.figures[other].least)

    def target(self, other: Side) -> float | None:
        """Return what the ratio may be at most; None where nothing was promised."""
        return {Side.RIVAL: self.row.to_rival, Side.FLOOR: self.row.to_floor}.get(other)

    def limit(self, other: Side) -> float | None:
        """Return beyond which ratio the run fails; None where nothing was promised."""
        reached = {Side.RIVAL: self.row.reached_to_rival, Side.FLOOR: self.row.reached_to_floor}
        target = self.target(other)
        return None if target is None else max(LENIENT * target, SLACK * reached[other])

    def verdict(self, other: Side) -> Verdict | None:
        """Return how the ratio stands; None where there is no ratio or no target."""
        ratio, target = self.ratio(other), self.target(other)
        return None if ratio is None or target is None else judge(ratio, target)


def judge(ratio: float, target: float) -> Verdict:
    """Return how a ratio stands to its target."""
    if ratio <= target:
        return Verdict.MET
    return Verdict.MISSED if ratio <= LENIENT * target else Verdict.FAR_OFF


def failures(measured: Measured) -> list[str]:
    """Return why a row fails the run: a server that failed, or a ratio beyond its limit.

    A comparison that should be there and is not fails as well: nothing is skipped silently.
    """
    if measured.problem:
        return [f"{measured.row.name}: {measured.problem}"]
    found = []
    for other in (Side.RIVAL, Side.FLOOR):
        limit, ratio = measured.limit(other), measured.steady_ratio(other)
        if limit is None:
            continue
        if ratio is None:
            found.append(f"{measured.row.name}: no figure for {other.value}")
        elif ratio > limit:
            target = measured.target(other)
            found.append(
                f"{measured.row.name}: {ratio:.2f} of {other.value}, limit {limit:.2f},"
                f" target {target}"
            )
    return found
