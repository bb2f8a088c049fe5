"""What a session is likely to read next, kept for a moment.

Mail programs fetch messages in a row, and to a small one the hop to a thread costs more than its
octets: so the hop that reads one reads the next ones with it. Nothing is read ahead before two have
been read in a row, and what nobody asks for is let go of after a second: a message that is removed
by others is served no longer than that, and a session that is idle holds no mail in memory.

It knows neither files nor threads. Used by the event loop only.
"""

import asyncio
from typing import Generic, TypeVar

from mailkeep.values import Index, Octets

AHEAD_OCTETS = 256 << 10
"""Of messages that are read ahead, together: some fifty of 5 kB; what is bigger is worth its
hop."""

ROOM_OCTETS = 32 << 20
"""Of all sessions of a process together. When 1,800 download at once, each has a few messages. It
may be overstepped by what the hops under way bring."""

AHEAD_S = 1.0
"""How long they are kept. A client on a slow line, which asks later, costs the reading again."""

_IN_A_ROW = 2
"""So many make a row; a program that looks at the newest message only reads one."""

T = TypeVar("T")


class Room:
    """How much all sessions together may still read ahead."""

    __slots__ = ("left_octets",)

    def __init__(self, octets: int = ROOM_OCTETS) -> None:
        self.left_octets = octets


class Ahead(Generic[T]):
    """What one session has read ahead; `T` is what is kept of a message.

    Args:
        room: of the process.
    """

    __slots__ = ("_drop_later", "_first", "_kept", "_last", "_room")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._kept: dict[Index, tuple[T, Octets]] = {}
        self._first = 0  # of those that were asked for in a row, up to `_last`
        self._last = -1
        self._drop_later: asyncio.TimerHandle | None = None

    def asked(self, place: Index) -> T | None:
        """Take note of what is read now, and return it if it was read ahead.

        The same message asked for again is no other: it neither makes a row longer nor ends it.
        """
        if place - self._last not in (0, 1):
            self._first = place
        self._last = place
        if not self._kept:
            return None
        kept = self._kept.pop(place, None)
        if kept is None:
            return None
        self._room.left_octets += kept[1]
        return kept[0]

    @property
    def worth_octets(self) -> int:
        """How much is worth to be read ahead now; mostly nothing."""
        if self._last - self._first + 1 < _IN_A_ROW:
            return 0
        return max(0, min(AHEAD_OCTETS, self._room.left_octets))

    def keep(self, read: dict[Index, tuple[T, Octets]]) -> None:
        """Keep messages, with their sizes, for `AHEAD_S` in place of what is left of others."""
        self.drop()
        if read:
            self._kept = read
            self._room.left_octets -= sum(octets for _, octets in read.values())
            self._drop_later = asyncio.get_running_loop().call_later(AHEAD_S, self.drop)

    def drop(self) -> None:
        """Let go of everything."""
        if self._drop_later is None:  # nothing has been kept since
            return
        self._drop_later.cancel()
        self._drop_later = None
        self._room.left_octets += sum(octets for _, octets in self._kept.values())
        self._kept = {}
