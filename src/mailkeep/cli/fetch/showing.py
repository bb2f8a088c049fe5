"""What a person or a script sees of `mailkeep fetch`, and who of the three shows it.

A bar on a terminal, plain lines elsewhere, JSON for scripts. `rich` is imported only when there is
a bar: a timer that finds nothing new must be quick.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mailkeep.cli.fetch.json_lines import JsonReporter
from mailkeep.cli.fetch.lost_streams import drop_if_lost
from mailkeep.cli.fetch.plain_lines import PlainReporter
from mailkeep.cli.fetch.preview import show_preview
from mailkeep.cli.talk import printable

if TYPE_CHECKING:
    from mailkeep.fetch.events import Reporter

__all__ = [
    "JsonReporter",
    "PlainReporter",
    "choose_reporter",
    "describe_destinations",
    "show_preview",
]


@contextlib.contextmanager
def choose_reporter(*, json: bool, quiet: bool) -> Iterator["Reporter"]:
    """Return who shows the events of a run; leave it when the run is over.

    Passwords are asked for before: while it is open, a bar may be drawn on the terminal.

    Args:
        json: a JSON object a line on standard output, whatever `quiet` says.
        quiet: warnings and errors only.
    """
    try:
        if json:
            yield JsonReporter()
        elif quiet or not _can_have_bar():
            yield PlainReporter(quiet=quiet)
        else:
            from mailkeep.cli.fetch.progress_bar import BarReporter

            with BarReporter() as reporter:
                yield reporter
    finally:
        drop_if_lost(sys.stdout)
        drop_if_lost(sys.stderr)


def describe_destinations(destinations: Iterable[str]) -> str | None:
    """Return what to say once of destinations where a crash may double a message, or None."""
    names = [printable(one) for one in destinations if one.startswith(("pipe:", "lmtp:"))]
    if not names:
        return None
    where = " and ".join(dict.fromkeys(names))
    return f"{where}: at least once; a crash while handing on may deliver a message twice"


def _can_have_bar() -> bool:
    """Tell whether standard error is a terminal whose cursor can be moved."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}
