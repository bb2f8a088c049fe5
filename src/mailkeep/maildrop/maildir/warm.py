"""What sessions found in Maildirs, kept in memory for the next session.

The commonest login is that of a program which looks again and finds nothing new. As long as the
folders look as they did (see `states`), what was seen then is what is there, and is handed out
again: names, sizes, digests, and the listings that the server made of them.

Bounded in octets; who was away longest goes first. It reads no folder itself but asks how they
look, which may wait for a disk and is for worker threads, or is not told.
"""

from collections import OrderedDict
from threading import Lock

from mailkeep.maildrop.cached import promises
from mailkeep.maildrop.maildir.messages import Messages
from mailkeep.values import AccountId, Address

WARM_OCTETS = 64 << 20
"""In a process: 9,000 maildrops of 20 messages, or seven with 100,000 each."""

_ENTRY_OCTETS = 6144
"""What the objects around a small snapshot take, as `tracemalloc` says."""

Key = tuple[AccountId, Address]


def is_there_still(messages: Messages) -> bool:
    """Tell whether a session that begins now would find the same. Blocks."""
    states = messages.snapshot.states
    return None not in states and states == messages.maildir.states()


def is_surely_there_still(messages: Messages) -> bool:
    """Tell the same without waiting; False where that cannot be told."""
    new, cur = messages.snapshot.states
    return (
        new is not None
        and cur is not None
        and promises(new.device)
        and (cur.device == new.device or promises(cur.device))
        and messages.maildir.is_same_at_once(new, cur)
    )


def _octets_of(messages: Messages) -> int:
    return _ENTRY_OCTETS + messages.snapshot.memory_octets + messages.digests.memory_octets


def _growing_octets_of(messages: Messages) -> int:
    """Return the part of `_octets_of` that changes as long as the messages are the same."""
    return messages.snapshot.listing.kept_octets + messages.digests.memory_octets


class Warm:
    """What was seen of which account. May be used from any thread.

    Args:
        room_octets: how much is kept.
    """

    def __init__(self, room_octets: int = WARM_OCTETS) -> None:
        self._left = room_octets
        self._kept: OrderedDict[Key, tuple[Messages, int, int]] = OrderedDict()
        self._guard = Lock()

    def find(self, key: Key) -> Messages | None:
        """Return what was seen last, which need not be there still."""
        with self._guard:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: Key, messages: Messages) -> None:
        """Keep this in place of what was kept of the same account, if it is worth it."""
        octets, growing = _octets_of(messages), _growing_octets_of(messages)
        with self._guard:
            self._drop(key)
            if None in messages.snapshot.states and messages.snapshot.names is None:
                return
            self._kept[key] = messages, octets, growing
            self._left -= octets
            while self._left < 0:
                self._drop(next(iter(self._kept)))

    def weigh(self, key: Key, messages: Messages) -> None:
        """Take note that what is kept has grown."""
        found = self._kept.get(key)  # one step, which no thread can be in the midst of
        if found is not None and found[0] is messages and found[2] != _growing_octets_of(messages):
            self.keep(key, messages)

    def drop(self, key: Key) -> None:
        """Forget what was seen: it turned out to be wrong."""
        with self._guard:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        _, octets, _ = self._kept.pop(key, (None, 0, 0))
        self._left += octets
