"""What serving mail costs: Mailkeep, Dovecot and a C program that does not think, side by side.

All on this machine, on loopback, with the same mail and certificate; servers on one core, the load
on another. Run it with the project's environment: `.venv/bin/python -m bench.server [--quick]`.
"""

import argparse
import sys

from bench.server.contest import Plan, run
from bench.server.plots import draw_all
from bench.server.results import FOLDER, as_text, to_quote, write
from bench.server.rows import ROWS, Row
from bench.server.running import say, take_place
from tests.harness.programs import open_folder

QUICK_ROUNDS, ROUNDS = 2, 3
QUICK_SECONDS, SECONDS = 1, 2
"""Of a turn: a thousand sessions and more; the kernel's clock leaves 1 % open after a second."""


def planned(options: argparse.Namespace) -> Plan:
    """Return what was asked for."""
    is_whole = not (options.quick or options.rows or options.only_growth)
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if options.quick else (ROUNDS, SECONDS)
    return Plan(
        rows=[] if options.only_growth else _rows(options),
        rounds=rounds,
        seconds=seconds,
        with_growth=options.only_growth or (is_whole and not options.no_growth),
        with_starttls=is_whole,
    )


def _rows(options: argparse.Namespace) -> list[Row]:
    if options.rows:
        names = options.rows.split(",")
        if unknown := set(names) - {row.name for row in ROWS}:
            raise SystemExit(f"there is no row {', '.join(sorted(unknown))}")
        return [row for row in ROWS if row.name in names]
    return [row for row in ROWS if row.is_quick or not options.quick]


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="bench.server", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds, two minutes")
    names = ", ".join(row.name for row in ROWS)
    parser.add_argument("--rows", help=f"names with commas between them: {names}")
    growth = parser.add_mutually_exclusive_group()
    growth.add_argument("--only-growth", action="store_true", help="no rows")
    growth.add_argument("--no-growth", action="store_true", help="all rows and nothing else")
    return parser.parse_args()


def main() -> int:
    """Measure and print; returns 1 if a server failed or a ratio is far off its target."""
    plan = planned(read_options())
    take_place()
    with open_folder() as folder:
        results = run(plan, folder)
    print(as_text(results))
    if plan.with_growth and plan.rows:
        write(results)
        say(f"to quote:\n{to_quote(results)}")
    elif plan.with_growth:
        draw_all(results.plots, FOLDER)
    for line in results.failures:
        say(f"failed: {line}")
    return int(bool(results.failures))


if __name__ == "__main__":
    sys.exit(main())
