"""What a crash left open, and what a listing says of it: in real journals and real Maildirs."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailkeep.fetch.destinations.maildir import MaildirDestination
from mailkeep.fetch.destinations.pipe import PipeDestination
from mailkeep.fetch.destinations.seam import Destination, Slot, Stored
from mailkeep.fetch.failures import FetchExit, StorageFailed
from mailkeep.fetch.journal import Journal, open_journal
from mailkeep.fetch.listing import Listing
from mailkeep.fetch.names import MessageKey, token_of
from mailkeep.fetch.received import receive_whole
from mailkeep.fetch.rows import (
    HEADER_ONLY,
    IMPORTED,
    MANGLED,
    SUSPECT,
    Intent,
    Outcome,
    Row,
    State,
)
from mailkeep.fetch.settling import (
    adopt_found,
    find_everywhere,
    note_missing,
    prepare_destinations,
    settle,
)

ACCOUNT = "alice@mail.example.com"
NOW = 1_700_000_000
MESSAGE = b"Subject: one\r\n\r\n" + b"body\r\n" * 20
HEADER = b"Subject: one\r\n\r\n"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(open_journal(tmp_path / "journal.db")) as journal:
        yield journal


@pytest.fixture
def places(tmp_path: Path) -> list[Destination]:
    both: list[Destination] = [MaildirDestination(tmp_path / name) for name in ("one", "two")]
    for each in both:
        each.prepare(is_known=False)
    return both


def listing(*uidls: bytes) -> Listing:
    return Listing(range(1, len(uidls) + 1), uidls, [100] * len(uidls))


def intend(
    journal: Journal,
    *keys: MessageKey,
    announced: int | None = len(MESSAGE),
    header_only: bool = False,
) -> list[int]:
    intents = [Intent(key, place, announced, header_only) for place, key in enumerate(keys, 1)]
    return [one.id for one in journal.intend(intents, now=NOW)]


def put_file(destination: Destination, key: MessageKey, octets: bytes = MESSAGE) -> None:
    """Leave what a crash between a message's file and its row leaves."""
    writer = destination.open(Slot(token_of(ACCOUNT, key), NOW, 1))
    writer.write(octets)
    destination.begin_batch()
    (stored,) = destination.commit([writer])
    destination.end_batch()
    assert isinstance(stored, Stored)


def store(journal: Journal, *uidls: bytes) -> list[int]:
    numbers = intend(journal, *map(MessageKey, uidls))
    whole = receive_whole(MESSAGE)
    done = [Outcome(n, whole, {"maildir:x": "x"}, State.STORED) for n in numbers]
    journal.commit(done, {}, now=NOW)
    return numbers


def row_of(journal: Journal, uidl: bytes) -> Row:
    (row,) = journal.rows_of([uidl])
    return row


def states(journal: Journal) -> dict[bytes, State]:
    return journal.states()


def test_a_file_whose_row_was_not_written_is_adopted(
    journal: Journal, places: Sequence[Destination]
) -> None:
    """S-03: it is found by its name and not stored a second time."""
    (number,) = intend(journal, MessageKey(b"A"))
    intend(journal, MessageKey(b"B"))
    put_file(places[0], MessageKey(b"A"))
    assert adopt_found(ACCOUNT, places[:1], journal, now=NOW + 5) == 1
    row = row_of(journal, b"A")
    whole = receive_whole(MESSAGE)
    assert (row.state, row.stored_at, row.note) == (State.STORED, NOW + 5, "")
    assert (row.octets, row.sha256, row.header_sha256) == (
        whole.octets,
        whole.sha256,
        whole.header_sha256,
    )
    assert journal.deletable([places[0].name]).keys() == {(b"A", 0)}
    assert Path(journal.held([number])[number][places[0].name]).read_bytes() == MESSAGE
    assert row_of(journal, b"B").state is State.FETCHING
    assert adopt_found(ACCOUNT, places[:1], journal, now=NOW + 5) == 0


def test_a_file_in_one_of_two_places_is_remembered_and_not_yet_enough(
    journal: Journal, places: Sequence[Destination]
) -> None:
    """S-64: a retry stores only where it is missing; then what both runs found counts together."""
    (number,) = intend(journal, MessageKey(b"A"))
    put_file(places[0], MessageKey(b"A"))
    assert adopt_found(ACCOUNT, places, journal, now=NOW) == 0
    assert row_of(journal, b"A").state is State.FETCHING
    assert journal.held([number])[number].keys() == {places[0].name}
    assert journal.deletable([one.name for one in places]) == {}
    put_file(places[1], MessageKey(b"A"))
    assert adopt_found(ACCOUNT, places[1:], journal, now=NOW) == 1
    assert journal.held([number])[number].keys() == {one.name for one in places}


def test_a_pipe_keeps_what_is_half_done_open(
    journal: Journal, places: Sequence[Destination], tmp_path: Path
) -> None:
    """A destination that cannot be looked into has nothing until it has answered."""
    pipe = PipeDestination(["/bin/cat"], tmp_path)
    intend(journal, MessageKey(b"A"))
    put_file(places[0], MessageKey(b"A"))
    assert adopt_found(ACCOUNT, [places[0], pipe], journal, now=NOW) == 0
    assert row_of(journal, b"A").state is State.FETCHING


@pytest.mark.parametrize("generation", [0, 1])
def test_the_file_of_another_generation_is_another_message(
    journal: Journal, places: Sequence[Destination], generation: int
) -> None:
    """S-31: the unique-id was used before; the old file says nothing of the new message."""
    intend(journal, MessageKey(b"A", 0, generation))
    put_file(places[0], MessageKey(b"A", 0, 1 - generation))
    put_file(places[0], MessageKey(b"A", 1, generation))
    assert adopt_found(ACCOUNT, places[:1], journal, now=NOW) == 0
    assert row_of(journal, b"A").state is State.FETCHING


def test_a_header_that_a_crash_has_left_is_not_taken_for_the_message(
    journal: Journal, places: Sequence[Destination]
) -> None:
    """With `--larger-than 20M headers` only the header is here; the message must stay there."""
    intend(journal, MessageKey(b"A"), announced=len(MESSAGE), header_only=True)
    assert row_of(journal, b"A").note == HEADER_ONLY
    put_file(places[0], MessageKey(b"A"), HEADER)
    assert adopt_found(ACCOUNT, places[:1], journal, now=NOW) == 1
    assert row_of(journal, b"A").state is State.HEADER
    assert journal.deletable([places[0].name]) == {}


def test_a_header_in_one_of_two_places_stays_a_header(
    journal: Journal, places: Sequence[Destination]
) -> None:
    """Whatever crashes come between the two."""
    intend(journal, MessageKey(b"A"), header_only=True)
    put_file(places[0], MessageKey(b"A"), HEADER)
    adopt_found(ACCOUNT, places, journal, now=NOW)
    put_file(places[1], MessageKey(b"A"), HEADER)
    adopt_found(ACCOUNT, places, journal, now=NOW)
    assert row_of(journal, b"A").state is State.HEADER


def test_a_file_much_shorter_than_announced_is_suspect(
    journal: Journal, places: Sequence[Destination]
) -> None:
    """S-46: what was cut is kept on the server, crash or no crash."""
    intend(journal, MessageKey(b"A"), announced=10 * len(MESSAGE))
    put_file(places[0], MessageKey(b"A"))
    assert adopt_found(ACCOUNT, places[:1], journal, now=NOW) == 1
    row = row_of(journal, b"A")
    assert (row.state, row.note) == (State.STORED, SUSPECT)


def test_a_place_that_cannot_be_looked_at_ends_the_run(
    journal: Journal, places: Sequence[Destination], tmp_path: Path
) -> None:
    """S-14: to go on would store everything again as soon as it is back."""
    intend(journal, MessageKey(b"A"))
    (tmp_path / "two" / "new").rename(tmp_path / "unmounted")
    with pytest.raises(StorageFailed) as refused:
        adopt_found(ACCOUNT, places, journal, now=NOW)
    assert refused.value.code is FetchExit.STORAGE
    with pytest.raises(StorageFailed):
        find_everywhere(places, ["K" + "0" * 32])


def test_a_place_that_has_vanished_is_not_made_anew(
    journal: Journal, places: Sequence[Destination], tmp_path: Path
) -> None:
    """S-14: messages were stored there, so a folder that is not there is not mounted."""
    assert prepare_destinations(places, journal) == []
    (number,) = intend(journal, MessageKey(b"A"))
    held = {places[0].name: "x"}
    journal.commit([Outcome(number, receive_whole(b""), held, State.FETCHING)], {}, now=NOW)
    for name in ("one", "two"):
        (tmp_path / name).rename(tmp_path / f"{name}-unmounted")
    with pytest.raises(StorageFailed, match="vanished") as refused:
        prepare_destinations(places, journal)
    assert refused.value.hint
    assert not (tmp_path / "one").exists()
    assert prepare_destinations(places[1:], journal) == []
    assert (tmp_path / "two" / "cur").is_dir()


def test_what_was_to_be_deleted_is_gone_if_it_is_not_listed(journal: Journal) -> None:
    """S-05, S-06, S-07: the next listing settles it, and nothing is downloaded again."""
    store(journal, b"there", b"gone")
    numbers = [row.id for row in journal.rows(State.STORED)]
    journal.set_state(numbers, State.DELETING, now=NOW)
    settle(listing(b"there"), journal, now=NOW)
    assert states(journal) == {b"there": State.STORED, b"gone": State.GONE}
    assert journal.deletable(["maildir:x"]).keys() == {(b"there", 0)}


def test_an_empty_mailbox_settles_only_deletions(journal: Journal) -> None:
    """S-36: a server that is not itself prunes nothing; a mailbox that was emptied is empty."""
    (deleting, _) = store(journal, b"deleting", b"stored")
    journal.set_state([deleting], State.DELETING, now=NOW)
    intend(journal, MessageKey(b"fetching"))
    settle(listing(), journal, now=NOW)
    note_missing(set(), {b"stored"}, journal, now=NOW)
    assert states(journal) == {
        b"deleting": State.GONE,
        b"stored": State.STORED,
        b"fetching": State.FETCHING,
    }
    assert journal.missing() == set()


def test_what_was_wanted_and_is_not_listed_was_removed_by_somebody(journal: Journal) -> None:
    """S-38: nobody looks for it for ever."""
    intend(journal, MessageKey(b"A"), MessageKey(b"B"))
    settle(listing(b"B"), journal, now=NOW)
    assert states(journal) == {b"A": State.GONE, b"B": State.FETCHING}
    assert row_of(journal, b"A").note == "removed by another client"


def test_a_listing_gives_slashes_back(journal: Journal) -> None:
    """getmail writes `-` for `/`: what it has fetched is not fetched again."""
    intents = [Intent(MessageKey(uidl), 1, None) for uidl in (b"a-b", b"c-d", b"gone-e")]
    journal.leave(intents, now=NOW, note=MANGLED)
    settle(listing(b"a/b", b"c-d", b"x/y"), journal, now=NOW)
    assert journal.settled().keys() == {b"a/b", b"c-d", b"gone-e"}
    assert {row_of(journal, uidl).note for uidl in (b"a/b", b"c-d")} == {IMPORTED}
    assert journal.mangled() == [b"gone-e"]


def test_a_message_is_missing_from_its_first_listing_without_it(journal: Journal) -> None:
    """S-37: a server that hides read mail shows it again; the grace begins anew then."""
    store(journal, b"A", b"B")
    note_missing({b"B"}, {b"A", b"B"}, journal, now=NOW)
    assert journal.missing() == {b"A"}
    note_missing({b"B"}, {b"A", b"B"}, journal, now=NOW + 5)
    assert row_of(journal, b"A").missing_since == NOW
    note_missing({b"A", b"B"}, {b"A", b"B"}, journal, now=NOW + 6)
    assert journal.missing() == set()


def test_a_listing_with_nothing_missing_writes_nothing(journal: Journal, tmp_path: Path) -> None:
    """A second run with nothing new waits for no disk."""
    store(journal, b"A")
    log = tmp_path / "journal.db-wal"
    before = log.stat().st_size
    settle(listing(b"A"), journal, now=NOW)
    note_missing({b"A"}, {b"A"}, journal, now=NOW)
    assert log.stat().st_size == before
