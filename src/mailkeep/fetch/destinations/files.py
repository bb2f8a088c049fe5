"""One file a message: what a Maildir and a folder of files have in common.

A message is written under a temporary name, brought to disk, renamed to its final name, and its
folder is brought to disk once a batch. So a final name belongs to a whole message always; and since
the token is in it, a restart finds the message whatever a mail program has done to the rest of the
name. Where the files are and what they are called, a layout says. No hard link is needed.

Known limit: a mail program that gives a message a name without the token, between the crash and the
next run, makes it another message.
"""

import os
import re
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mailkeep.fetch.destinations.durable import (
    fsync_folder,
    fsync_way_down_to,
    make_folder,
    shown,
    storing,
)
from mailkeep.fetch.destinations.seam import (
    DestinationUnavailable,
    Found,
    Refusal,
    Slot,
    Stored,
    Writer,
)
from mailkeep.fetch.destinations.temporary import (
    OPEN_FILES,
    PIECE_OCTETS,
    LateFile,
    make_durable,
    own_writers,
    remove_if_left,
)
from mailkeep.fetch.received import Receiving

PATIENCE = 4
"""How often to look again while mail programs keep renaming."""

_TELLS_AFTER_NS = 2 * 10**9
"""How old a folder's time of change must be to tell of the next: some file systems count in
seconds."""

_TOKEN = re.compile(r"K[0-9a-f]{32}(?![0-9a-f])")
_MESSAGE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileWriter(LateFile):
    """A message on its way into a file of its own."""

    __slots__ = ("slot",)

    def __init__(self, slot: Slot, temporary: Path) -> None:
        super().__init__(lambda: temporary)
        self.slot = slot


class Layout(Protocol):
    """Where the files of one kind of place are, and what they are called."""

    @property
    def kind(self) -> str:
        """What its name begins with."""

    @property
    def path(self) -> Path:
        """The place, absolute."""

    @property
    def temporary(self) -> Path:
        """The folder of unfinished messages."""

    @property
    def stored(self) -> Sequence[Path]:
        """The folders with messages, in the order in which mail moves; ours go into the first."""

    @property
    def mark(self) -> Path:
        """What tells that the place is there, all of it; made last."""

    def make_mark(self) -> None:
        """Make the mark."""

    def command_to_make_it(self) -> str:
        """Return what a user types to make the place anew."""

    def temporary_name(self, slot: Slot) -> str:
        """Return the name of an unfinished message."""

    def final_name(self, slot: Slot, octets: int) -> str:
        """Return the name of a whole message."""

    def is_own_temporary(self, name: str) -> bool:
        """Tell whether `temporary_name` makes such names."""

    def is_message(self, name: str) -> bool:
        """Tell whether a file of this name is a message, whoever stored it."""

    def is_whole(self, name: str, octets: int) -> bool:
        """Tell whether a message of this name may be so long."""

    def identity(self, name: str) -> str:
        """Return the part of a name that stays when a mail program sets flags."""


class FilesDestination:
    """One file a message; see `mailkeep.fetch.destinations.seam.Destination`.

    Args:
        layout: where and under which names.
    """

    is_exactly_once = True

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.name = f"{layout.kind}:{shown(layout.path)}"

    def prepare(self, *, is_known: bool) -> None:
        """Make the folders, or see that they are there; see `Destination.prepare`."""
        with storing(self.name):
            if is_known and not self._layout.mark.exists():
                raise DestinationUnavailable(
                    f"{self.name} has vanished: messages were stored there before",
                    hint=f"is its disk mounted? To begin anew: {self._layout.command_to_make_it()}",
                )
            folders = {self._layout.temporary, *self._layout.stored}
            if not all(path.exists() for path in (*folders, self._layout.mark)):
                self._make()
            for folder in folders:
                # access(2) and not an attempt: a run with nothing new writes nothing.
                if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                    raise DestinationUnavailable(
                        f"{self.name}: cannot write into {shown(folder)}",
                        hint="it must be a folder that the user who fetches may read and write",
                    )

    def recover(self, mark: int | None) -> list[str]:
        """Remove what a crashed run has left unfinished; what is finished `find` finds."""
        del mark
        with storing(self.name):
            with os.scandir(self._layout.temporary) as entries:
                names = [each.name for each in entries if self._layout.is_own_temporary(each.name)]
            for name in names:
                remove_if_left(self._layout.temporary / name, now_s=time.time())
        return []

    def find(self, tokens: Collection[str]) -> Mapping[str, Found]:
        """Return those that are here under any name with their token; see `Destination.find`."""
        found: dict[str, Found] = {}
        with storing(self.name):
            if tokens:
                self._look_for(frozenset(tokens), found)
            if found:
                for folder in self._layout.stored:  # a crash may have come before this was done
                    fsync_folder(folder)
        return found

    def iterate(self) -> Iterator[Found]:
        """Yield every message once, in no order; see `Destination.iterate`."""
        seen: set[str] = set()
        with storing(self.name):
            for folder, name in self._listed():
                identity = self._layout.identity(name)
                if identity not in seen and (found := _read(folder / name)):
                    seen.add(identity)
                    yield found

    def open(self, slot: Slot) -> FileWriter:
        """Begin a message; nothing is asked of the disk yet."""
        return FileWriter(slot, self._layout.temporary / self._layout.temporary_name(slot))

    def begin_batch(self) -> None:
        """Do nothing: files need no lock and no mark."""

    def commit(self, batch: Sequence[Writer]) -> list[Stored | Refusal]:
        """Make all durable and publish them in order; see `Destination.commit`.

        After an error some may be there under their final names: whole, and found by the next run.
        """
        writers = own_writers(batch, FileWriter)
        finals = [self._final_path(writer) for writer in writers]
        try:
            for start in range(0, len(writers), OPEN_FILES):
                group = writers[start : start + OPEN_FILES]
                make_durable(group)
                for writer, final in zip(group, finals[start:], strict=False):
                    writer.publish(final)
                    writer.close()
            with storing(f"cannot bring {shown(self._layout.stored[0])} to disk"):
                fsync_folder(self._layout.stored[0])
        except DestinationUnavailable:
            for writer in writers:
                writer.abandon()
            raise
        return [Stored(shown(final)) for final in finals]

    def end_batch(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: no descriptor is kept."""

    def _final_path(self, writer: FileWriter) -> Path:
        return self._layout.stored[0] / self._layout.final_name(writer.slot, writer.octets)

    def _make(self) -> None:
        for folder in (self._layout.temporary, *self._layout.stored):
            if folder != self._layout.mark:
                make_folder(folder)
        fsync_way_down_to(self._layout.path)
        self._layout.make_mark()
        fsync_folder(self._layout.path)

    def _look_for(self, tokens: frozenset[str], found: dict[str, Found]) -> None:
        """Read what has one of the tokens; what moves meanwhile is listed again (see `_listed`)."""
        for folder, name in self._listed():
            token = _TOKEN.search(name)
            if token and token[0] in tokens and token[0] not in found:
                message = _read(folder / name)
                if message is not None and self._layout.is_whole(name, message.octets):
                    found[token[0]] = message

    def _listed(self) -> Iterator[tuple[Path, str]]:
        """Yield folder and name of every message, some perhaps twice.

        Reading a folder promises nothing about names that change meanwhile, so it is read again
        while its time of change moves, and once more where that is too young to tell.
        """
        for folder in self._layout.stored:
            for reading in range(PATIENCE):
                changed_ns = folder.stat().st_mtime_ns
                is_young = time.time_ns() - changed_ns < _TELLS_AFTER_NS
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if self._layout.is_message(entry.name) and entry.is_file(
                            follow_symlinks=False
                        ):
                            yield folder, entry.name
                is_same = folder.stat().st_mtime_ns == changed_ns
                if is_same and (reading or not is_young):
                    break


def _read(path: Path) -> Found | None:
    """Read a message to its end; None if it vanished."""
    try:
        descriptor = os.open(path, _MESSAGE)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        receiving = Receiving()
        while piece := os.read(descriptor, PIECE_OCTETS):
            receiving.feed(piece)
    finally:
        os.close(descriptor)
    received = receiving.finish()
    return Found(shown(path), received.octets, received.sha256, received.header_sha256)
