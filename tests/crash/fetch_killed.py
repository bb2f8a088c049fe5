"""A process in which `mailkeep fetch` runs many times, each time in a child that may be killed.

Run by the crash tests. It reads a job a line from standard input, JSON, and answers with a line:

    {"arguments": [...], "password": "...", "step": ["write", 7], "after_s": null, "batch": 2}
    {"code": null, "steps": ["mkdir", "write", ...], "listed_s": 0.04, "said": "..."}

Every run is a process of its own, forked from one that has imported everything, so that its start
takes milliseconds and a kill hits what is of interest. It is the whole command, from its arguments
to its exit code. With `step` the child kills itself with SIGKILL before its n-th step of that name,
or of any name; with `after_s` this process kills it, so many seconds after it has the mailbox's
listing, wherever it is then. A step is a call that changes the disk or makes a change durable, a
transaction of the journal, or a command that is sent.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from mailkeep.cli import main as run_command
from mailkeep.fetch import client, storing
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.journal_file import Transaction
from mailkeep.pop3 import commands

ANY = "any"
DISK = ("fsync", "rename", "link", "ftruncate", "close")
SHORT_OCTETS = 150_000
SENT = (commands.Retr, commands.Top, commands.Dele, commands.Quit)


Call = Callable[..., Any]


class Steps:
    """Counts the steps of this process, tells them, and ends it with SIGKILL before one of them."""

    def __init__(self, deadly: tuple[str, int] | None, telling: int) -> None:
        self._counts: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
        self._deadly = deadly
        self._telling = telling
        self._write = os.write

    def take(self, name: str) -> None:
        for each in (name, ANY):
            if (each, next(self._counts[each])) == self._deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        self.tell(name)

    def tell(self, line: str) -> None:
        self._write(self._telling, line.encode() + b"\n")

    def before(self, name: str, real: Call) -> Call:
        def call(*args: object, **kwargs: object) -> object:
            self.take(name)
            return real(*args, **kwargs)

        return call

    def before_writing(self, real: Callable[[int, Any], int]) -> Call:
        """Let a write take less than it was given, as it may, so that a kill tears a file.

        What the two threads write is counted apart: which comes first is a matter of chance.
        """

        def call(descriptor: int, octets: bytes | memoryview) -> int:
            is_coming = threading.current_thread() is threading.main_thread()
            self.take("write what comes" if is_coming else "write")
            return real(descriptor, octets[:SHORT_OCTETS])

        return call

    def before_opening(self, real: Call) -> Call:
        def call(path: str, flags: int, *args: object, **kwargs: object) -> object:
            if flags & os.O_CREAT and not os.path.lexists(path):
                self.take("open")
            return real(path, flags, *args, **kwargs)

        return call

    def before_making(self, real: Call) -> Call:
        def call(path: str, *args: object, **kwargs: object) -> object:
            if not os.path.lexists(path):
                self.take("mkdir")
            return real(path, *args, **kwargs)

        return call

    def before_removing(self, real: Call) -> Call:
        def call(path: str, *args: object, **kwargs: object) -> object:
            if os.path.lexists(path):
                self.take("unlink")
            return real(path, *args, **kwargs)

        return call


def watch(steps: Steps) -> None:
    """Let every step of the command be taken through `steps`."""
    for name in DISK:
        setattr(os, name, steps.before(name, getattr(os, name)))
    os.write = steps.before_writing(os.write)
    os.open = steps.before_opening(os.open)
    os.mkdir = steps.before_making(os.mkdir)
    os.unlink = steps.before_removing(os.unlink)
    watch_journal(steps)
    watch_network(steps)


def watch_journal(steps: Steps) -> None:
    enter, leave = Transaction.__enter__, Transaction.__exit__

    def begin(self: Any) -> Any:
        steps.take("BEGIN")
        return enter(self)

    def end(self: Any, *trouble: Any) -> None:
        steps.take("COMMIT")
        leave(self, *trouble)
        steps.take("committed")

    replace(Transaction, __enter__=begin, __exit__=end)


def watch_network(steps: Steps) -> None:
    send, read_listing = client.Client.send, client.Client.read_listing

    def sending(self: Any, *asked: Any) -> None:
        names = {type(one).__name__.upper() for one in asked if isinstance(one, SENT)}
        for name in names:
            steps.take(name)
        send(self, *asked)
        for name in names:
            steps.take(f"sent {name}")

    async def reading(*args: Any, **kwargs: Any) -> Any:
        listing = await read_listing(*args, **kwargs)
        steps.tell("listed")
        return listing

    replace(client.Client, send=sending, read_listing=reading)


def replace(owner: type, **calls: Call) -> None:
    for name, call in calls.items():
        setattr(owner, name, call)


def be_the_child(job: dict[str, Any], telling: int, said: int) -> None:
    """Run the command and end with its exit code, or by SIGKILL."""
    reading, writing = os.pipe()
    os.write(writing, job["password"].encode() + b"\n")
    os.close(writing)
    os.dup2(reading, 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = ["mailkeep", *job["arguments"]]
    if job["batch"]:
        storing.BATCH_MESSAGES = job["batch"]
        storing.BATCH_S = 3600.0  # batches fall by count alone, so every run has the same steps
    watch(Steps(job["step"] and tuple(job["step"]), telling))
    try:
        run_command()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))


def be_the_parent(child: int, heard: int, after_s: float | None) -> dict[str, Any]:
    """Watch a child to its end, kill it if that is wanted, and return what became of it."""
    text = b""
    listed_at: float | None = None
    while piece := os.read(heard, 1 << 16):
        text += piece
        if listed_at is None and b"listed\n" in text:
            listed_at = time.monotonic()
            if after_s is not None and not ends_within(heard, after_s):
                os.kill(child, signal.SIGKILL)  # not waited for yet, so the number is its own
    listed_s = 0.0 if listed_at is None else time.monotonic() - listed_at
    os.close(heard)
    _, status = os.waitpid(child, 0)
    steps = [line for line in text.decode().splitlines() if line != "listed"]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    code = None if killed else os.waitstatus_to_exitcode(status)
    return {"code": code, "steps": steps, "listed_s": listed_s}


def ends_within(heard: int, limit_s: float) -> bool:
    """Tell whether the child ends in that time: the other end of the pipe is its alone."""
    waiting = select.poll()
    waiting.register(heard, 0)  # for its end only
    return bool(waiting.poll(limit_s * 1000))


def do(job: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as said:
        heard, telling = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                be_the_child(job, telling, said.fileno())
            finally:
                os._exit(99)
        os.close(telling)
        result = be_the_parent(child, heard, job["after_s"])
        said.seek(0)
        return result | {"said": said.read().decode(errors="backslashreplace")}


def import_all() -> None:
    """Run the command once against nobody, so that every child has imported what it needs."""
    importlib.import_module("mailkeep.fetch.session")  # not needed before there is a connection
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        url = "pop3s://nobody@127.0.0.1:1"
        sys.argv = ["mailkeep", "fetch", url, "--to", f"maildir:{folder}/mail", "--state", folder]
        sys.argv += ["--password-command", "echo x"]
        try:
            with contextlib.redirect_stderr(nowhere):
                run_command()
        except SystemExit as end:
            if end.code != FetchExit.NETWORK:
                raise


def main() -> None:
    import_all()
    gc.freeze()  # what is shared with the children stays so
    for line in sys.stdin:
        sys.stdout.write(json.dumps(do(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
