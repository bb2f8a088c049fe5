"""What a server stands on, made for tests: a store that can be held up, a password check that
counts, a sink that remembers.
"""

import asyncio
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mailkeep.accounts import Account, AccountState, LoginRefused, Refusal
from mailkeep.events import EventType
from mailkeep.maildrop import Body, Listing, Maildrop, MaildropStore, Removal
from mailkeep.maildrop.memory import MemoryStore
from mailkeep.sasl import server_mechanisms
from mailkeep.server import Gate, Holders, Meeting
from mailkeep.site import Limits
from mailkeep.values import AccountId, Address, Index, Octets, Secret, Uidl

PASSWORD = b"correct horse battery staple"
ALICE, BOB = AccountId(1), AccountId(2)
_IDS = {b"alice": ALICE, b"bob": BOB}
_THEN = datetime(2026, 1, 1, tzinfo=UTC)

MESSAGES = (
    b"Subject: one\r\n\r\n.a dot first\r\nand more\r\n",
    b"Subject: two\n\nwith bare LF\n..\n.\nand no end",
    b"",
    b"Subject: four\r\n\r\n" + b"0123456789abcde\r\n" * 4000,
)


@dataclass
class Recorder:
    """Remembers every event."""

    events: list[tuple[EventType, dict[str, Any]]] = field(default_factory=list)

    def emit(self, event: EventType, /, **fields: str | float | None) -> None:
        self.events.append((event, fields))

    def of(self, kind: EventType) -> list[dict[str, Any]]:
        """Return the fields of every event of this type."""
        return [fields for event, fields in self.events if event is kind]

    @property
    def reasons(self) -> list[str]:
        """Why connections broke before a login, and how sessions ended, in order."""
        told = {EventType.CONNECTION_BROKEN: "reason", EventType.SESSION_ENDED: "how"}
        return [fields[told[event]] for event, fields in self.events if event in told]


class OnePassword:
    """Lets `alice` and `bob` in with the one password, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.held: asyncio.Event | None = None
        """While it is there and not set, every question waits."""
        self.fails: Exception | None = None

    async def check(self, name_untrusted: bytes, password_untrusted: Secret) -> Account:
        self.asked.append(name_untrusted)
        if self.held is not None:
            await self.held.wait()
        if self.fails is not None:
            raise self.fails
        account = _IDS.get(name_untrusted)
        if account is None or password_untrusted.reveal() != PASSWORD:
            raise LoginRefused(Refusal.WRONG_PASSWORD)
        address = Address(name_untrusted.decode(), "example.com")
        return Account(account, address, AccountState.ENABLED, _THEN, _THEN)


class HeldStore:
    """A store whose steps can be held up or made to fail, and that counts commits.

    Everything but the holding is the store behind it.
    """

    def __init__(self, behind: MaildropStore) -> None:
        self._behind = behind
        self.opening: asyncio.Event | None = None
        self.committing: asyncio.Event | None = None
        self.closing: asyncio.Event | None = None
        self.reading: Callable[[Body], Body] = lambda body: body
        self.read_fails: Exception | None = None
        self.commit_fails: Exception | None = None
        self.reports: Callable[[Removal], Removal] = lambda removal: removal
        self.begun = asyncio.Event()
        """Set when a commit begins."""
        self.steps: list[str] = []
        """`commit` and `close`, as they ended."""

    async def open(self, account: AccountId, address: Address, *, timeout_s: float) -> Maildrop:
        if self.opening is not None:
            await self.opening.wait()
        return _Held(self, await self._behind.open(account, address, timeout_s=timeout_s))


class _Held:
    def __init__(self, store: HeldStore, maildrop: Maildrop) -> None:
        self._store = store
        self._maildrop = maildrop

    @property
    def listing(self) -> Listing:
        return self._maildrop.listing

    async def read(self, index: Index, *, body_lines: int | None = None) -> Body:
        if self._store.read_fails is not None:
            raise self._store.read_fails
        return self._store.reading(await self._maildrop.read(index, body_lines=body_lines))

    async def commit(self, deleted: Collection[Uidl]) -> Removal:
        self._store.begun.set()
        if self._store.committing is not None:
            await self._store.committing.wait()
        if self._store.commit_fails is not None:
            raise self._store.commit_fails
        removal = await self._maildrop.commit(deleted)
        self._store.steps.append("commit")
        return self._store.reports(removal)

    async def close(self) -> None:
        if self._store.closing is not None:
            await self._store.closing.wait()
        await self._maildrop.close()
        self._store.steps.append("close")


class HugeStore:
    """Every maildrop has one message of any size, made while it is sent."""

    def __init__(self, octets: int) -> None:
        self._octets = octets
        self.commits = 0

    async def open(self, account: AccountId, address: Address, *, timeout_s: float) -> "HugeStore":
        del account, address, timeout_s
        return self

    @property
    def listing(self) -> Listing:
        return Listing([(Uidl(b"huge"), Octets(self._octets))])

    async def read(self, index: Index, *, body_lines: int | None = None) -> Body:
        del index, body_lines
        return Pieces(_lines(self._octets))

    async def commit(self, deleted: Collection[Uidl]) -> Removal:
        self.commits += 1
        return Removal(tuple(deleted), (), ())

    async def close(self) -> None:
        return


def _lines(octets: int) -> Iterator[bytes]:
    piece = b"y" * 65534 + b"\r\n"
    assert not octets % len(piece)
    for _ in range(octets // len(piece)):
        yield piece


class Pieces:
    """A body of given pieces; an exception among them is raised when its turn comes."""

    def __init__(self, pieces: Iterable[bytes | Exception]) -> None:
        self._pieces = iter(pieces)
        self.closed = False

    async def next_piece(self) -> bytes:
        piece = next(self._pieces, b"")
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed = True


def full_store() -> MemoryStore:
    """Return a store with the same messages for alice and for bob."""
    store = MemoryStore()
    for account in (ALICE, BOB):
        for message in MESSAGES:
            store.put(account, message)
    return store


def make_meeting(
    store: MaildropStore,
    *,
    check: OnePassword | None = None,
    sink: Recorder | None = None,
    limits: Limits | None = None,
    context: ssl.SSLContext | None = None,
) -> Meeting:
    """Return what every session has in common."""
    sink, limits = sink or Recorder(), limits or Limits()

    def certificate() -> ssl.SSLContext:
        assert context is not None, "this test has no certificate"
        return context

    return Meeting(
        gate=Gate(check or OnePassword(), server_mechanisms(), sink, limits.credentials_s),
        store=store,
        sink=sink,
        limits=limits,
        holders=Holders(),
        tls_context=certificate,
    )
