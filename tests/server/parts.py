"""What a server stands on, made for tests: a store that can be held up, a password check that
counts, a sink that remembers.
"""

import asyncio
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mailkeep.accounts import (
    Account,
    AccountState,
    Admission,
    CertificateClaim,
    Claim,
    Device,
    Identified,
    LoginRefused,
    PasswordClaim,
    Refusal,
    ScramClaim,
    ScramCredentials,
    ScramKey,
    TokenClaim,
)
from mailkeep.defence import Attempt, Consequences, Let, Success, Turned, Welcome
from mailkeep.events import Event, EventSink, EventType
from mailkeep.events.gathering import GatheringSink
from mailkeep.events.run_types import Run
from mailkeep.maildrop import Body, Listing, Maildrop, MaildropStore, Removal
from mailkeep.maildrop.memory import MemoryStore
from mailkeep.sasl import ScramKeys
from mailkeep.server import Gate, Holders, Meeting, Offers, Sessions
from mailkeep.site import Limits
from mailkeep.values import AccountId, Address, Index, IpAddress, Octets, Secret, Uidl

PASSWORD = b"correct horse battery staple"
TOKEN = b"a.good.token"
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
    """Remembers every event, each of a run, too."""

    events: list[tuple[EventType, dict[str, Any]]] = field(default_factory=list)
    room: asyncio.Event | None = None
    """While it is there and not set, what must not be missed waits."""

    def emit(self, event: Event) -> None:
        for one in event.events() if isinstance(event, Run) else [event]:
            self.events.append((one.type, dict(one.known())))

    def has_room(self) -> bool:
        return self.room is None or self.room.is_set()

    async def ready(self) -> None:
        if self.room is not None:
            await self.room.wait()

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
        self.device: Device | None = None
        """What everybody logs in with; None for the main password."""
        self.used: list[str] = []
        self.revoked: set[AccountId] = set()
        self.has_scram = True

    def offers_scram(self) -> bool:
        return self.has_scram

    async def look_again(self) -> None:
        return

    async def scram_keys(self, name_untrusted: bytes) -> ScramCredentials:
        del name_untrusted
        keys = ScramKeys.derive(Secret(PASSWORD), b"0123456789abcdef", 4096)
        key = ScramKey(keys.stored_key, keys.server_key, None)
        return ScramCredentials(keys.salt, keys.iterations, (key,))

    async def identify(self, claim: Claim) -> Identified:
        account = _IDS.get(claim.name_untrusted)
        name = claim.name_untrusted.decode(errors="backslashreplace")
        return Identified(name, account, self.device is not None, claim, None)

    async def verify(self, identified: Identified, source: IpAddress) -> Admission:
        del source
        claim = identified.claim
        self.asked.append(claim.name_untrusted)
        if self.held is not None:
            await self.held.wait()
        if self.fails is not None:
            raise self.fails
        account = _IDS.get(claim.name_untrusted)
        if account is None or not _is_right(claim):
            raise LoginRefused(Refusal.WRONG_PASSWORD)
        address = Address(claim.name_untrusted.decode(), "example.com")
        found = Account(account, address, AccountState.ENABLED, _THEN, _THEN)
        return Admission(found, self.device, self.device is None, 1)

    async def pay(self, identified: Identified) -> None:
        """Compute nothing."""
        del identified

    async def note_use(self, admission: Admission, source: IpAddress, client: str) -> None:
        self.used.append(f"{admission.account.address} {source} {client}")

    async def is_still_good(self, admission: Admission) -> bool:
        return admission.account.id not in self.revoked


def _is_right(claim: Claim) -> bool:
    match claim:
        case PasswordClaim(_, password):
            return password.reveal() == PASSWORD
        case ScramClaim(_, _, proved):
            return proved is not None
        case TokenClaim(_, token):
            return token.reveal() == TOKEN
        case CertificateClaim(_, sha256):
            return bool(sha256)


class OpenDoor:
    """A door that everybody passes, unless the test says otherwise; it remembers what it heard."""

    def __init__(self) -> None:
        self.turns: Turned | None = None
        self.unavailable: Exception | None = None
        self.delayed_s = 0.0
        self.welcome = Welcome(None, familiar=False)
        self.consequences = Consequences()
        self.banned: set[str] = set()
        self.good: set[str] = set()
        self.attempts: list[Attempt] = []
        self.ends: list[str] = []
        """`fail`, `succeed` and `give up`, as they came."""

    def admits(self, source: IpAddress) -> bool:
        return str(source) not in self.banned

    def has_good_past(self, source: IpAddress) -> bool:
        return str(source) in self.good

    async def ask(self, attempt: Attempt) -> Let | Turned:
        self.attempts.append(attempt)
        if self.unavailable is not None:
            raise self.unavailable
        if self.delayed_s:
            await asyncio.sleep(self.delayed_s)
        return self.turns or Let(len(self.attempts), self.delayed_s, familiar=False)

    async def fail(self, let: Let, *, account: AccountId | None) -> Consequences:
        del let, account
        self.ends.append("fail")
        return self.consequences

    async def succeed(self, let: Let, success: Success) -> Welcome:
        del let, success
        self.ends.append("succeed")
        return self.welcome

    async def give_up(self, let: Let) -> None:
        del let
        self.ends.append("give up")


class HeldStore:
    """A store whose steps can be held up or made to fail, and that counts commits.

    Everything but the holding is the store behind it, and that no message is at hand.
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
        self.internationalised: set[Index] = set()
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

    def at_hand(self, index: Index) -> None:
        del index

    def is_internationalised(self, index: Index) -> bool:
        return index in self._store.internationalised

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

    def at_hand(self, index: Index) -> None:
        del index

    def is_internationalised(self, index: Index) -> bool:
        del index
        return False

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
        self.sha256: str | None = None
        self.is_dot_free = False

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


QUICK = Limits(refusal_ms=0)
"""Refusals are answered at once, so that a test need not wait for what it does not ask about."""


def make_meeting(
    store: MaildropStore,
    *,
    check: OnePassword | None = None,
    door: OpenDoor | None = None,
    sink: EventSink | None = None,
    limits: Limits = QUICK,
    utf8: bool = False,
    offers: Offers | None = None,
    context: ssl.SSLContext | None = None,
    end_point: bytes | None = None,
) -> Meeting:
    """Return what every session has in common."""
    sink = GatheringSink(sink or Recorder())

    def certificate() -> tuple[ssl.SSLContext, bytes | None]:
        assert context is not None, "this test has no certificate"
        return context, end_point

    gate = Gate(
        check=check or OnePassword(),
        door=door or OpenDoor(),
        seal=lambda password: b"sealed" + password.reveal(),
        sink=sink,
        credentials_s=limits.credentials_s,
        refusal_s=limits.refusal_ms / 1000,
        login_delay_s=limits.login_delay_s,
        utf8=utf8,
    )
    return Meeting(
        gate=gate,
        store=store,
        sink=sink,
        limits=limits,
        holders=Holders(),
        sessions=Sessions(),
        certificate=certificate,
        offers=offers or Offers(),
    )
