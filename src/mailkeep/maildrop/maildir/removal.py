"""Removing messages from a Maildir for ever, which a session does once, at its end.

Every file of a message goes, whatever its flags and wherever a neighbour moves it meanwhile, and no
other file. What was removed counts only when `new` and `cur` are safely on disk: both, because the
rename that brought a message from the one to the other may not be there yet, and a power cut would
bring it back. A crash on the way leaves any part of the messages asked for. Blocks: for worker
threads.

Known limit: on a file system that cannot fsync a folder nothing counts as removed.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import itemgetter

from mailkeep.maildrop.maildir.folder import PATIENCE, Folders, Maildir
from mailkeep.maildrop.maildir.names import base_of

_name_of = itemgetter(1)


@dataclass(frozen=True, slots=True)
class RemovedFiles:
    """What became of the messages, by base name; one that is in neither was gone already."""

    removed: frozenset[bytes]
    """Gone, durably."""
    failed: frozenset[bytes]
    """Still there, or not known to be gone durably."""


def remove_messages(maildir: Maildir, bases: Collection[bytes]) -> RemovedFiles:
    """Remove every file of these messages and return when that is durable."""
    try:
        with maildir.entered() as folders:
            return _Removal(folders).remove(bases)
    except OSError:  # a folder cannot be read: nobody knows what is still there
        return RemovedFiles(removed=frozenset(), failed=frozenset(bases))


class _Removal:
    """One removal under way, and its record."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._unlinked: set[bytes] = set()
        """The messages of which a file is gone through us."""
        self._failed: set[bytes] = set()

    def remove(self, bases: Collection[bytes]) -> RemovedFiles:
        waiting = frozenset(bases)
        for _ in range(PATIENCE):
            if not waiting:
                break
            waiting = frozenset(self._remove_found(waiting))
        self._failed |= waiting  # a neighbour moves these faster than we can follow
        self._make_durable()
        removed = self._unlinked - self._failed
        return RemovedFiles(removed=frozenset(removed), failed=frozenset(self._failed))

    def _remove_found(self, bases: Collection[bytes]) -> Iterator[bytes]:
        """Remove every file of these messages, and yield those of which one moved meanwhile.

        In the order of delivery: inodes mostly lie so, and unlinking in another takes the kernel a
        tenth longer.
        """
        files = self._folders.files()
        found = {file: base for file in files if (base := base_of(file[1])) in bases}
        for file in sorted(found, key=_name_of):
            if self._has_moved(*file, found[file]):
                yield found[file]

    def _has_moved(self, folder: bytes, filename: bytes, base: bytes) -> bool:
        """Remove one file, or tell that it is not where it was seen."""
        try:
            os.unlink(filename, dir_fd=self._folders.descriptors[folder])
        except FileNotFoundError:
            return True
        except OSError:
            self._failed.add(base)
        else:
            self._unlinked.add(base)
        return False

    def _make_durable(self) -> None:
        """Bring both folders to disk; if one cannot be, nothing is known to be gone."""
        try:
            for descriptor in self._folders.descriptors.values():
                os.fsync(descriptor)
        except OSError:
            self._failed |= self._unlinked
