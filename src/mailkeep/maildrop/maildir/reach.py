"""How the event loop itself opens the messages of a Maildir: in one step each, without waiting.

A thread that has read a message finds out whether the loop can open the others, and how; until then
it cannot. Messages are opened by their whole paths, and no link is followed on the way, not even
one above the Maildir, where operators may have put some: whoever leads the loop to another folder
would make it wait for a disk that it knows nothing of. So the folders' paths are those that the
system itself has for them since a thread opened them. Once they are elsewhere, or a link is in
their place, nothing is found, and a thread looks.

It knows neither sizes nor digests: what has a message's name need not be the message.

Known limit: what the first message of a Maildir told is taken to hold for all. Where they have
several owners, a thread reads some of them, or reading sets their time of access.
"""

import fcntl
import os
from collections.abc import Sequence
from typing import NamedTuple

from mailkeep.maildrop.cached import NOT_CACHED, open_cached, open_how

MESSAGE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
UNNOTICED = getattr(os, "O_NOATIME", 0)
"""Reading mail for somebody is not their reading of it. Linux, and only for the file's owner."""

_PLACES_TRIED = 4
"""The places that are tried at once; where messages have more, a thread looks for them."""

_UNNOTICED_HOW = open_how(MESSAGE | UNNOTICED, follows_links=False)
_NOTICED_HOW = open_how(MESSAGE, follows_links=False)

Place = tuple[bytes, bytes]
"""A folder, `new` or `cur`, and the flags of a message in it."""


class Reach(NamedTuple):
    """How the messages of one Maildir are opened."""

    device: int
    """`st_dev` of the folders and of the messages."""
    paths: dict[bytes, bytes]
    """Of the folders, by name."""
    how: bytes
    """For `open_cached`."""

    def open_at_once(self, base: bytes, places: Sequence[Place]) -> int:
        """Open what has a message's name, in one of the first of these places.

        Returns:
            A descriptor, or `NOT_CACHED`.
        """
        for folder, flags in places[:_PLACES_TRIED]:
            path = b"%b/%b%b" % (self.paths[folder], base, flags)
            descriptor = open_cached(path, self.how)
            if descriptor != NOT_CACHED:
                return descriptor
        return NOT_CACHED


def find_reach(folders: dict[bytes, int], message: int, device: int) -> Reach | None:
    """Return how the messages of a Maildir are opened at once, if the system tells. May wait.

    Args:
        folders: descriptors of `new` and `cur`, by name; none of them was reached by a link.
        message: a descriptor of one of their messages, opened as unnoticed as may be.
        device: `st_dev` of it.
    """
    try:
        if any(os.fstat(folder).st_dev != device for folder in folders.values()):
            return None
        paths = {name: _path_of(folder) for name, folder in folders.items()}
        is_unnoticed = fcntl.fcntl(message, fcntl.F_GETFL) & UNNOTICED
    except OSError:  # there is no proc(5)
        return None
    return Reach(device, paths, _UNNOTICED_HOW if is_unnoticed else _NOTICED_HOW)


def _path_of(folder: int) -> bytes:
    """Return the path of an open folder, without links.

    Raises:
        OSError: the system does not tell.
    """
    return os.readlink(b"/proc/self/fd/%d" % folder)  # noqa: PTH115  # paths are octets
