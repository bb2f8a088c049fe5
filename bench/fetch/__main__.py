"""How fast programs fetch mail: `mailkeep fetch`, mpop, fetchmail and getmail, side by side.

One real Dovecot on this machine, real TLS with verified certificates, and for the rows with a round
trip a proxy that adds it. Where there is none, programs talk to Dovecot directly: with mpop the way
through the proxy takes as long, within the noise, but whoever is fastest would pay most for it. All
programs of a row take the same way; their order is another one in every row.

Run it with the project's environment: `.venv/bin/python -m bench.fetch [--short]`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median_low

from bench.fetch.durability import Durability, observe
from bench.fetch.measuring import Cell, Mailbox, measure, measure_in, working
from bench.fetch.ours import Mailkeep
from bench.fetch.programs import Program
from bench.fetch.rivals import RIVALS
from bench.fetch.rows import LONG, LONG_LIMIT_S, MAIL_OCTETS, SHORT, SHORT_LIMIT_S, Row
from bench.fetch.server import Server, running_server
from bench.fetch.table import Results, as_json, judge_failures, judge_speed, render
from tests.harness.programs import open_folder

PROGRAMS: tuple[Program, ...] = (Mailkeep(), *RIVALS)

REPEATS = 3
QUICK = 1 / 12
"""Of the time limit: what is done in less is done three times, and the median counts."""

TINY = Row("tiny", 3, MAIL_OCTETS, 0)
"""For strace, which slows everything down."""


Measure = Callable[[], Cell]


def say(text: str) -> None:
    """Tell whoever waits; the table is the output."""
    print(text, file=sys.stderr, flush=True)


class Bench:
    """Measures rows on one server."""

    def __init__(self, server: Server, programs: Sequence[Program], limit_s: float) -> None:
        self._server = server
        self._programs = list(programs)
        self._limit_s = limit_s
        self._parent = server.folder / "clients"
        self._parent.mkdir()

    def measure_row(self, row: Row, turn: int) -> dict[str, Cell]:
        """Let all programs do one row, in an order of its own, and again where that was quick."""
        say(f"{row.title} ...")
        mailbox = self._server.mailbox(row)
        turn %= len(self._programs)
        order = self._programs[turn:] + self._programs[:turn]
        runs: dict[str, list[Cell]] = {program.name: [] for program in order}
        with ExitStack() as places:
            once = self._once_again if row.again else self._once
            measures = {program.name: once(program, mailbox, places) for program in order}
            for program in order * REPEATS:
                if all(self._is_quick(cell) for cell in runs[program.name]):
                    cell = measures[program.name]()
                    runs[program.name].append(cell)
                    say(f"  {program.name}: {cell.seconds:.2f} s {cell.problem}")
        return {program.name: middle(runs[program.name]) for program in self._programs}

    def _once(self, program: Program, mailbox: Mailbox, _: ExitStack) -> Measure:
        """Return what measures a first run."""
        return lambda: measure(program, mailbox, self._parent, self._limit_s)

    def _once_again(self, program: Program, mailbox: Mailbox, places: ExitStack) -> Measure:
        """Return what measures a second run; that it is the third or fourth makes no difference."""
        place = places.enter_context(working(program, mailbox, self._parent))
        return lambda: measure_in(place, mailbox.expected, self._limit_s)

    def observe(self) -> dict[str, Durability]:
        """See what each program brings to disk."""
        mailbox = self._server.mailbox(TINY)
        return {program.name: observe(program, mailbox, self._parent) for program in self._programs}

    def _is_quick(self, cell: Cell) -> bool:
        return cell.seconds < self._limit_s * QUICK


def middle(cells: Sequence[Cell]) -> Cell:
    """Return the median by time, of those that did it all if there are any."""
    whole = [cell for cell in cells if cell.is_whole] or list(cells)
    wanted = median_low([cell.seconds for cell in whole])
    return next(cell for cell in whole if cell.seconds == wanted)


def run(rows: Sequence[Row], programs: Sequence[Program], limit_s: float) -> Results:
    """Measure all rows."""
    cells: dict[Row, dict[str, Cell]] = {}
    with open_folder() as folder, running_server(folder) as server:
        bench = Bench(server, programs, limit_s)
        durability = bench.observe()
        for turn, row in enumerate(rows):
            cells[row] = bench.measure_row(row, turn)
            if all(later.mailbox != row.mailbox for later in rows[turn + 1 :]):
                server.forget(row.mailbox)
    versions = {program.name: version(program) for program in programs}
    return Results(cells, durability, versions, machine())


def version(program: Program) -> str:
    """Return the first line of what a program says of itself."""
    path = program.find()
    assert path is not None
    done = subprocess.run((path, "--version"), capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0].removeprefix("This is ")


def machine() -> str:
    """Return what the figures depend on."""
    load = os.getloadavg()[1]
    return f"{platform.platform()}, {os.cpu_count()} processors, load {load:.1f} (5 minutes)"


def chosen(rows: Sequence[Row], options: argparse.Namespace) -> tuple[list[Row], list[Program]]:
    """Return the rows and programs that were asked for and can be had."""
    names = options.programs.split(",") if options.programs else [p.name for p in PROGRAMS]
    if unknown := set(names) - {program.name for program in PROGRAMS}:
        raise SystemExit(f"there is no program {', '.join(sorted(unknown))}")
    programs = [program for program in PROGRAMS if program.name in names]
    for program in programs:
        if program.find() is None:
            say(f"{program.name} is not installed and is left out")
    picked = [row for row in rows if options.only in {None, row.name}]
    return picked, [program for program in programs if program.find() is not None]


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.fetch", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--short", action="store_true", help="a tenth of the mail, three minutes")
    parser.add_argument("--only", choices=[row.name for row in LONG], help="one row")
    parser.add_argument("--programs", help="names with commas between them")
    parser.add_argument("--json", action="store_true", help="JSON instead of the table")
    parser.add_argument("--limit", type=float, metavar="S", help="stop a program after so long")
    return parser.parse_args()


def main() -> int:
    """Measure and print; returns 1 if Mailkeep lost a message or took too much memory."""
    options = read_options()
    rows, programs = chosen(SHORT if options.short else LONG, options)
    limit_s = options.limit or (SHORT_LIMIT_S if options.short else LONG_LIMIT_S)
    results = run(rows, programs, limit_s)
    print(json.dumps(as_json(results), indent=2) if options.json else render(results))
    failures = judge_failures(results)
    for line in (*judge_speed(results), *failures):
        say(f"missed: {line}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
