"""What tells a file from one that was put or written in its place. Pure, and quick to import."""

import os


def stamp_of(status: os.stat_result) -> bytes:
    """Return the stamp: what was found out about a file holds as long as it stays the same."""
    return b"%d %d %d" % (status.st_ino, status.st_size, status.st_mtime_ns)
