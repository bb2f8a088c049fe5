"""Commands that print a password or a token: `pass mail/alice`.

The command gets no shell, no standard input and no terminal to ask on (a session of its own), and
its standard error is ours, so that a user reads what it complains about. What it printed is in no
error.

Known limits: a process that it leaves behind must close its standard output, or the time limit
ends both. An interrupt of ours does not reach it; it ends by itself or by the time limit.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from pathlib import PurePath

from mailkeep.fetch.failures import TokenNeeded, WrongSettings
from mailkeep.fetch.secret_files import SECRET_LIMIT_OCTETS, first_line
from mailkeep.values import Secret

COMMAND_LIMIT_S = 30.0
"""Long enough for an agent's window with a passphrase; a command that hangs must end."""

_CHUNK_OCTETS = 4096


def read_command(
    argv: tuple[str, ...],
    failure: type[WrongSettings] | type[TokenNeeded],
    *,
    limit_s: float = COMMAND_LIMIT_S,
) -> Secret:
    """Return the first line that a command prints.

    Args:
        argv: the program and its arguments.
        failure: what it means when the command fails.
        limit_s: for the whole run; then its process group is killed.

    Raises:
        WrongSettings: it cannot be started.
        TokenNeeded: it failed, if that is `failure`.
    """
    name = PurePath(argv[0]).name
    try:
        process = subprocess.Popen(  # noqa: S603  # the user's own command
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "an argument has a NUL in it"
        raise WrongSettings(
            f"{name} cannot be run: {reason}",
            hint="the command is a program and its arguments, without a shell",
        ) from cause
    outcome = _run(process, time.monotonic() + limit_s)
    if isinstance(outcome, Secret):
        return outcome
    raise failure(f"the command {name} {outcome}", hint="run it by hand to see what is wrong")


def _run(process: subprocess.Popen[bytes], deadline: float) -> Secret | str:
    """Return the first line, or what went wrong: an error raised here would take it along."""
    has_ended = False
    try:
        printed = _read_output(process, deadline)
        if isinstance(printed, str):
            return printed
        code = process.wait(max(deadline - time.monotonic(), 0))
        has_ended = True
    except subprocess.TimeoutExpired:
        return _TOO_SLOW
    finally:
        if not has_ended:
            _kill(process)
        if process.stdout is not None:
            process.stdout.close()
    if code:
        return f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
    return first_line(printed)


_TOO_SLOW = "did not end in time, so it was killed"


def _read_output(process: subprocess.Popen[bytes], deadline: float) -> bytes | str:
    printed = b""
    with selectors.DefaultSelector() as selector:
        output = process.stdout
        if output is None:
            return printed
        selector.register(output, selectors.EVENT_READ)
        while len(printed) <= SECRET_LIMIT_OCTETS:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                return _TOO_SLOW
            chunk = os.read(output.fileno(), _CHUNK_OCTETS)
            if not chunk:
                return printed
            printed += chunk
    return f"printed more than {SECRET_LIMIT_OCTETS} octets"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # nobody has waited for it: the number is its own
    process.wait()
