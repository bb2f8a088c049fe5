"""How a folder looked when it was read, so that one look tells whether to read it again.

Every name that comes, goes or changes sets a folder's times of change, the second of which (ctime)
nobody can set back, as copying programs do with the first. A state tells nothing while it is young:
a change within the same tick of the file system's clock would leave it the same. Pure.

Known limit: a file server whose clock is behind ours by seconds can hide a change that is made
within one tick of its own clock after the reading, until the next change.
"""

import os
from typing import NamedTuple

TELLS_AFTER_NS = 2 * 10**9
"""How old a folder's times of change must be to tell of the next: ext3, HFS+ and old NFS count in
seconds, Linux in ticks of up to 10 ms."""


class FolderState(NamedTuple):
    """Which folder, and when names in it last changed."""

    device: int
    inode: int
    modified_ns: int
    changed_ns: int

    def tells(self, now_ns: int) -> bool:
        """Tell whether a folder that was read from `now_ns` on and stays so has no other names."""
        return now_ns - max(self.modified_ns, self.changed_ns) >= TELLS_AFTER_NS

    def is_of(self, status: os.stat_result) -> bool:
        """Tell whether `state_of` would return the same; makes nothing to find out."""
        return self == (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


States = tuple[FolderState | None, FolderState | None]
"""How `new` and `cur` are or were; `None` where that tells nothing."""

UNKNOWN: States = (None, None)


def state_of(status: os.stat_result) -> FolderState:
    """Return the state in what the file system says of a folder."""
    return FolderState(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
