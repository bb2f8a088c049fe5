"""Making a journal anew: from a destination that has the mail, or from another program's state.

A lost journal would let everything come again (S-10). The destination's files still tell what is
there: those of ours by their names, all of them by the hash of their octets. A listing of the
server, with headers where the names do not help, connects both.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailkeep.fetch.account import Account
from mailkeep.fetch.client import Client
from mailkeep.fetch.connecting import connect
from mailkeep.fetch.destinations.seam import Destination, DestinationUnavailable, Found
from mailkeep.fetch.events import Event
from mailkeep.fetch.failures import ProtocolBroken, StorageFailed
from mailkeep.fetch.headers import header_hash, read_headers
from mailkeep.fetch.importing.found import SeenMessage
from mailkeep.fetch.journal import Journal, open_journal
from mailkeep.fetch.listing import Listing
from mailkeep.fetch.names import MessageKey, token_of
from mailkeep.fetch.plan import is_suspect
from mailkeep.fetch.received import Received
from mailkeep.fetch.rows import IMPORTED, MANGLED, Intent, Outcome, State
from mailkeep.fetch.run import LoginSource
from mailkeep.fetch.state_folder import AccountFolder

_TOKEN = re.compile(r"K[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What `rebuild` found.

    Attributes:
        listed: messages on the server.
        known: of them, those that the journal knew or knows now.
    """

    listed: int
    known: int


class Shelf:
    """What is in one destination; each message there stands for one on the server."""

    def __init__(self, destination: Destination) -> None:
        """Read all of it. Blocks.

        Raises:
            StorageFailed: it cannot be read back (a pipe, LMTP).
        """
        self.name = destination.name
        self._by_token: dict[str, Found] = {}
        self._by_header: dict[tuple[bytes, int | None], list[Found]] = {}
        self._taken: set[int] = set()  # by identity: in an mbox all lie in one place
        try:
            for found in destination.iterate():
                self._by_header.setdefault((found.header_sha256, found.octets), []).append(found)
                if token := _token_in(found.where):
                    self._by_token[token] = found
        except DestinationUnavailable as cause:
            raise StorageFailed(str(cause), hint=cause.hint) from cause

    def find(self, token: str, size: int | None, header_sha256: bytes | None) -> Found | None:
        """Return a message as it lies here.

        Our name alone does not tell: the server may have given its unique-id to another message.

        Args:
            token: of the message.
            size: as announced.
            header_sha256: None if it is not known yet.
        """
        ours = self._by_token.get(token)
        if ours is not None and (ours.octets == size or ours.header_sha256 == header_sha256):
            return ours
        if header_sha256 is None:
            return None
        alike = self._by_header.get((header_sha256, size), ())
        return next((found for found in alike if id(found) not in self._taken), None)

    def take(self, found: Found) -> None:
        """Let it stand for no other message."""
        self._taken.add(id(found))


async def rebuild(
    client: Client, listing: Listing, shelves: Sequence[Shelf], journal: Journal, now: int
) -> Rebuilt:
    """Journal every listed message that all destinations have.

    One that only some of them have is journalled as begun: the next run gives it to the others.

    Args:
        client: logged in.
        listing: of this session.
        shelves: each must have a message for it to count.
        journal: to write.
        now: seconds since 1970.
    """
    keys = _keys(listing, journal)
    tokens = [token_of(client.account.name, key) for key in keys]
    known: dict[int, dict[str, Found]] = {}
    partly: dict[int, dict[str, Found]] = {}

    def look(place: int, header_sha256: bytes | None) -> None:
        size = listing.octets[place]
        found = {s.name: s.find(tokens[place], size, header_sha256) for s in shelves}
        whole = {name: one for name, one in found.items() if one is not None}
        if len(whole) == len(shelves):
            known[place] = whole
            for shelf in shelves:
                shelf.take(whole[shelf.name])
        elif whole:
            partly[place] = whole

    for place in range(len(keys)):
        look(place, None)
    places = {n: place for place, n in enumerate(listing.numbers) if place not in known}
    async for number, header in read_headers(client, [*places], pipelined=client.can_pipeline):
        if header is not None:
            look(places[number], header_hash(header))
    noted = {row.key.uidl for row in journal.rows_of({key.uidl for key in keys})}
    begun = {
        place: found
        for place, found in partly.items()
        if place not in known
        and keys[place].uidl not in noted
        and not is_suspect(listing.octets[place], next(iter(found.values())).octets)
    }
    _journal_found(known, keys, listing, journal, now)
    _journal_found(begun, keys, listing, journal, now, is_whole=False)
    return Rebuilt(len(keys), len(known))


def _keys(listing: Listing, journal: Journal) -> list[MessageKey]:
    """Return which messages are listed, in the generations that a journal which is left knows."""
    uidls = listing.uidls or ()
    generations = {
        (row.key.uidl, row.key.ordinal): row.key.generation for row in journal.rows_of(set(uidls))
    }
    seen: Counter[bytes] = Counter()
    keys = []
    for uidl in uidls:
        keys.append(MessageKey(uidl, seen[uidl], generations.get((uidl, seen[uidl]), 0)))
        seen[uidl] += 1
    return keys


def _journal_found(
    found: Mapping[int, Mapping[str, Found]],
    keys: Sequence[MessageKey],
    listing: Listing,
    journal: Journal,
    now: int,
    *,
    is_whole: bool = True,
) -> None:
    """Journal messages by their places in the listing; `is_whole`: all destinations have them."""
    places = sorted(found)
    intents = [Intent(keys[p], listing.numbers[p], listing.octets[p]) for p in places]
    outcomes = []
    for place, intended in zip(places, journal.intend(intents, now=now), strict=True):
        held = {name: one.where for name, one in found[place].items()}
        one = next(iter(found[place].values()))
        received = Received(one.octets, one.sha256, one.header_sha256)
        is_short = is_suspect(listing.octets[place], one.octets)  # perhaps only its header
        state = State.HEADER if is_short else State.STORED
        state = state if is_whole else State.FETCHING
        outcomes.append(Outcome(intended.id, received, held, state))
    journal.commit(outcomes, {}, now=now)


def _token_in(where: str) -> str | None:
    found = _TOKEN.findall(where)
    return found[-1] if found else None


def import_seen(journal: Journal, seen: Sequence[SeenMessage], *, now: int) -> int:
    """Journal what another program has fetched, so that it does not come again. Blocks.

    It is proved safe nowhere here, so it is never deleted from the server.

    Returns:
        how many messages were noted.
    """
    kinds = (
        (State.LEFT, IMPORTED, [one for one in seen if one.is_whole and not one.is_mangled]),
        (State.LEFT, MANGLED, [one for one in seen if one.is_whole and one.is_mangled]),
        (State.HEADER, IMPORTED, [one for one in seen if not one.is_whole]),
    )
    for state, note, some in kinds:
        intents = [Intent(MessageKey(one.uidl), place, None) for place, one in enumerate(some, 1)]
        journal.leave(intents, now=now, note=note, state=state)
    return len(seen)


async def rebuild_account(
    account: Account,
    folder: AccountFolder,
    destinations: Sequence[Destination],
    login: LoginSource,
) -> Rebuilt:
    """Make an account's journal anew; a damaged one must have been moved away.

    Raises:
        FetchFailed: it cannot be done; what was journalled stays.
    """
    folder.make()
    with folder.locked():
        journal = await asyncio.to_thread(open_journal, folder.journal)
        try:
            # Before the server waits: to read all mail that is here takes its time.
            shelves = await asyncio.to_thread(lambda: [Shelf(one) for one in destinations])
            client, facts = await connect(account, await login(), journal.facts(), _ignore)
            try:
                overview = await client.open_mailbox(pipelined=False)
                listing = await client.read_listing(overview)
                if listing.uidls is None:
                    raise ProtocolBroken("the server has no unique-ids to connect files with")
                rebuilt = await rebuild(client, listing, shelves, journal, int(time.time()))
                await client.quit()
            finally:
                client.close()
            journal.set_facts(facts)
            return rebuilt
        finally:
            journal.close()
            for destination in destinations:
                destination.close()


def _ignore(_event: Event) -> None:
    """Tell nobody: what was found is the answer."""
