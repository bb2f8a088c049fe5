"""A terminal for a program, as wide as wanted, and what its user has seen on it."""

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

from tests.harness.programs import DEADLINE_S
from tests.harness.site import python_path

ROOT = Path(__file__).parents[3]
SNAPSHOTS = Path(__file__).with_name("snapshots")
PROGRAM = [sys.executable, "-m", "tests.cli.fetch.scenes"]

_TOKEN = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|([\r\n])|([^\x00-\x1f\x7f]+)|(.)", re.DOTALL)


def compare(name: str, text: str) -> None:
    """Compare with what is kept; UPDATE_SNAPSHOTS=1 writes it anew."""
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


def environment(**changed: str) -> dict[str, str]:
    """Return an environment where nothing speaks of terminals but what is given."""
    plain = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm"}
    return {**plain, **python_path(), **changed}


def play_piped(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Play a scene where there is no terminal."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=DEADLINE_S,
        check=True,
        stdin=subprocess.DEVNULL,
    )


def play_on_terminal(
    *arguments: str, columns: int = 100, changed: Mapping[str, str] | None = None
) -> str:
    """Play a scene on a terminal, and return everything that was written to it."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=ROOT,
        env=environment(**(changed or {})),
    )
    os.close(theirs)
    written = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
        while chunk := terminal.read(4096):  # EIO at the end: the other side has closed it
            written += chunk
    assert process.wait(DEADLINE_S) == 0, written
    return written.decode()


class Screen:
    """The lines that stand on a terminal; it knows what `rich` uses, and fails on the rest."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0
        self.column = 0
        self.is_cursor_shown = True
        self.colours = 0

    def feed(self, written: str) -> None:
        for codes, command, move, text, strange in _TOKEN.findall(written):
            assert not strange, f"{strange!r} has reached the terminal"
            if text:
                self._write(text)
            elif move == "\r":
                self.column = 0
            elif move == "\n":
                self._go_down()
            else:
                self._obey(command, codes)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n") + "\n"

    def _write(self, text: str) -> None:
        line = self.lines[self.row].ljust(self.column)
        end = self.column + len(text)
        self.lines[self.row] = line[: self.column] + text + line[end:]
        self.column = end

    def _go_down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def _obey(self, command: str, codes: str) -> None:
        match command, codes:
            case "A", _:
                self.row -= int(codes or 1)
                assert self.row >= 0
            case "K", "2":
                self.lines[self.row] = ""
            case (("h" | "l"), "?25"):
                self.is_cursor_shown = command == "h"
            case "m", _:
                self.colours += re.search(r"(^|;)(3[0-9]|4[0-9]|9[0-7])", codes) is not None
            case _:
                raise AssertionError(f"unknown escape code {codes}{command}")


def screens(written: str) -> tuple[Screen, Screen]:
    """Return the screen as it was before the bars were removed, and at the end."""
    before, shown, _ = written.rpartition("\x1b[?25h")
    assert shown, "the cursor was not given back"
    moving, end = Screen(), Screen()
    moving.feed(before)
    end.feed(written)
    return moving, end
