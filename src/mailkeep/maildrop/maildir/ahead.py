"""What a session is likely to read next, kept for a moment.

Mail programs fetch messages in a row, and to a small one the hop to a thread costs more than its
octets: so the hop that reads one reads the next few with it. Nothing is read ahead before two have
been read in a row, and what nobody asks for is let go of after a second: a message that is removed
by others is served no longer than that, and a session that is idle holds no mail in memory.

It knows neither files nor threads. Used by the event loop only.
"""

import asyncio
from typing import Generic, TypeVar

from mailkeep.values import Index

AHEAD_OCTETS = 32 << 10
"""Of messages that are read ahead, together: some six of 5 kB; what is bigger is worth its hop."""

AHEAD_S = 1.0
"""How long they are kept. A client on a slow line, which asks later, costs the reading again."""

_IN_A_ROW = 2
"""So many make a row; a program that looks at the newest message only reads one."""

T = TypeVar("T")


class Ahead(Generic[T]):
    """What one session has read ahead; `T` is what is kept of a message."""

    def __init__(self) -> None:
        self._kept: dict[Index, T] = {}
        self._last = -1
        self._in_a_row = 0
        self._drop_later: asyncio.TimerHandle | None = None

    def asked(self, place: Index) -> T | None:
        """Take note of what is read now, and return it if it was read ahead."""
        self._in_a_row = self._in_a_row + 1 if place == self._last + 1 else 1
        self._last = place
        return self._kept.pop(place, None)

    @property
    def is_row(self) -> bool:
        """Whether it is worth reading ahead."""
        return self._in_a_row >= _IN_A_ROW

    def keep(self, read: dict[Index, T]) -> None:
        """Keep messages for `AHEAD_S`, in place of what is left of those before."""
        self.drop()
        if read:
            self._kept = read
            self._drop_later = asyncio.get_running_loop().call_later(AHEAD_S, self.drop)

    def drop(self) -> None:
        """Let go of everything."""
        self._kept = {}
        if self._drop_later is not None:
            self._drop_later.cancel()
            self._drop_later = None
