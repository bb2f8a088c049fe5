"""How a command ends when it fails: in a line or two and an exit code."""

import os
import sys
from collections.abc import Callable

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.talk import error

EXIT_READER_GONE = 141
"""128 and the number of SIGPIPE, as shells say it."""


def run_told(command: Callable[[], int]) -> int:
    """Run a command; say what goes wrong, and return the exit code."""
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read us has enough (`| head`)
        _drop_output()
        return EXIT_READER_GONE
    except _failures() as failure:
        text, hint, code = _explain(failure)
        error(text, hint=hint)
        _drop_output()
    return code


def _failures() -> tuple[type[Exception], ...]:
    """Return what can go wrong with a user, a site or a machine, as opposed to with this program.

    Asked for when something has gone wrong: the rooms are imported by whoever raises their errors.
    """
    from mailkeep.accounts import AccountError
    from mailkeep.accounts.site_key import SiteKeyProblem
    from mailkeep.database import DatabaseUnavailable
    from mailkeep.site import SiteError

    ours = (CommandFailed, SiteError, AccountError, SiteKeyProblem, DatabaseUnavailable)
    return EOFError, OSError, *ours


def _explain(failure: Exception) -> tuple[str, str | None, int]:
    """Return what to say about a failure, the next step, and the exit code."""
    from mailkeep.accounts import AccountError
    from mailkeep.accounts.site_key import SiteKeyProblem
    from mailkeep.database import DatabaseUnavailable
    from mailkeep.site import SiteError

    text, hint = str(failure), None
    code: int = ExitCode.FAILED
    match failure:
        case CommandFailed():
            hint, code = failure.hint, failure.code
        case SiteError():
            hint, code = failure.hint, ExitCode.WRONG
        case DatabaseUnavailable() | SiteKeyProblem():
            hint = failure.hint
        case AccountError():
            hint = "mailkeep account list shows who is there"
        case EOFError():
            text = "stopped; nothing was changed"
    return text, hint, code


def _drop_output() -> None:
    """Give the interpreter nothing to complain about at its end when output cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
