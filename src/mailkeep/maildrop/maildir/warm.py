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
"""In a process: 9,000 maildrops of 20 messages, or three with 100,000 each."""

_ENTRY_OCTETS = 6144
"""What the objects around a small snapshot take, as `tracemalloc` says."""

Key = tuple[AccountId, Address]


def is_there_still(messages: Messages) -> bool:
    """Tell whether a session that begins now would find the same. Blocks."""
    states = messages.snapshot.states
    return None not in states and states == messages.maildir.states()


def is_surely_there_still(messages: Messages) -> bool:
    """Tell the same without waiting; False where that cannot be told."""
    states = messages.snapshot.states
    return (
        states[0] is not None
        and states[1] is not None
        and promises(states[0].device)
        and promises(states[1].device)
        and states == messages.maildir.states_at_once()
    )


def _octets_of(messages: Messages) -> int:
    return _ENTRY_OCTETS + messages.snapshot.memory_octets + messages.digests.memory_octets


class Warm:
    """What was seen of which account. May be used from any thread.

    Args:
        room_octets: how much is kept.
    """

    def __init__(self, room_octets: int = WARM_OCTETS) -> None:
        self._left = room_octets
        self._kept: OrderedDict[Key, tuple[Messages, int]] = OrderedDict()
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
        octets = _octets_of(messages)
        with self._guard:
            self._drop(key)
            if None in messages.snapshot.states and messages.snapshot.names is None:
                return
            self._kept[key] = messages, octets
            self._left -= octets
            while self._left < 0:
                self._drop(next(iter(self._kept)))

    def weigh(self, key: Key, messages: Messages) -> None:
        """Take note that what is kept has grown."""
        with self._guard:
            found = self._kept.get(key)
        if found is not None and found[0] is messages and found[1] != _octets_of(messages):
            self.keep(key, messages)

    def drop(self, key: Key) -> None:
        """Forget what was seen: it turned out to be wrong."""
        with self._guard:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        _, octets = self._kept.pop(key, (None, 0))
        self._left += octets
