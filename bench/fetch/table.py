"""The results: as a table for people, as JSON for programs, and as a judgement."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.fetch.durability import Durability
from bench.fetch.measuring import Cell
from bench.fetch.rows import Row

OURS, GETMAIL = "mailkeep", "getmail"

MEMORY_LIMIT_KIB = 80 * 1024

AHEAD_OF_GETMAIL = 10.0
"""By how much, at `FAR_MS` and more: one answer a message against one window."""
FAR_MS = 25


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured.

    Attributes:
        cells: for each row the programs that ran, in the order of the table.
        durability: what each program brings to disk.
        versions: what was running.
        machine: where.
    """

    cells: Mapping[Row, Mapping[str, Cell]]
    durability: Mapping[str, Durability]
    versions: Mapping[str, str]
    machine: str


def ratio(cell: Cell, ours: Cell | None) -> float | None:
    """Return how many times as long as Mailkeep a program took; None if that cannot be said.

    One that was stopped is compared by what it had stored: its rate so far. If that is nothing, by
    the time that it had: it would have needed more.
    """
    if ours is None or not ours.is_whole:
        return None
    if 0 < cell.stored < cell.expected:
        return cell.per_message_s / ours.per_message_s
    return cell.seconds / ours.seconds if cell.is_whole or cell.stopped else None


def render(results: Results) -> str:
    """Return the table."""
    lines = [results.machine, *(f"{name}: {said}" for name, said in results.versions.items())]
    for row, cells in results.cells.items():
        lines += ["", row.title]
        head = ("", "seconds", "ratio", "messages/s", "CPU s", "peak MB", "stored")
        lines.append(_line(head))
        ours = cells.get(OURS)
        for name, cell in cells.items():
            lines += _cell_lines(name, cell, ratio(cell, ours))
    lines += ["", "brought to disk (fsync), seen by strace"]
    lines += [f"  {name:10}  {said}" for name, said in results.durability.items()]
    lines += ["", "ratio: seconds of the program / seconds of mailkeep."]
    lines.append("*: stopped at the time limit or given up; ratio and rate are those so far.")
    return "\n".join(lines)


def _line(columns: Sequence[str]) -> str:
    first, *others = columns
    return f"  {first:10}" + "".join(f"{column:>12}" for column in others)


def _cell_lines(name: str, cell: Cell, times: float | None) -> list[str]:
    mark = "" if cell.is_whole else "*"
    rate = "-" if math.isinf(cell.per_message_s) else f"{1 / cell.per_message_s:,.0f}{mark}"
    columns = (
        name,
        f"{cell.seconds:.2f}{mark}",
        "-" if times is None else f"{times:.2f}{mark}",
        rate,
        f"{cell.processor_s:.2f}",
        f"{cell.peak_kib / 1024:.1f}",
        f"{cell.stored:,}",
    )
    return [_line(columns), *([f"    {name}: {cell.problem}"] if cell.problem else [])]


def as_json(results: Results) -> dict[str, Any]:
    """Return the same as values for `json.dumps`."""
    rows = [
        {
            **asdict(row),
            "programs": {
                name: {**asdict(cell), "ratio": ratio(cell, cells.get(OURS))}
                for name, cell in cells.items()
            },
        }
        for row, cells in results.cells.items()
    ]
    durability = {name: asdict(said) for name, said in results.durability.items()}
    return {
        "machine": results.machine,
        "versions": dict(results.versions),
        "rows": rows,
        "durability": durability,
    }


def judge_failures(results: Results) -> list[str]:
    """Return where Mailkeep did not do what it must do on any machine."""
    ours = [(row, cells[OURS]) for row, cells in results.cells.items() if OURS in cells]
    lines = [f"{row.title}: mailkeep did not do it" for row, cell in ours if not cell.is_whole]
    for row, cell in ours:
        if cell.peak_kib > MEMORY_LIMIT_KIB:
            lines.append(f"{row.title}: mailkeep took {cell.peak_kib / 1024:.0f} MB")
    return lines


def judge_speed(results: Results) -> list[str]:
    """Return where Mailkeep was not as much faster as it should be; noise is no failure."""
    lines = []
    for row, cells in results.cells.items():
        for name, cell in cells.items():
            times = ratio(cell, cells.get(OURS))
            far = name == GETMAIL and row.round_trip_ms >= FAR_MS
            wanted = AHEAD_OF_GETMAIL if far else 1.0
            if name != OURS and times is not None and times <= wanted:
                lines.append(f"{row.title}: {name} / mailkeep is {times:.2f}, not above {wanted:g}")
    return lines
