"""Real programs: where they are, who they run as, and how they are started and ended.

A program that is missing skips the test with its name; in CI it fails the test, because nobody
reads the list of skipped tests there. A program in the background is watched through the lines it
writes and ended by its process id; nothing here sleeps.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, TypedDict

import pytest

DEADLINE_S = 30.0
"""For one thing to happen, on two slow processors that others use too."""


OTHER_FOLDERS = ":/usr/sbin:/sbin:/usr/lib/dovecot:/usr/libexec/dovecot"
"""Where programs are that people do not call by name."""


def find_program(name: str) -> str:
    """Return the path of a program that tests use; skip the test, or fail it in CI, without it."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + OTHER_FOLDERS)
    return path or cannot_run(f"{name} is not installed")


def cannot_run(reason: str) -> NoReturn:
    """End a test that lacks something that CI must have."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def unprivileged_user() -> str | None:
    """Return a user for programs that refuse root; None where the tests are not root anyway."""
    return "nobody" if os.geteuid() == 0 else None


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that other users may look into, with a path short enough for sockets.

    pytest's own are closed to others and too deep: a socket's path has 107 octets.
    """
    folder = Path(tempfile.mkdtemp(prefix="mk-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Port(NamedTuple):
    """Where a server listens."""

    host: str
    number: int


def free_ports(count: int) -> list[Port]:
    """Return ports that nobody has at this moment, for programs that do not take port 0."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [Port(*bound.getsockname()) for bound in sockets]


def run(
    arguments: Sequence[str | Path],
    *,
    stdin: bytes = b"",
    user: str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end and return what it wrote; fail with all of it if it fails."""
    done = subprocess.run(
        arguments,
        input=stdin,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        cwd=folder,
        env=_environment(environment),
        **_identity(user),
    )
    if check and done.returncode:
        words = " ".join(map(str, arguments))
        pytest.fail(f"{words}\nexit {done.returncode}\n{_text(done.stdout)}{_text(done.stderr)}")
    return done


class Background:
    """A program in the background; its standard output and error are one log, kept by lines."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        user: str | None = None,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = Path(arguments[0]).name
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(environment),
            **_identity(user),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has written so far."""
        with self._changed:
            return "\n".join(self._lines)

    def wait_until_ready(self, words: str) -> None:
        """Return when a line has these words in it; else end the program and fail."""
        try:
            self.wait_for(lambda line: words in line, words)
        except BaseException:
            self.stop()
            raise

    def wait_for(self, matches: Callable[[str], bool], what: str) -> str:
        """Return the first line that matches, now or when it is written."""
        deadline = time.monotonic() + DEADLINE_S
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if matches(line):
                        return line
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    break
                self._changed.wait(left)
        pytest.fail(f"{self._name} did not write {what}; it wrote:\n{self.log}")

    def stop(self) -> int:
        """End it with SIGTERM and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return its exit code when it has ended."""
        try:
            return self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            pytest.fail(f"{self._name} did not end; it wrote:\n{self.log}")
        finally:
            self._reader.join(DEADLINE_S)
            if self._process.stdout:
                self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(_text(line).rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _identity(user: str | None) -> _Identity:
    """Return what `subprocess` needs to start a program as another user."""
    if user is None:
        return {}
    found = pwd.getpwnam(user)
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return our own environment in a language that tests can read, with what is added."""
    return {**os.environ, "LC_ALL": "C.UTF-8", **(extra or {})}


def _text(octets: bytes) -> str:
    return octets.decode(errors="backslashreplace")
