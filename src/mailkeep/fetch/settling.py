"""What a run does to the journal before and after it looks at the mailbox. All of it blocks.

recover     what a crashed run left: files that are there are adopted, half ones removed
settle      what a listing says of messages whose end was not known
"""

from collections.abc import Collection, Mapping, Sequence

from mailkeep.fetch.destinations.seam import Destination, DestinationUnavailable, Found
from mailkeep.fetch.failures import StorageFailed
from mailkeep.fetch.journal import Journal
from mailkeep.fetch.listing import Listing
from mailkeep.fetch.names import token_of
from mailkeep.fetch.plan import is_suspect
from mailkeep.fetch.received import Received
from mailkeep.fetch.rows import HEADER_ONLY, SUSPECT, Outcome, Row, State


def prepare_destinations(destinations: Sequence[Destination], journal: Journal) -> list[str]:
    """Make destinations ready, and undo what a crash left half done; return lines for people.

    Raises:
        StorageFailed: one has vanished or cannot be written.
    """
    told: list[str] = []
    try:
        for destination in destinations:
            destination.prepare(is_known=journal.stored_before(destination.name))
            told += destination.recover(journal.mark(destination.name))
    except DestinationUnavailable as cause:
        raise StorageFailed(str(cause), hint=cause.hint) from cause
    return told


def adopt_found(
    account: str, destinations: Sequence[Destination], journal: Journal, *, now: int
) -> int:
    """Look in every destination for messages that were asked for, and return how many have all.

    A crash between a message's file and its row leaves the file: it is found by its name (S-03).

    Raises:
        StorageFailed: a destination cannot be looked at.
    """
    rows = {token_of(account, row.key): row for row in journal.rows(State.FETCHING)}
    if not rows:
        return 0
    found = find_everywhere(destinations, rows.keys())
    names = {destination.name for destination in destinations}
    held = journal.held(rows[token].id for token in found)
    outcomes = [
        _adopted(rows[token], here, held[rows[token].id], names) for token, here in found.items()
    ]
    if outcomes:
        journal.commit(outcomes, {}, now=now)
    return sum(outcome.state is not State.FETCHING for outcome in outcomes)


def find_everywhere(
    destinations: Sequence[Destination], tokens: Collection[str]
) -> dict[str, dict[str, Found]]:
    """Return what is already there of some messages, by token and destination.

    Raises:
        StorageFailed: a destination cannot be looked at.
    """
    found: dict[str, dict[str, Found]] = {}
    try:
        for destination in destinations:
            for token, one in destination.find(tokens).items():
                found.setdefault(token, {})[destination.name] = one
    except DestinationUnavailable as cause:
        raise StorageFailed(str(cause), hint=cause.hint) from cause
    return found


def _adopted(
    row: Row, here: Mapping[str, Found], held: Mapping[str, str], names: Collection[str]
) -> Outcome:
    """Return what a file makes of a row: nothing that is deleted from the server too early.

    The file of a message of which only the header was asked for is whole and yet not the message.
    """
    one = next(iter(here.values()))
    received = Received(one.octets, one.sha256, one.header_sha256)
    now_held = {**held, **{name: found.where for name, found in here.items()}}
    if not set(names) <= now_held.keys():
        return Outcome(row.id, received, now_held, State.FETCHING, row.note)
    if row.note == HEADER_ONLY:
        return Outcome(row.id, received, now_held, State.HEADER)
    note = SUSPECT if is_suspect(row.announced, one.octets) else ""
    return Outcome(row.id, received, now_held, State.STORED, note)


def settle(listing: Listing, journal: Journal, *, now: int) -> None:
    """Decide what was open, now that the server lists what there is (S-05, S-06).

    What DELE and QUIT were said for and is listed is still there; what is not listed is gone. What
    was wanted and is not listed was removed by somebody else. A mailbox that shows nothing at all
    settles only what was to be deleted: it may be a server that is not itself (S-36).
    """
    listed = set(listing.uidls or ())
    deleting = journal.rows(State.DELETING)
    there = [row.id for row in deleting if row.key.uidl in listed]
    gone = [row.id for row in deleting if row.key.uidl not in listed]
    if there:
        journal.set_state(there, State.STORED, now=now)
    if gone:
        journal.set_state(gone, State.GONE, now=now)
    if listed:
        lost = [row.id for row in journal.rows(State.FETCHING) if row.key.uidl not in listed]
        if lost:
            journal.set_state(lost, State.GONE, now=now, note="removed by another client")
    _give_slashes_back(listed, journal)


def _give_slashes_back(listed: set[bytes], journal: Journal) -> None:
    """Find out what the unique-ids were that getmail wrote with `-` for `/`."""
    mangled = journal.mangled()
    if mangled:
        real = {uidl.replace(b"/", b"-"): uidl for uidl in listed}
        journal.rename({old: real[old] for old in mangled if old in real})


def note_missing(listed: set[bytes], settled: set[bytes], journal: Journal, *, now: int) -> None:
    """Remember since when stored messages are not listed; see `Journal.note_missing`."""
    before = journal.missing()
    missing = settled - listed - before
    again = before & listed
    if listed and (missing or before):
        journal.note_missing(missing, again, now=now)
