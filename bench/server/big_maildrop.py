"""Opening a maildrop of 100,000 messages: for the first time, again, and with one message more.

The first time is that of a server that has just been started and whose indexes are gone, so there
is an argon2 in it, for both; the files are in the page cache and tell their sizes in their names.
"""

import poplib
import shutil
from collections import defaultdict
from dataclasses import dataclass, field

from bench.server import maildirs
from bench.server.dovecot import index_of, running_dovecot
from bench.server.figures import Figure, Measured, Side
from bench.server.looking import WrongCount, stat_ms
from bench.server.ours import running_mailkeep
from bench.server.people import BIG
from bench.server.place import Place
from bench.server.rows import ADDED, BIG_ROWS, FIRST, WARM, Row
from bench.server.running import NotStarted, Server

TURNS = 5
"""Looks a round that are warm, and as many with one message more: they are short."""

(ADDRESS,) = BIG.addresses


@dataclass(slots=True)
class BigMaildrop:
    """The maildrop and what was measured of it so far."""

    place: Place
    count: int = BIG.messages
    times_ms: dict[tuple[Row, Side], list[float]] = field(default_factory=lambda: defaultdict(list))

    def measure(self, rounds: int) -> list[Measured]:
        """Measure the three rows."""
        try:
            for _ in range(rounds):
                for start in (running_mailkeep, running_dovecot):
                    self._forget()
                    with start(self.place) as server:
                        self._look_on(server)
        except (OSError, poplib.error_proto, WrongCount, NotStarted) as failure:
            return [Measured(row, problem=repr(failure)) for row in BIG_ROWS]
        return [self._measured(row) for row in BIG_ROWS]

    def _look_on(self, server: Server) -> None:
        """Open the maildrop again and again, on a server that does not know it yet."""
        self._look(FIRST, server)
        for _ in range(TURNS):
            self._look(WARM, server)
        for _ in range(TURNS):
            self._add_one()
            self._look(ADDED, server)

    def _look(self, row: Row, server: Server) -> None:
        taken_ms = stat_ms(server, ADDRESS, expected=self.count)
        self.times_ms[row, server.side].append(taken_ms)

    def _add_one(self) -> None:
        """Deliver a message as another program does."""
        folder = maildirs.maildir_of(self.place.mail, ADDRESS)
        (unique,) = maildirs.unique_names(1, series=self.count)
        path = maildirs.write_message(folder / "tmp", maildirs.texts(1, BIG.octets)[0], unique, "")
        if self.place.user is not None:
            shutil.chown(path, self.place.user)
        path.rename(folder / "new" / path.name)
        self.count += 1

    def _forget(self) -> None:
        """Remove what the servers, which do not run now, have remembered about maildrops."""
        for folder in (self.place.open_site().index, index_of(self.place, ADDRESS)):
            shutil.rmtree(folder, ignore_errors=True)
        self.place.open_site().index.mkdir(mode=0o700)

    def _measured(self, row: Row) -> Measured:
        sides = (Side.OURS, Side.RIVAL)
        return Measured(row, {side: Figure(tuple(self.times_ms[row, side])) for side in sides})
