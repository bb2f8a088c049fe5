"""Whether a program brings what it stored to disk: seen by strace while it fetches three messages.

Known limits: the path is that of the moment of the call; a file that was opened with O_SYNC would
not be seen (none of the four does that).
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.fetch.measuring import Mailbox, start, working
from bench.fetch.programs import PARTS, Program

LIMIT_S = 60.0

_CALL = re.compile(r"^\d+ +(?:fsync|fdatasync|syncfs)\(\d+<([^>]*)>")
_WHOLE = re.compile(r"^\d+ +sync\(\)")


@dataclass(frozen=True, slots=True)
class Durability:
    """How often something was brought to disk, for so many messages.

    Attributes:
        messages: how many were stored.
        files: calls for a file of the Maildir.
        folders: calls for the Maildir or one of its folders.
        others: calls for anything else, such as the program's state.
        told: what is known without strace; empty if it was seen.
    """

    messages: int = 0
    files: int = 0
    folders: int = 0
    others: int = 0
    told: str = ""

    def __str__(self) -> str:
        if self.told:
            return f"{self.told} (by its source; there is no strace here)"
        counts = (("file", self.files), ("folder", self.folders), ("state", self.others))
        said = ", ".join(f"{name} {f'yes ({n})' if n else 'NO'}" for name, n in counts)
        return f"{said} for {self.messages} messages"


def observe(program: Program, mailbox: Mailbox, parent: Path) -> Durability:
    """Watch a program fetch a small mailbox."""
    if shutil.which("strace") is None:
        return Durability(told=program.durability)
    with working(program, mailbox, parent) as (work, command):
        trace = work.folder / "trace"
        for path in (trace, work.folder / "log"):
            path.touch()
            path.chmod(0o666)
        calls = "trace=fsync,fdatasync,syncfs,sync"
        under = ("strace", "-f", "-qq", "-y", "-e", calls, "-e", "signal=none", "-o", trace)
        start(command, work, work.folder / "log", LIMIT_S, under=under)
        return _count(trace.read_text(errors="replace"), work.maildir, work.stored())


def _count(trace: str, maildir: Path, stored: int) -> Durability:
    lines = trace.splitlines()
    paths = [Path(found[1]) for line in lines if (found := _CALL.match(line))]
    whole = sum(1 for line in lines if _WHOLE.match(line))
    folders = {maildir, *(maildir / part for part in PARTS)}
    in_folders = sum(path in folders for path in paths)
    in_files = sum(path.is_relative_to(maildir) and path not in folders for path in paths)
    return Durability(
        messages=stored,
        files=in_files + whole,
        folders=in_folders + whole,
        others=len(paths) - in_files - in_folders,
    )
