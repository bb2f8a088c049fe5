"""Looking into a mailbox without taking anything: `list`, `status`, `login`, `probe`.

The journal is read beside a run that may be under way; nothing is written.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mailkeep.fetch.account import Account, Transport
from mailkeep.fetch.client import Client
from mailkeep.fetch.connecting import connect
from mailkeep.fetch.events import Event
from mailkeep.fetch.failures import TlsRefused
from mailkeep.fetch.headers import identify_by_headers
from mailkeep.fetch.journal import Journal, open_journal
from mailkeep.fetch.listing import Listing
from mailkeep.fetch.rows import State
from mailkeep.fetch.run import LoginSource
from mailkeep.fetch.state_folder import AccountFolder
from mailkeep.pop3 import Capabilities

NEW = "new"
"""What `list` says of a message that no journal knows."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A mailbox, and what the journal says of it.

    Attributes:
        listing: as the server lists it.
        states: of each listed message: `stored`, `new`, `left`, ...
        only_here: stored messages that the server does not list.
        suspect: stored messages that may have arrived cut.
        quarantined: messages that failed too often.
    """

    listing: Listing
    states: tuple[str, ...]
    only_here: int
    suspect: int
    quarantined: int


async def look(
    account: Account, folder: AccountFolder, login: LoginSource, *, accept_change: bool
) -> Looked:
    """Return what is there and what is here.

    Raises:
        FetchFailed: it cannot be found out.
    """
    journal = await asyncio.to_thread(_open_if_there, folder)
    try:
        facts = {} if journal is None or accept_change else journal.facts()
        listing = await _read_listing(account, login, facts)
        return _compare(listing, journal)
    finally:
        if journal is not None:
            journal.close()


async def try_login(
    account: Account, folder: AccountFolder, login: LoginSource, *, accept_change: bool
) -> tuple[str, int, int | None]:
    """Log in and out, and return the mechanism, the messages and their octets.

    Raises:
        FetchFailed: the login does not work.
    """
    facts = await asyncio.to_thread(_facts_of, folder)
    before = {} if accept_change else facts
    client, _ = await connect(account, await login(), before, _ignore)
    try:
        messages, octets = await client.stat()
        await client.quit()
        return client.mechanism, messages, octets
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class Probed:
    """What a server shows to anybody.

    Attributes:
        tls: the version, or None if there is none.
        certificate: DER, or None.
        problem: why the certificate is not to be trusted, or None if it is.
        capabilities: before login, inside TLS.
    """

    account: Account
    tls: str | None
    certificate: bytes | None
    problem: str | None
    capabilities: Capabilities


async def probe(account: Account) -> Probed:
    """Find out what a server shows without a login.

    A certificate that is not to be trusted is looked at all the same: nothing secret is sent.

    Raises:
        FetchFailed: it cannot be found out.
    """
    try:
        return await _probe(account, None)
    except TlsRefused as refusal:
        if account.transport is Transport.CLEARTEXT:
            raise
        unchecked = replace(account, tls=replace(account.tls, pins=(), is_unchecked=True))
        return await _probe(unchecked, str(refusal))


async def _probe(account: Account, problem: str | None) -> Probed:
    async with await Client.connect(account) as client:
        found = Probed(
            account, client.tls_version, client.peer_certificate, problem, client.capabilities
        )
        await client.quit()
        return found


async def _read_listing(account: Account, login: LoginSource, facts: Mapping[str, str]) -> Listing:
    client, _ = await connect(account, await login(), facts, _ignore)
    try:
        listing = await client.read_listing(await client.open_mailbox(pipelined=False))
        if listing.uidls is None:
            listing = await identify_by_headers(client, listing, pipelined=False)
        await client.quit()
        return listing
    finally:
        client.close()


def _ignore(_event: Event) -> None:
    """Tell nobody: what was asked for is the answer."""


def _open_if_there(folder: AccountFolder) -> Journal | None:
    return open_journal(folder.journal, create=False) if folder.journal.exists() else None


def _facts_of(folder: AccountFolder) -> dict[str, str]:
    journal = _open_if_there(folder)
    if journal is None:
        return {}
    try:
        return journal.facts()
    finally:
        journal.close()


def _compare(listing: Listing, journal: Journal | None) -> Looked:
    uidls = listing.uidls or ()
    states = {} if journal is None else journal.states()
    counts = {} if journal is None else journal.counts()
    listed = set(uidls)
    stored = {uidl for uidl, state in states.items() if state in {State.STORED, State.DELETING}}
    named = (states.get(uidl) for uidl in uidls)
    return Looked(
        listing,
        tuple(NEW if state is None else state.name.lower() for state in named),
        only_here=len(stored - listed) + counts.get(State.GONE, 0),
        suspect=0 if journal is None else journal.count_suspect(),
        quarantined=counts.get(State.QUARANTINED, 0),
    )
