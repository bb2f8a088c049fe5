"""Where `mailkeep` starts and where every failure ends: in a line or two and an exit code.

`deliver` runs once a mail, `fetch` once in a few minutes, and `serve` keeps what it imports for
weeks, so they are found here, before typer is even imported. MTAs read the exit code of `deliver`:
nothing that happens to it ends in a code that makes an MTA give the mail up.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mailkeep.cli.failure import ExitCode
from mailkeep.cli.talk import error

TRACE_VARIABLE = "MAILKEEP_TRACE"
"""Set to anything, it lets the trace of an internal error through."""

EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits(3): the MTA keeps the mail and tries again."""
EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT, as shells say it."""


def main() -> None:
    """Run the command that the process was started with, and exit with its code."""
    os.umask(0o077)  # whatever a command makes is for the site's user alone
    _occupy_closed_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; never raises.

    Args:
        arguments: what stands behind `mailkeep`.
    """
    site, rest = _skip_site(arguments)
    match rest[:1]:
        case ["deliver"]:
            return _guarded(lambda: _run_delivery(site, rest[1:]), failed=EXIT_TRY_AGAIN)
        case ["fetch"]:
            return _guarded(lambda: _run_fetch(rest[1:]), failed=ExitCode.WRONG)
        case ["serve"] if len(rest) == 1:  # what stands behind it, be it --help, is for typer
            return _guarded(lambda: _run_server(site), failed=ExitCode.WRONG)
        case _:
            return _guarded(lambda: _run_command(arguments), failed=ExitCode.WRONG)


def _occupy_closed_streams() -> None:
    """Let no file of ours become descriptor 0, 1 or 2, where a stray message would go into it.

    What is written to a closed stream is dropped. A closed standard input stays `None`: it is not
    an empty message.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
            if name != "stdin":
                setattr(sys, name, os.fdopen(descriptor, "w", closefd=False))


def _run_command(arguments: Sequence[str]) -> int:
    from mailkeep.cli.commands import run_command

    return run_command(arguments)


def _run_delivery(site: Path | None, rest: Sequence[str]) -> int:
    from mailkeep.cli.deliver import run_delivery

    return run_delivery(site, rest)


def _run_fetch(rest: Sequence[str]) -> int:
    from mailkeep.cli.ending import run_told
    from mailkeep.cli.fetch.commands import run_fetch

    return run_told(lambda: run_fetch(rest))


def _run_server(site: Path | None) -> int:
    from mailkeep.cli.ending import run_told
    from mailkeep.cli.serving import serve_site

    return run_told(lambda: serve_site(site))


def _skip_site(arguments: Sequence[str]) -> tuple[Path | None, Sequence[str]]:
    """Return the site that is named first, and what stands behind it."""
    site: Path | None = None
    rest = list(arguments)
    while rest and rest[0].partition("=")[0] == "--site":
        _, equals, value = rest.pop(0).partition("=")
        if not equals and not rest:
            return None, arguments
        site = Path(value if equals else rest.pop(0))
    return site, rest


def _guarded(command: Callable[[], int], *, failed: int) -> int:
    try:
        return command()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED if failed == ExitCode.WRONG else failed
    except Exception as failure:  # noqa: BLE001  # the top: no trace reaches a user or an MTA
        return _apologise(failure, failed)


def _apologise(failure: Exception, code: int) -> int:
    if os.environ.get(TRACE_VARIABLE):
        import traceback

        traceback.print_exception(failure)
    error(
        f"internal error ({type(failure).__name__}); this is a fault of Mailkeep, sorry",
        hint=f"run it again with {TRACE_VARIABLE}=1 and report what it prints",
    )
    return code
