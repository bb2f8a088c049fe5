"""Removing messages from a Maildir for ever, which a session does once, at its end.

Every file of a message goes, whatever its flags and wherever a neighbour moves it meanwhile, and no
other file. What was removed counts only when its folder is safely on disk. A crash on the way
leaves any part of the messages asked for. Blocks: for worker threads.

Known limit: on a file system that cannot fsync a folder nothing counts as removed.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from mailkeep.maildrop.maildir.folder import PATIENCE, Maildir
from mailkeep.maildrop.maildir.names import base_of


@dataclass(frozen=True, slots=True)
class RemovedFiles:
    """What became of the messages, by base name; one that is in neither was gone already."""

    removed: frozenset[bytes]
    """Gone, durably."""
    failed: frozenset[bytes]
    """Still there, or not known to be gone durably."""


def remove_messages(maildir: Maildir, bases: Collection[bytes]) -> RemovedFiles:
    """Remove every file of these messages and return when that is durable."""
    work = _Work(maildir)
    waiting = set(bases)
    try:
        for _ in range(PATIENCE):
            if not waiting:
                break
            files = {file for file in maildir.files() if base_of(file[1]) in waiting}
            waiting = work.unlink(files)
    except OSError:  # a folder cannot be read: nobody knows what is still there
        work.failed |= waiting
    work.failed |= waiting  # a neighbour still keeps moving these
    work.make_durable()
    removed = {base for _, base in work.unlinked} - work.failed
    return RemovedFiles(frozenset(removed), frozenset(work.failed))


class _Work:
    """Unlinks file by file and keeps the record."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir
        self.unlinked: set[tuple[bytes, bytes]] = set()
        """Folder and base name of each file that is gone through us."""
        self.failed: set[bytes] = set()

    def unlink(self, files: Collection[tuple[bytes, bytes]]) -> set[bytes]:
        """Remove these files and return the messages that had moved away before it."""
        moved = set()
        for folder, group in groupby(sorted(files), key=itemgetter(0)):
            with self._maildir.folder(folder) as descriptor:
                for _, filename in group:
                    base = base_of(filename)
                    try:
                        os.unlink(filename, dir_fd=descriptor)
                    except FileNotFoundError:
                        moved.add(base)
                    except OSError:
                        self.failed.add(base)
                    else:
                        self.unlinked.add((folder, base))
        return moved

    def make_durable(self) -> None:
        """Bring the folders to disk; what was removed from one that cannot be has failed."""
        for folder in {folder for folder, _ in self.unlinked}:
            try:
                with self._maildir.folder(folder) as descriptor:
                    os.fsync(descriptor)
            except OSError:
                self.failed |= {base for place, base in self.unlinked if place == folder}
