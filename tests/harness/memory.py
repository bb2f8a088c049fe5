"""The real server over the memory store, in this process: listeners, TLS, sessions.

A thread runs its event loop; what tests do to the store happens there. Its accounts all have one
password and come into being when they are named.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TypeVar

from tests.harness.programs import DEADLINE_S, Port
from tests.server.parts import OpenDoor

from mailkeep.accounts import (
    Account,
    AccountState,
    Admission,
    Claim,
    Identified,
    LoginRefused,
    PasswordClaim,
    Refusal,
    ScramClaim,
    ScramCredentials,
    ScramKey,
)
from mailkeep.events import Event
from mailkeep.events.gathering import GatheringSink
from mailkeep.maildrop.memory import MemoryStore
from mailkeep.sasl import ScramKeys
from mailkeep.server import Gate, Holders, Meeting, Server, Sessions, open_listeners
from mailkeep.site import Endpoint, Limits, Listen, Service
from mailkeep.tls import authority, server_context
from mailkeep.values import AccountId, Address, IpAddress, Secret

T = TypeVar("T")

DOMAIN = "mail.example.test"


class KnownAccounts:
    """Lets in whoever was added, with the one password (see `LoginCheck`)."""

    def __init__(self, password: str) -> None:
        self._password = Secret(password.encode())
        self._keys = ScramKeys.derive(self._password, b"0123456789abcdef", 4096)
        self._accounts: dict[str, Account] = {}
        self._ids = count(1)

    def add(self, name: str) -> AccountId:
        """Add an account."""
        now = datetime.now(UTC)
        address = Address.parse(name, default_domain=DOMAIN)
        account = Account(AccountId(next(self._ids)), address, AccountState.ENABLED, now, now)
        self._accounts[name] = account
        return account.id

    def offers_scram(self) -> bool:
        """Everybody has keys."""
        return True

    async def look_again(self) -> None:
        """Nothing is kept."""

    async def scram_keys(self, name_untrusted: bytes) -> ScramCredentials:
        """Return the keys of the one password."""
        del name_untrusted
        keys = self._keys
        key = ScramKey(keys.stored_key, keys.server_key, None)
        return ScramCredentials(keys.salt, keys.iterations, (key,))

    async def identify(self, claim: Claim) -> Identified:
        """Find the account; nothing is sure."""
        name = claim.name_untrusted.decode(errors="replace")
        account = self._accounts.get(name)
        number = None if account is None else account.id
        return Identified(name, number, is_sure=False, claim=claim, known=account)

    async def verify(self, identified: Identified, source: IpAddress) -> Admission:
        """Return what these credentials let in."""
        del source
        account = self._accounts.get(identified.name)
        if account is None:
            raise LoginRefused(Refusal.UNKNOWN_ACCOUNT)
        match identified.claim:
            case PasswordClaim(_, password):
                is_right = password == self._password
            case ScramClaim(_, _, proved):
                is_right = proved is not None
            case _:
                is_right = False
        if not is_right:
            raise LoginRefused(Refusal.WRONG_PASSWORD)
        return Admission(account, None, by_main_password=True, version=1)

    async def pay(self, identified: Identified) -> None:
        """Compute nothing."""
        del identified

    async def note_use(self, admission: Admission, source: IpAddress, client: str) -> None:
        """Forget it."""

    async def is_still_good(self, admission: Admission) -> bool:
        """Let every session go on."""
        del admission
        return True


class CollectedEvents:
    """Keeps every event, for failures."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def emit(self, event: Event) -> None:
        """Take note of an event."""
        self.lines.append(f"{event.type.value} {dict(event.known())}")

    def has_room(self) -> bool:
        """There is always room."""
        return True

    async def ready(self) -> None:
        """There is always room."""


class MemoryServer:
    """A running server over a memory store."""

    def __init__(self, tls: Path, password: str) -> None:
        """Prepare one.

        Args:
            tls: a folder for its authority and certificate, made if missing.
            password: of every account.
        """
        now = datetime.now(UTC)
        authority.create_authority(tls, DOMAIN, now)
        authority.renew_if_due(tls, DOMAIN, now)
        self.ca = tls / authority.AUTHORITY
        self.accounts = KnownAccounts(password)
        self.store = MemoryStore()
        self.events = CollectedEvents()
        self._context = server_context(
            tls / authority.SERVER, tls / authority.SERVER_KEY, ssl.TLSVersion.TLSv1_2
        )
        self._ready: Future[tuple[Port, Port]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self) -> None:
        """Return when it listens."""
        self._thread.start()
        self.pop3s, self.pop3 = self._ready.result(DEADLINE_S)

    def stop(self) -> None:
        """End it; every session must be able to end."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), self.events.lines

    def call(self, do: Callable[[], T]) -> T:
        """Do something where the store lives, and return its result."""

        async def done() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(DEADLINE_S)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        listeners = open_listeners(
            [
                Listen(service=Service.POP3S, address=Endpoint("127.0.0.1", 0)),
                Listen(service=Service.POP3, address=Endpoint("127.0.0.1", 0)),
            ]
        )
        limits = Limits(connections_per_prefix=0, connections_per_account=0, refusal_ms=0)
        sink = GatheringSink(self.events)
        gate = Gate(
            check=self.accounts,
            door=OpenDoor(),
            seal=lambda password: password.reveal(),
            sink=sink,
            credentials_s=limits.credentials_s,
        )
        meeting = Meeting(
            gate=gate,
            store=self.store,
            sink=sink,
            limits=limits,
            holders=Holders(),
            sessions=Sessions(),
            certificate=lambda: (self._context, None),
        )
        server = Server(listeners, meeting, self.events)
        server.start()
        pop3s, pop3 = (Port(one.endpoint.host, one.endpoint.port) for one in listeners)
        self._ready.set_result((pop3s, pop3))
        await self._stopped.wait()
        await server.stop()


@contextlib.contextmanager
def running_memory_server(tls: Path, password: str) -> Iterator[MemoryServer]:
    """Serve from memory for as long as the caller needs it."""
    server = MemoryServer(tls, password)
    server.start()
    try:
        yield server
    finally:
        server.stop()
