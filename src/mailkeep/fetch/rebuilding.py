"""Making a journal anew: from a destination that has the mail, or from another program's state.

A lost journal would let everything come again (S-10). The destination's files still tell what is
there: those of ours by their names, all of them by the hash of their octets. A listing of the
server, with headers where the names do not help, connects both.
"""

import asyncio
import re
import time
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


async def rebuild(
    client: Client,
    listing: Listing,
    destinations: Sequence[Destination],
    journal: Journal,
    now: int,
) -> Rebuilt:
    """Journal every listed message that all destinations have.

    Args:
        client: logged in.
        listing: of this session.
        destinations: to look into; each must have a message for it to count.
        journal: to write.
        now: seconds since 1970.

    Raises:
        StorageFailed: a destination cannot be read back (a pipe, LMTP).
    """
    account = client.account.name
    uidls = listing.uidls or ()
    keys = [MessageKey(uidl) for uidl in uidls]
    here = [_by_token_and_header(destination) for destination in destinations]
    known: dict[int, dict[str, Found]] = {}
    unknown: list[int] = []
    for place, key in enumerate(keys):
        found = [tokens.get(token_of(account, key)) for tokens, _ in here]
        if all(found):
            names = zip(destinations, found, strict=True)
            known[place] = {d.name: one for d, one in names if one is not None}
        else:
            unknown.append(place)
    numbers = {listing.numbers[place]: place for place in unknown}
    async for number, header in read_headers(client, [*numbers], pipelined=client.can_pipeline):
        if header is None:
            continue
        size = listing.octets[numbers[number]]
        matching = [headers.get((header_hash(header), size)) for _, headers in here]
        if all(matching):
            names = zip(destinations, matching, strict=True)
            known[numbers[number]] = {d.name: one for d, one in names if one is not None}
    _journal_known(known, keys, listing, journal, now)
    return Rebuilt(len(uidls), len(known))


def _journal_known(
    known: Mapping[int, Mapping[str, Found]],
    keys: Sequence[MessageKey],
    listing: Listing,
    journal: Journal,
    now: int,
) -> None:
    places = sorted(known)
    intents = [Intent(keys[p], listing.numbers[p], listing.octets[p]) for p in places]
    outcomes = []
    for place, intended in zip(places, journal.intend(intents, now=now), strict=True):
        held = {name: found.where for name, found in known[place].items()}
        one = next(iter(known[place].values()))
        received = Received(one.octets, one.sha256, one.header_sha256)
        outcomes.append(Outcome(intended.id, received, held, State.STORED))
    journal.commit(outcomes, {}, now=now)


def _by_token_and_header(
    destination: Destination,
) -> tuple[dict[str, Found], dict[tuple[bytes, int | None], Found]]:
    """Return what is in a destination, by our token in its place and by header and size."""
    tokens: dict[str, Found] = {}
    headers: dict[tuple[bytes, int | None], Found] = {}
    try:
        for found in destination.iterate():
            headers[found.header_sha256, found.octets] = found
            if token := _token_in(found.where):
                tokens[token] = found
    except DestinationUnavailable as cause:
        raise StorageFailed(str(cause), hint=cause.hint) from cause
    return tokens, headers


def _token_in(where: str) -> str | None:
    found = _TOKEN.search(where)
    return found[0] if found else None


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
            client, facts = await connect(account, await login(), journal.facts(), _ignore)
            try:
                listing = await client.read_listing(pipelined=client.can_pipeline)
                if listing.uidls is None:
                    raise ProtocolBroken("the server has no unique-ids to connect files with")
                rebuilt = await rebuild(client, listing, destinations, journal, int(time.time()))
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
