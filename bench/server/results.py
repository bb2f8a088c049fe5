"""What a run leaves behind: `bench/results/latest.json` for programs, `latest.md` for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.server.curves import Curve, Plot, growth_failures, verdicts
from bench.server.dovecot import CONFIGURATION
from bench.server.figures import Measured, Side, failures
from bench.server.ours import LIMITS
from bench.server.plots import draw_all
from bench.server.table import readme_lines, render

FOLDER = Path(__file__).parents[1] / "results"


@dataclass(frozen=True, slots=True)
class Results:
    """All of a run.

    Attributes:
        machine: what the figures depend on.
        rows: the table.
        plots: empty where growth was not measured.
        starttls: lines about STLS.
    """

    machine: Mapping[str, str]
    rows: Sequence[Measured] = ()
    plots: Sequence[Plot] = ()
    starttls: Sequence[str] = ()

    @property
    def failures(self) -> list[str]:
        """Why the run failed; empty if it did not."""
        return [line for one in self.rows for line in failures(one)] + growth_failures(self.plots)


def as_text(results: Results) -> str:
    """Return all that a reader wants, in Markdown."""
    parts = ["\n".join(f"- {key}: {value}" for key, value in results.machine.items())]
    if results.rows:
        parts += [render(results.rows), EXPLANATION]
    if results.starttls:
        parts.append("\n".join(f"- {line}" for line in results.starttls))
    if results.plots:
        parts.append("\n".join(f"- {line}" for line in verdicts(results.plots)))
    return "\n\n".join(parts) + "\n"


EXPLANATION = """\
Figures are the median of the turns, with the least and the most; servers take turns. CPU is that of
the whole process tree, user and system. A ratio is Mailkeep's figure over the other's, then the
target. "load idle" is the least share of its time that the load program waited: the server was the
limit, not the load."""


def write(results: Results, folder: Path = FOLDER) -> None:
    """Write both files and the plots."""
    folder.mkdir(exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(as_json(results), indent=2) + "\n")
    settings = f"Dovecot:\n\n```\n{CONFIGURATION.strip()}\n```\n\nMailkeep:\n\n```{LIMITS}```\n"
    text = f"# Mailkeep and Dovecot\n\n{as_text(results)}\n## Settings\n\n{settings}"
    (folder / "latest.md").write_text(text)
    draw_all(results.plots, folder)


def to_quote(results: Results) -> str:
    """Return the lines that the README has."""
    return readme_lines(results.rows)


def as_json(results: Results) -> dict[str, Any]:
    """Return everything as values for `json.dumps`."""
    return {
        "machine": dict(results.machine),
        "rows": [_row(one) for one in results.rows],
        "growth": [_plot(plot) for plot in results.plots],
        "starttls": list(results.starttls),
        "failures": results.failures,
    }


def _row(one: Measured) -> dict[str, Any]:
    return {
        "name": one.row.name,
        "work": one.row.work,
        "unit": one.row.unit.value,
        "rounds": {side.value: list(figure.rounds) for side, figure in one.figures.items()},
        "median": {side.value: figure.median for side, figure in one.figures.items()},
        "ratio": {side.value: one.ratio(side) for side in (Side.RIVAL, Side.FLOOR)},
        "target": {side.value: one.target(side) for side in (Side.RIVAL, Side.FLOOR)},
        "load_idle": one.load_idle,
        "notes": list(one.notes),
        "problem": one.problem,
    }


def _plot(plot: Plot) -> dict[str, Any]:
    return {"name": plot.name, "over": plot.over, "problem": plot.problem} | {
        "curves": [_curve(curve) for curve in plot.curves]
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {"name": curve.name, "points": list(curve.points), "is_kept": curve.is_kept}
