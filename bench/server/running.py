"""Programs that are started for the benchmark: on which core, with what log, and how they end.

Servers have one core and the load another one, so that neither waits for the other's processor.
Known limit: with a single core they share it; CPU time is the same then, times are not.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.server.figures import Side

START_LIMIT_S = 60.0
STOP_LIMIT_S = 60.0
LOOK_AGAIN_S = 0.02

FILES_WANTED = 65_536
"""Ten thousand sessions: Mailkeep takes at most half of what it may have open, and the load program
has as many."""


class NotStarted(Exception):
    """A server did not come up; the text says what it wrote."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        side: which.
        pid: of the process that all its others descend from.
        port: where it speaks TLS from the first byte.
        log: what it writes.
        host: its address.
        ca: signed its certificate.
    """

    side: Side
    pid: int
    port: int
    log: Path
    ca: Path
    host: str = "127.0.0.1"


def say(text: str) -> None:
    """Tell whoever waits, with the seconds since the start; the table is the output."""
    print(f"{time.monotonic() - _START_S:4.0f} s  {text}", file=sys.stderr, flush=True)


_START_S = time.monotonic()


def server_core() -> int:
    """Return where servers run."""
    return min(_CORES)


def load_core() -> int:
    """Return where everything else runs."""
    return max(_CORES)


_CORES = frozenset(os.sched_getaffinity(0))
"""What this process was given at its start."""


def take_place() -> None:
    """Put this process, and what it starts from now on, beside the servers; allow many files."""
    os.sched_setaffinity(0, {load_core()})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_WANTED, max(FILES_WANTED, hard)))
    except ValueError:  # only root may have more than the system gave, and not in every container
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def files_allowed() -> int:
    """Return how many descriptors each process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@contextlib.contextmanager
def started(
    words: Sequence[str | Path],
    log: Path,
    is_ready: Callable[[str], bool],
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server on its core until the caller is done; yields its process number.

    Args:
        words: the program and its arguments.
        log: where its output goes, from the start.
        is_ready: whether what it has written says that it takes connections.
        environment: its variables, if they are not those of this process.

    Raises:
        NotStarted: it ended or said nothing for a minute.
    """
    with log.open("wb") as output:
        os.sched_setaffinity(0, {server_core()})  # a child inherits it
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        finally:
            os.sched_setaffinity(0, {load_core()})
    try:
        _wait(process, log, is_ready)
        yield process.pid
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[str], bool]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not is_ready(log.read_text(errors="replace")):
        code, is_late = process.poll(), time.monotonic() > deadline
        if code is not None or is_late:
            how = "is not ready yet" if code is None else f"ended with {code}"
            said = log.read_text(errors="replace")[-2000:]
            raise NotStarted(f"{process.args!r} {how} and wrote: {said}")
        time.sleep(LOOK_AGAIN_S)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
