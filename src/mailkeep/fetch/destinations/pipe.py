"""`pipe:COMMAND`: a program gets each message on its standard input, and its exit code is the word.

The command is an argument list (quotes as in a shell, but there is no shell), and nothing of the
message is in its arguments or its environment. Exit code 0 is "stored"; every other, a signal and
the time limit are a refusal of this message, which the next run tries again: 75 (EX_TEMPFAIL of
sysexits.h) is what most programs say for that.

Known limit: a crash between the program's end and the journal gives it the message again, so this
is at least once.
"""

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from mailkeep.fetch.destinations.durable import storing
from mailkeep.fetch.destinations.foreign_text import last_words
from mailkeep.fetch.destinations.seam import (
    DestinationUnavailable,
    Found,
    Refusal,
    Slot,
    Stored,
    Writer,
)
from mailkeep.fetch.destinations.spool import Spool, SpooledMessage
from mailkeep.fetch.destinations.temporary import own_writers

TIME_LIMIT_S = 120.0
"""For one message: a filter that asks the network takes seconds, and one that hangs must not hold
up the others for ever."""

_KEPT_OCTETS = 4096
"""Of what it writes, the last; the reason is at the end."""

_LOOKS_S = 0.1
"""How often to see whether it has ended, when what it left in the background keeps its output."""


class PipeDestination:
    """A program; see `mailkeep.fetch.destinations.seam.Destination`.

    Args:
        command: its name or path, and its arguments.
        spool: a folder for messages on their way.
        time_limit_s: for one message.
    """

    is_exactly_once = False

    def __init__(
        self, command: Sequence[str], spool: Path, *, time_limit_s: float = TIME_LIMIT_S
    ) -> None:
        self.name = f"pipe:{shlex.join(command)}"
        self._command = list(command)
        self._spool = Spool(spool)
        self._time_limit_s = time_limit_s

    def prepare(self, *, is_known: bool) -> None:
        """See that the program is there; see `Destination.prepare`."""
        del is_known
        self._spool.prepare()
        if shutil.which(self._command[0]) is None:
            raise self._missing()

    def recover(self, mark: int | None) -> list[str]:
        """Do nothing: what a program has taken nobody can know."""
        del mark
        return []

    def find(self, tokens: Collection[str]) -> Mapping[str, Found]:
        """Find nothing: a program cannot be asked."""
        del tokens
        return {}

    def iterate(self) -> Iterator[Found]:
        """Refuse; see `Destination.iterate`."""
        raise DestinationUnavailable(f"{self.name} cannot be read back")

    def open(self, slot: Slot) -> SpooledMessage:
        """Begin a message."""
        del slot
        return SpooledMessage(self._spool)

    def begin_batch(self) -> None:
        """Do nothing."""

    def commit(self, batch: Sequence[Writer]) -> list[Stored | Refusal]:
        """Run the program once a message, in order; see `Destination.commit`."""
        outcomes: list[Stored | Refusal] = []
        for message in own_writers(batch, SpooledMessage):
            try:
                outcomes.append(self._hand_over(message))
            except DestinationUnavailable as cause:
                if not outcomes:
                    raise
                # Messages before this one are handed over, and must not count as not stored.
                outcomes.append(Refusal(str(cause)))
            finally:
                message.abandon()
        return outcomes

    def end_batch(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: no program is left running."""

    def _hand_over(self, message: SpooledMessage) -> Stored | Refusal:
        descriptor = message.write_out()
        with storing(self.name):
            os.lseek(descriptor, 0, os.SEEK_SET)
            try:
                process = subprocess.Popen(  # noqa: S603  # the user's own command, no shell
                    self._command,
                    stdin=descriptor,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except FileNotFoundError as cause:
                raise self._missing() from cause
        deadline = time.monotonic() + self._time_limit_s
        try:
            errors = _listen(process, deadline)
            code: int | None = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            errors, code = b"", None
        finally:
            _end(process)
        return self._judge(code, errors)

    def _judge(self, code: int | None, errors: bytes) -> Stored | Refusal:
        if code == 0:
            return Stored(where="pipe")
        if code is None:
            reason = f"did not end within {self._time_limit_s:g} seconds"
        elif code < 0:
            reason = f"was ended by signal {-code}"
        else:
            reason = f"exit code {code}"
        words = last_words(errors)
        return Refusal(f"{self._command[0]}: {reason}{': ' + words if words else ''}")

    def _missing(self) -> DestinationUnavailable:
        return DestinationUnavailable(
            f"{self.name}: {self._command[0]} is not there or cannot be run",
            hint="write its whole path",
        )


def _listen(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Take what the program writes until it ends, and return the last of its standard error.

    Raises:
        subprocess.TimeoutExpired: the deadline came first.
    """
    kept = bytearray()
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(process.args, 0)
            ready = selector.select(_LOOKS_S)
            for key, _ in ready:
                octets = os.read(key.fd, 1 << 16)
                if not octets:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    kept = (kept + octets)[-_KEPT_OCTETS:]
            if not ready and process.poll() is not None:
                break
    return bytes(kept)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that is still running, with all that it has started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
