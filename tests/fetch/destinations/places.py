"""Maildir, folder and mbox as another program sees them, written as plainly as they can be."""

import re
import shutil
from pathlib import Path

from mailkeep.fetch.destinations.folder import FolderDestination
from mailkeep.fetch.destinations.maildir import MaildirDestination
from mailkeep.fetch.destinations.mbox import MboxDestination
from mailkeep.testing.destination_contract import Place


class FolderReader:
    """One file a message: a Maildir, or a folder of `.eml`.

    Args:
        path: the place.
        pattern: of messages, below it.
    """

    def __init__(self, path: Path, pattern: str) -> None:
        self.path = path
        self._pattern = pattern

    def files(self) -> list[Path]:
        return sorted(self.path.glob(self._pattern), key=lambda path: path.name)

    def messages(self) -> list[bytes]:
        return [path.read_bytes() for path in self.files()]

    def litter(self) -> list[str]:
        others = {path for path in self.path.rglob("*") if path.is_file()} - {*self.files()}
        return [path.name for path in others if path.name != ".mailkeep"]

    def vanish(self) -> None:
        shutil.rmtree(self.path)

    def is_there(self) -> bool:
        return self.path.exists()


class MboxReader:
    """An mbox in the mboxrd form whose messages all say how long they were."""

    def __init__(self, path: Path, spool: Path) -> None:
        self.path = path
        self._spool = spool

    def messages(self) -> list[bytes]:
        stored = self.path.read_bytes()
        sizes = re.findall(rb"^From mailkeep-K\w{32}\.(\d+)", stored, flags=re.MULTILINE)
        parts = re.split(rb"^From .*\n", stored, flags=re.MULTILINE)[1:]
        messages = []
        for part, size in zip(parts, sizes, strict=True):
            text = re.sub(rb"^>(>*From )", rb"\1", part, flags=re.MULTILINE)
            messages.append(text[: int(size)])
            assert text[int(size) :] in {b"\n", b"\n\n"}
        return messages

    def litter(self) -> list[str]:
        left = [*self._spool.iterdir(), *self.path.parent.iterdir()]
        return [path.name for path in left if path not in {self.path, self._spool}]

    def vanish(self) -> None:
        self.path.unlink()

    def is_there(self) -> bool:
        return self.path.exists()


def maildir_place(folder: Path) -> Place:
    path = folder / "Mail" / "alice"
    return Place(lambda: MaildirDestination(path), FolderReader(path, "new/*"))


def folder_place(folder: Path) -> Place:
    path = folder / "Mail" / "alice"
    return Place(lambda: FolderDestination(path), FolderReader(path, "[!.]*.eml"))


def mbox_place(folder: Path) -> Place:
    path, spool = folder / "Mail" / "alice", folder / "spool"
    return Place(lambda: MboxDestination(path, spool, lock_timeout_s=0), MboxReader(path, spool))


PLACES = {"maildir": maildir_place, "dir": folder_place, "mbox": mbox_place}
