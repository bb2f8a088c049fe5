"""Somebody who fetches one mailbox again and again from odd servers, and what came of it."""

import asyncio
import contextlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mailkeep.fetch.account import Account, TlsPolicy, Transport, make_account
from mailkeep.fetch.destinations.parsing import parse_destination
from mailkeep.fetch.destinations.seam import Destination
from mailkeep.fetch.events import Ended, Event, MessageStored, Warned
from mailkeep.fetch.policy import Policy
from mailkeep.fetch.rows import State
from mailkeep.fetch.run import AccountRun, LoginSource, Options
from mailkeep.fetch.session import UNCHANGED
from mailkeep.fetch.state_folder import AccountFolder
from mailkeep.sasl import Login
from mailkeep.testing.odd_server import Login as OddLogin
from mailkeep.testing.odd_server import OddServer
from mailkeep.values import Secret

KEEP = Policy()
DELETE = Policy(delete=True)
DAY_S = 86_400
NOW = 1_750_000_000
"""When a test begins; its clock stands still unless it is moved."""

ONE = b"From: a@example.test\r\nSubject: one\r\n\r\nfirst\r\n"
TWO = b"From: b@example.test\r\nSubject: two\r\n\r\nsecond\r\nwith more\r\n"
THREE = b"From: c@example.test\r\nSubject: three\r\n\r\nthird\r\n" + b"and longer\r\n" * 20
BODIES = (ONE, TWO, THREE)
UIDLS = [b"uidl-1", b"uidl-2", b"uidl-3"]

EventType = TypeVar("EventType", bound=Event)


class Home:
    """One account's home: a Maildir, its state, a clock, and what every run told.

    Attributes:
        now: what the clock shows.
        to: texts of the destinations.
        account: changes to the account that the server asks for.
        reconnect_delays_s: no pause, and as many connections as usual.
        login: what is asked for the secret.
        logins: how often it was asked.
        events: of the last run.
        destinations: instead of `to`, where a test makes its own.
    """

    def __init__(self, folder: Path, authority: Path | None = None) -> None:
        self.folder = folder
        self.now = NOW
        self.to = [f"maildir:{folder / 'Mail'}"]
        self.destinations: Sequence[Destination] | None = None
        self.account: dict[str, object] = {}
        self.authority = authority
        self.reconnect_delays_s: Sequence[float] = (0,) * 5
        self.login: LoginSource = self._log_in
        self.logins = 0
        self.stop = asyncio.Event()
        self.events: list[Event] = []

    @property
    def maildir(self) -> Path:
        return self.folder / "Mail"

    @property
    def state(self) -> AccountFolder:
        return AccountFolder.of(self.folder / "state", "alice@localhost")

    def account_of(self, server: OddServer) -> Account:
        """Return the account that the server's settings ask for."""
        settings = server.settings
        transport = Transport.STLS if settings.stls else Transport.TLS
        if settings.context is None:
            transport = Transport.CLEARTEXT
        made = make_account("localhost", "alice", transport, server.port)
        made = replace(made, tls=TlsPolicy(authorities=self.authority))
        return replace(made, **self.account)  # type: ignore[arg-type]  # by name

    def run_of(
        self,
        server: OddServer,
        policy: Policy = KEEP,
        *,
        accept_change: bool = False,
        retry: bool = False,
        max_s: float | None = None,
    ) -> AccountRun:
        """Return a run that is ready to begin."""
        options = Options(
            accept_change=accept_change,
            retry=retry,
            max_s=max_s,
            stop=self.stop,
            clock=lambda: self.now,
            reconnect_delays_s=self.reconnect_delays_s,
        )
        account = self.account_of(server)
        self.events = []
        parts = (account, policy, self._make_destinations, self.state, self.login, self._take)
        return AccountRun(*parts, options)

    async def fetch(
        self,
        server: OddServer,
        policy: Policy = KEEP,
        *,
        accept_change: bool = False,
        retry: bool = False,
        max_s: float | None = None,
    ) -> Ended:
        """Run once, and wait until the server has heard all."""
        run = self.run_of(server, policy, accept_change=accept_change, retry=retry, max_s=max_s)
        ended = await run.fetch()
        await server.settle()
        assert "internal error" not in (ended.error_untrusted or ""), ended
        return ended

    def told(self, kind: type[EventType]) -> list[EventType]:
        """Return the events of a kind that the last run told."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def warnings(self) -> str:
        """What the last run warned of, a line each."""
        return "\n".join(event.text_untrusted for event in self.told(Warned))

    @property
    def came(self) -> list[bytes]:
        """The unique-ids of what the last run stored."""
        return [event.uidl for event in self.told(MessageStored)]

    def files(self) -> list[Path]:
        """Return the messages in the Maildir, oldest first."""
        parts = (self.maildir / "new", self.maildir / "cur")
        return sorted(path for part in parts for path in part.glob("*"))

    def stored(self) -> "Counter[bytes]":
        """Return what is in the Maildir, how often."""
        return Counter(path.read_bytes() for path in self.files())

    def states(self) -> dict[bytes, State]:
        """Return the journal's word on each unique-id; of several generations the newest's."""
        query = "SELECT uidl, state FROM message ORDER BY generation, ordinal DESC"
        with self.journal() as journal:
            return {uidl: State(state) for uidl, state in journal.execute(query)}

    def note(self, uidl: bytes) -> str:
        """Return the journal's note on a message."""
        with self.journal() as journal:
            query = "SELECT note FROM message WHERE uidl = ? ORDER BY generation DESC"
            return str(journal.execute(query, (uidl,)).fetchone()[0])

    def facts(self) -> dict[str, str]:
        """Return what is remembered of the account."""
        with self.journal() as journal:
            return dict(journal.execute("SELECT name, value FROM fact"))

    @contextlib.contextmanager
    def journal(self) -> Iterator[sqlite3.Connection]:
        """Open the journal behind the engine's back."""
        with contextlib.closing(sqlite3.connect(self.state.journal)) as connection, connection:
            yield connection

    def forget(self, *uidls: bytes) -> None:
        """Take back what was journalled behind RETR: as if the run had died before it."""
        with self.journal() as journal:
            journal.execute("DELETE FROM fact WHERE name = ?", (UNCHANGED,))
            for uidl in uidls:
                journal.execute(
                    "DELETE FROM held WHERE message IN (SELECT id FROM message WHERE uidl = ?)",
                    (uidl,),
                )
                journal.execute(
                    "UPDATE message SET state = ?, octets = NULL, sha256 = NULL,"
                    " header_sha256 = NULL, stored_at = NULL WHERE uidl = ?",
                    (State.FETCHING, uidl),
                )

    def outside(self) -> list[str]:
        """Return every path below the folder that is neither destination nor state."""
        found = (os.fsencode(path.relative_to(self.folder)) for path in self.folder.rglob("*"))
        mine = (b"Mail", b"state")
        return sorted(repr(path) for path in found if path.split(b"/")[0] not in mine)

    def _make_destinations(self) -> Sequence[Destination]:
        if self.destinations is not None:
            return self.destinations
        to, spool = self.to, self.state.spool
        return [parse_destination(t, recipient="alice@example.test", spool=spool) for t in to]

    async def _log_in(self) -> Login:
        self.logins += 1
        return Login("alice", Secret(OddLogin().password))

    def _take(self, _account: str, event: Event) -> None:
        self.events.append(event)


def words(server: OddServer, session: int | None = None) -> list[bytes]:
    """Return the words of all commands that a server heard, or of those of one session."""
    some = server.sessions if session is None else [server.sessions[session - 1]]
    return [word for one in some for word in one.words]


def asked(server: OddServer, word: bytes) -> list[bytes]:
    """Return the lines with a word that a server heard in all its sessions."""
    return [c.line for one in server.sessions for c in one.commands if c.word == word]


def secrets_said(server: OddServer) -> bool:
    """Tell whether a server heard anything that belongs to a login."""
    return bool({b"USER", b"PASS", b"AUTH"} & set(words(server)))


def once(*bodies: bytes) -> "Counter[bytes]":
    """Return these, each as often as it stands here."""
    return Counter(bodies)
