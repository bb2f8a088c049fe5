"""What a cost does while a number of things rises by powers of ten, and whether it may. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

STEADY = 1.25
"""Times the median of the smaller numbers' costs: what two runs of the same work differ by on a
machine that others use, and far less than anything that is looked through one by one."""

PROPORTIONAL = 1.25
"""The same for a cost that may rise as the number does."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One cost at several numbers.

    Attributes:
        name: what costs.
        points: numbers, rising, with milliseconds of CPU; two at least.
        may_grow: whether it may rise in proportion, as a listing does that is sent whole.
    """

    name: str
    points: tuple[tuple[int, float], ...]
    may_grow: bool = False

    @property
    def growth(self) -> float:
        """Return the cost at the last number, over what is usual before.

        What cost as much at a smaller number has not grown, whatever is usual.
        """
        *before, last = (cost for _, cost in self.points)
        return last / median(before) if last > max(before) else 1.0

    @property
    def step(self) -> float:
        """Return by how much more than the number the cost rose in the last step."""
        (number, cost), (last_number, last_cost) = self.points[-2:]
        return (last_cost / cost) / (last_number / number)

    @property
    def is_kept(self) -> bool:
        """Whether it does what it may."""
        return self.step <= PROPORTIONAL if self.may_grow else self.growth <= STEADY


@dataclass(frozen=True, slots=True)
class Plot:
    """The curves over one number.

    Attributes:
        name: of the file.
        over: what there are more and more of.
        curves: one colour each.
        problem: why there is nothing to see; empty if all went well.
    """

    name: str
    over: str
    curves: tuple[Curve, ...] = ()
    problem: str = ""


def verdicts(plots: Sequence[Plot]) -> list[str]:
    """Return a line about each curve."""
    lines = []
    for plot in plots:
        if plot.problem:
            lines.append(f"{plot.over}: FAILED: {plot.problem}")
        lines += [f"{plot.over}: {_verdict(curve)}" for curve in plot.curves]
    return lines


def growth_failures(plots: Sequence[Plot]) -> list[str]:
    """Return what grows and may not, and what could not be measured."""
    problems = [f"{plot.name}: {plot.problem}" for plot in plots if plot.problem]
    grown = [
        f"{plot.name}: {_verdict(curve)}"
        for plot in plots
        for curve in plot.curves
        if not curve.is_kept
    ]
    return problems + grown


def _verdict(curve: Curve) -> str:
    costs = ", ".join(f"{number:,}: {cost:.3g} ms" for number, cost in curve.points)
    if curve.may_grow:
        kept = (
            "grows no faster than the number" if curve.is_kept else "GROWS FASTER THAN THE NUMBER"
        )
    else:
        kept = "does not grow" if curve.is_kept else "GROWS"
    return f"{curve.name} {kept} ({costs})"
