"""Keeping what a door learned: once a second, off the loop. And taking over what others changed.

A database or a disk that fails is told and tried again; no login waits for either.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.defence.bans_file import BansFile
from mailkeep.defence.door import Door
from mailkeep.defence.places import Places
from mailkeep.defence.store import DoorStore
from mailkeep.values import AccountId

EVERY_S = 1.0
"""A power cut loses a second of what was learned: a ban that is made again at the next failure."""

TELL_EVERY_S = 60.0
"""The same problem is told once a minute."""


class DoorKeeper:
    """Writes down what a door learned.

    Args:
        door: whose memory it is.
        database: the door's.
        bans_file: where the bans in force are written, if anywhere.
        places: to be looked at for a new file.
        tell: hears what does not work.
        wall_s: seconds since 1970.
    """

    def __init__(
        self,
        door: Door,
        database: Database,
        *,
        bans_file: Path | None = None,
        places: Places | None = None,
        tell: Callable[[str], None] = lambda _: None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._door = door
        self._database = database
        self._store = DoorStore(database)
        self._bans_file = None if bans_file is None else BansFile(bans_file)
        self._places = places
        self._tell = tell
        self._told: dict[str, float] = {}
        self._wall_s = wall_s
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Keep until cancelled; what is pending then is written by `close`."""
        while True:
            await self.keep()
            await asyncio.sleep(EVERY_S)

    async def keep(self, *, everything: bool = False) -> None:
        """Write what is new, the bans file if the bans have changed, and look at the places.

        Args:
            everything: what could wait, too.
        """
        async with self._one_at_a_time:
            await self._write(everything=everything)
        await self._write_bans_file()
        await self._look_at_places()

    async def close(self) -> None:
        """Write everything that is pending."""
        await self.keep(everything=True)

    async def reload_bans(self) -> None:
        """Take over the bans that an operator made or lifted."""
        async with self._one_at_a_time:
            await self._write(everything=False)
            try:
                rows = await self._database.run(self._store.bans)
            except DatabaseUnavailable as failure:
                self._tell_once(str(failure))
                return
            self._door.replace_bans(tuple(rows))
        await self._write_bans_file()

    async def account_changed(self, account: AccountId) -> None:
        """Take over that an owner changed or confirmed the main password."""
        async with self._one_at_a_time:
            try:
                row = await self._database.run(self._store.guesses_of, account)
            except DatabaseUnavailable as failure:
                self._tell_once(str(failure))
                return
            self._door.replace_guesses(account, row)

    async def _write(self, *, everything: bool) -> None:
        now_s = asyncio.get_running_loop().time()
        changes = self._door.pending.take(now_s, everything=everything)
        if not changes:
            return
        is_written = False
        try:
            await self._database.run(self._store.save, changes, self._wall_s())
            is_written = True
        except DatabaseUnavailable as failure:
            self._tell_once(str(failure))
        finally:
            if not is_written:  # cancelled: written twice does no harm
                self._door.pending.put_back(changes)

    async def _write_bans_file(self) -> None:
        if self._bans_file is None:
            return
        rows, now_s = self._door.bans(), self._wall_s()
        try:
            await self._database.run(self._bans_file.keep, rows, now_s)
        except OSError as failure:
            self._tell_once(f"the bans file {self._bans_file.path} cannot be written: {failure}")

    async def _look_at_places(self) -> None:
        if self._places is None:
            return
        now_s = asyncio.get_running_loop().time()
        problem = await self._database.run(self._places.refresh, now_s)
        if problem is not None:
            self._tell_once(problem)

    def _tell_once(self, problem: str) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told.get(problem, float("-inf")) >= TELL_EVERY_S:
            self._told = {problem: now_s}
            self._tell(problem)
