"""The journal in real files: durable before, all or nothing, and never read wrong."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from tests.harness.programs import cannot_run
from tests.harness.site import python_path

from mailkeep.fetch.failures import FetchExit, JournalUnusable, StorageFailed
from mailkeep.fetch.journal import GRACE_S, Journal, open_journal
from mailkeep.fetch.journal_file import VERSION
from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.received import Received, receive_whole
from mailkeep.fetch.rows import (
    HEADER_ONLY,
    IMPORTED,
    MANGLED,
    SUSPECT,
    Intent,
    Outcome,
    Row,
    Safe,
    State,
)

NOW = 1_700_000_000
LATER = NOW + 1000
MAILDIR, MBOX = "maildir:/home/a/Mail", "mbox:/home/a/mbox"
ONE = receive_whole(b"Subject: one\r\n\r\nbody\r\n")
TWO = receive_whole(b"Subject: two\r\n\r\nbody\r\n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with contextlib.closing(open_journal(path)) as journal:
        yield journal


def intent(
    uidl: bytes,
    ordinal: int = 0,
    generation: int = 0,
    *,
    place: int = 1,
    announced: int | None = 100,
    header_only: bool = False,
) -> Intent:
    return Intent(MessageKey(uidl, ordinal, generation), place, announced, header_only)


def outcome(
    number: int,
    state: State = State.STORED,
    *,
    received: Received = ONE,
    held: Sequence[str] = (MAILDIR,),
    note: str = "",
    failed: bool = False,
) -> Outcome:
    places = {name: f"{name}/{number}" for name in held}
    return Outcome(number, received, places, state, note, failed)


def intend(journal: Journal, *intents: Intent, now: int = NOW) -> list[int]:
    return [one.id for one in journal.intend(intents, now=now)]


def store(
    journal: Journal,
    *uidls: bytes,
    held: Sequence[str] = (MAILDIR,),
    note: str = "",
    now: int = NOW,
    received: Received = ONE,
) -> list[int]:
    numbers = intend(journal, *map(intent, uidls), now=now)
    done = [outcome(number, held=held, note=note, received=received) for number in numbers]
    journal.commit(done, {}, now=now)
    return numbers


def only(journal: Journal, uidl: bytes) -> Row:
    (row,) = journal.rows_of([uidl])
    return row


def test_a_new_journal_knows_nothing(journal: Journal) -> None:
    """Every question has an answer before anything was noted."""
    assert journal.is_empty()
    assert (journal.settled(), journal.others(), journal.counts()) == ({}, [], {})
    assert (journal.states(), journal.missing(), journal.mangled()) == ({}, set(), [])
    assert (journal.facts(), journal.fact("clock"), journal.mark(MBOX)) == ({}, None, None)
    assert journal.gone([b"A"]) == journal.rows_of([b"A"]) == journal.rows(State.STORED) == []
    assert journal.held([7]) == {7: {}}
    assert journal.count_suspect() == 0
    assert not journal.stored_before(MAILDIR)
    assert journal.deletable([MAILDIR]) == {}


def test_intents_survive(path: Path) -> None:
    """What was journalled before RETR is there after a crash, with its time and its place."""
    with contextlib.closing(open_journal(path)) as journal:
        journal.intend([intent(b"A", place=7), intent(b"A", 1, place=8)], now=NOW)
    with contextlib.closing(open_journal(path, create=False)) as journal:
        rows = journal.rows(State.FETCHING)
    assert [(row.key, row.place, row.listed_at) for row in rows] == [
        (MessageKey(b"A"), 7, NOW),
        (MessageKey(b"A", 1), 8, NOW),
    ]
    assert {row.announced for row in rows} == {100}
    assert {(row.octets, row.sha256, row.stored_at) for row in rows} == {(None, None, None)}


def test_a_message_that_is_intended_again_keeps_its_time_and_place(journal: Journal) -> None:
    """Its file is named by them; a new name would be a second file."""
    (first,) = journal.intend([intent(b"A", place=7)], now=NOW)
    again = journal.intend([intent(b"A", place=3, announced=5)], now=LATER)
    assert again == [first]
    assert (first.listed_at, first.place, first.was_there) == (NOW, 7, False)
    assert only(journal, b"A").announced == 5


def test_another_generation_or_ordinal_is_another_row(journal: Journal) -> None:
    """Rows are never reused for another message."""
    intents = [intent(b"A"), intent(b"A", 1), intent(b"A", 0, 1)]
    assert len(set(intend(journal, *intents))) == 3
    keys = {row.key for row in journal.rows_of([b"A"])}
    assert keys == {MessageKey(b"A", 1), MessageKey(b"A", 0, 1)}, "the newest of each ordinal"


def test_an_intent_tells_what_an_earlier_try_has_left(journal: Journal) -> None:
    """S-64: a destination that has the message does not get it again."""
    (number,) = intend(journal, intent(b"A"))
    journal.commit([outcome(number, State.FETCHING, note="x", failed=True)], {}, now=NOW)
    (again,) = journal.intend([intent(b"A")], now=LATER)
    assert (again.was_there, again.failures) == (True, 1)
    assert journal.held([number]) == {number: {MAILDIR: f"{MAILDIR}/{number}"}}
    assert only(journal, b"A").note == "x", "the reason stays until there is another"


def test_an_intent_says_whether_only_the_header_is_wanted(journal: Journal) -> None:
    """A file that a crash has left of it must not count as the message."""
    intend(journal, intent(b"A", header_only=True))
    assert only(journal, b"A").note == HEADER_ONLY
    intend(journal, intent(b"A", header_only=True))
    assert only(journal, b"A").note == HEADER_ONLY
    intend(journal, intent(b"A"))
    assert only(journal, b"A").note == ""


def test_a_commit_notes_what_came_and_where_it_is(journal: Journal) -> None:
    """One transaction has the rows, the places and the marks."""
    one, two, three = intend(journal, intent(b"A"), intent(b"B"), intent(b"C"))
    outcomes = [
        outcome(one, held=(MAILDIR, MBOX)),
        outcome(two, State.HEADER, received=TWO),
        outcome(three, State.QUARANTINED, held=(), note="no", failed=True),
    ]
    journal.commit(outcomes, {MBOX: 4711, MAILDIR: None}, now=LATER)
    row = only(journal, b"A")
    assert (row.state, row.octets, row.sha256) == (State.STORED, ONE.octets, ONE.sha256)
    assert (row.header_sha256, row.stored_at) == (ONE.header_sha256, LATER)
    assert only(journal, b"B").state is State.HEADER
    assert only(journal, b"B").stored_at == LATER
    row = only(journal, b"C")
    assert (row.state, row.failures, row.note) == (State.QUARANTINED, 1, "no")
    assert row.stored_at is None
    assert journal.held([one])[one].keys() == {MAILDIR, MBOX}
    assert (journal.mark(MBOX), journal.mark(MAILDIR)) == (4711, None)
    assert journal.counts() == {State.STORED: 1, State.HEADER: 1, State.QUARANTINED: 1}


def test_a_destination_is_known_once_it_held_something_or_was_begun(journal: Journal) -> None:
    """S-14: from then on a place that is missing has vanished."""
    store(journal, b"A")
    assert journal.stored_before(MAILDIR)
    assert not journal.stored_before(MBOX)
    journal.set_mark(MBOX, 0)
    assert journal.stored_before(MBOX)
    journal.set_mark(MBOX, 10)
    assert journal.mark(MBOX) == 10


def test_a_commit_that_fails_in_the_middle_changes_nothing(journal: Journal, path: Path) -> None:
    """Half a batch would be rows without files, or a mark that cuts mail off."""
    one, two = intend(journal, intent(b"A"), intent(b"B"))
    journal.set_mark(MAILDIR, 1)
    broken = replace(outcome(two), held={"dir:/new": cast("str", None)})
    with pytest.raises(StorageFailed):
        journal.commit([outcome(one, held=(MAILDIR, MBOX)), broken], {MAILDIR: 2}, now=NOW)
    assert journal.counts() == {State.FETCHING: 2}
    assert journal.held([one, two]) == {one: {}, two: {}}
    assert journal.mark(MAILDIR) == 1
    assert not journal.stored_before(MBOX)
    # What the failed transaction has numbered must not be taken for known by the next.
    journal.set_mark("pipe:x", 3)
    journal.commit([outcome(one, held=(MAILDIR, MBOX))], {MBOX: 2}, now=NOW)
    with contextlib.closing(open_journal(path)) as other:
        assert other.held([one])[one].keys() == {MAILDIR, MBOX}
        assert (other.mark("pipe:x"), other.mark(MBOX), other.mark(MAILDIR)) == (3, 2, 1)


def test_a_commit_that_the_disk_refuses_is_undone(journal: Journal) -> None:
    """S-09: the journal stays usable, and says nothing that it was not able to write."""

    def refuse(action: int, word: str | None, *_: object) -> int:
        is_commit = action == sqlite3.SQLITE_TRANSACTION and word == "COMMIT"
        return sqlite3.SQLITE_DENY if is_commit else sqlite3.SQLITE_OK

    journal._connection.set_authorizer(refuse)
    with pytest.raises(StorageFailed):
        intend(journal, intent(b"A"))
    journal._connection.set_authorizer(None)
    assert journal.is_empty()
    intend(journal, intent(b"B"))
    assert journal.states() == {b"B": State.FETCHING}


KILLED = """
import os, signal, sys
from pathlib import Path
from mailkeep.fetch.journal import open_journal
from mailkeep.fetch.received import receive_whole
from mailkeep.fetch.rows import Outcome, State

def trace(statement):
    if statement.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

journal = open_journal(Path(sys.argv[1]))
rows = journal.rows(State.FETCHING)
journal._connection.set_trace_callback(trace)
done = [Outcome(row.id, receive_whole(b""), {"mbox:x": "x"}, State.STORED) for row in rows]
journal.commit(done, {"mbox:x": 99}, now=0)
print("done")
"""


@pytest.mark.parametrize(
    ("statement", "is_done"),
    [
        ("BEGIN", False),
        ("UPDATE message", False),
        ("INSERT OR REPLACE INTO held", False),
        ("UPDATE destination", False),
        ("COMMIT", False),
        ("never", True),
    ],
)
def test_a_commit_that_is_killed_leaves_all_or_nothing(
    path: Path, statement: str, is_done: bool
) -> None:
    """S-08: no torn tail, no marks without rows."""
    with contextlib.closing(open_journal(path)) as journal:
        numbers = intend(journal, intent(b"A"), intent(b"B"))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), statement],
        env=os.environ | python_path(),
        check=False,
        timeout=30,
    )
    assert done.returncode == (0 if is_done else -signal.SIGKILL)
    with contextlib.closing(open_journal(path)) as journal:
        state = State.STORED if is_done else State.FETCHING
        assert journal.counts() == {state: 2}
        assert journal.mark("mbox:x") == (99 if is_done else None)
        held = journal.held(numbers)
        assert [len(held[number]) for number in numbers] == [is_done, is_done]


def test_what_needs_nothing_is_settled_and_the_rest_is_not(journal: Journal) -> None:
    """Planning reads a hundred thousand settled rows as two columns, and the others as rows."""
    store(journal, b"stored")
    journal.leave([intent(b"left"), intent(b"unsized", announced=None)], now=NOW, note="x")
    journal.leave([intent(b"header")], now=NOW, note="x", state=State.HEADER)
    intend(journal, intent(b"fetching"), intent(b"stored", 1))
    (gone,) = store(journal, b"gone")
    journal.set_state([gone], State.GONE, now=NOW)
    assert journal.settled() == {b"stored": 100, b"left": 100, b"unsized": None}
    assert {row.key for row in journal.others()} == {
        MessageKey(b"header"),
        MessageKey(b"fetching"),
        MessageKey(b"stored", 1),
    }
    assert [row.key for row in journal.gone([b"gone", b"stored", b"never"])] == [
        MessageKey(b"gone")
    ]


def test_a_settled_twin_is_among_the_others(journal: Journal) -> None:
    """S-30: `settled` has one size a unique-id, that of ordinal 0."""
    numbers = intend(journal, intent(b"A", announced=1), intent(b"A", 1, announced=2))
    journal.commit([outcome(number) for number in numbers], {}, now=NOW)
    assert journal.settled() == {b"A": 1}
    assert [row.key for row in journal.others()] == [MessageKey(b"A", 1)]


def test_only_the_newest_generation_stands_for_a_message(journal: Journal) -> None:
    """A header whose message was stored whole and deleted is no reason to use its row again.

    The row of the generation that is gone says where it was held; a new message in that row would
    count as held.
    """
    journal.leave([intent(b"A")], now=NOW, note="x", state=State.HEADER)
    (number,) = intend(journal, intent(b"A", 0, 1))
    assert [row.key.generation for row in journal.others()] == [1]
    journal.commit([outcome(number)], {}, now=NOW)
    assert (journal.others(), journal.settled()) == ([], {b"A": 100})
    journal.set_state([number], State.GONE, now=NOW)
    assert (journal.others(), journal.settled()) == ([], {})
    assert [row.key.generation for row in journal.gone([b"A"])] == [1]


def test_states_are_those_of_the_newest_message(journal: Journal) -> None:
    """`list` and `status` show one state a unique-id."""
    (old,) = store(journal, b"A")
    journal.set_state([old], State.GONE, now=NOW)
    intend(journal, intent(b"A", 0, 1))
    store(journal, b"B", note=SUSPECT)
    assert journal.states() == {b"A": State.FETCHING, b"B": State.STORED}
    assert journal.count_suspect() == 1


def test_what_is_known_stays_when_it_is_left(journal: Journal) -> None:
    """An import on top of a journal takes nothing back."""
    store(journal, b"A")
    journal.leave([intent(b"A"), intent(b"B")], now=LATER, note=IMPORTED)
    assert only(journal, b"A").state is State.STORED
    row = only(journal, b"B")
    assert (row.state, row.note, row.listed_at) == (State.LEFT, IMPORTED, LATER)


def test_only_what_every_destination_holds_is_deletable(journal: Journal) -> None:
    """Rule 0: a destination that was added later holds less; a removed one does not count."""
    (both,) = store(journal, b"both", held=(MAILDIR, MBOX), note=SUSPECT)
    (one,) = store(journal, b"one", held=(MAILDIR,), now=LATER)
    intend(journal, intent(b"fetching"))
    journal.leave([intent(b"left")], now=NOW, note="x")
    (header,) = intend(journal, intent(b"header"))
    journal.commit([outcome(header, State.HEADER, held=(MAILDIR, MBOX))], {}, now=NOW)
    safe = {(b"both", 0): Safe(both, NOW, SUSPECT)}
    assert journal.deletable([MAILDIR, MBOX]) == safe
    assert journal.deletable([MBOX]) == safe
    assert journal.deletable([MAILDIR]) == safe | {(b"one", 0): Safe(one, LATER, "")}
    assert journal.deletable([MAILDIR, "dir:/new"]) == {}
    assert journal.deletable([]) == {}, "with no destination nothing is safe"


def test_a_migrated_message_takes_its_places_along(journal: Journal) -> None:
    """S-32: under its new unique-id it is stored where it was, and the old row is gone."""
    (old,) = store(journal, b"old", held=(MAILDIR, MBOX), note=SUSPECT)
    (new,) = intend(journal, intent(b"new"))
    journal.adopt([(new, only(journal, b"old"))], now=LATER)
    row = only(journal, b"new")
    assert (row.state, row.sha256, row.stored_at) == (State.STORED, ONE.sha256, NOW)
    assert row.note == SUSPECT
    assert journal.held([new])[new] == journal.held([old])[old]
    assert (only(journal, b"old").state, only(journal, b"old").note) == (State.GONE, "renamed")
    assert journal.deletable([MAILDIR, MBOX]).keys() == {(b"new", 0)}


def test_a_message_that_was_gone_and_is_listed_again_is_stored(journal: Journal) -> None:
    """A backup of the server was put back: what is there must not be noted as gone."""
    (old,) = store(journal, b"A")
    journal.set_state([old], State.GONE, now=NOW)
    (new,) = intend(journal, intent(b"A", 0, 1))
    journal.adopt([(new, journal.gone([b"A"])[0])], now=LATER)
    assert only(journal, b"A").state is State.STORED
    assert journal.settled() == {b"A": 100}
    assert journal.deletable([MAILDIR]) == {(b"A", 0): Safe(new, NOW, "")}


def test_unique_ids_with_slashes_are_given_back(journal: Journal) -> None:
    """getmail writes `-` for `/`; only a listing tells what it was."""
    journal.leave([intent(b"a-b"), intent(b"c-d"), intent(b"e-f")], now=NOW, note=MANGLED)
    journal.leave([intent(b"x-y")], now=NOW, note=IMPORTED)
    store(journal, b"e/f")
    assert set(journal.mangled()) == {b"a-b", b"c-d", b"e-f"}
    journal.rename({b"a-b": b"a/b", b"c-d": b"c-d", b"e-f": b"e/f", b"x-y": b"x/y"})
    assert journal.settled().keys() == {b"a/b", b"c-d", b"e-f", b"e/f", b"x-y"}
    assert only(journal, b"a/b").note == IMPORTED
    assert only(journal, b"e/f").state is State.STORED, "what is known stays"


def test_sizes_are_learned_once_and_corrected_by_number(journal: Journal) -> None:
    """S-31: a size that is known is what a reused unique-id is told by."""
    journal.leave([intent(b"A", announced=None), intent(b"B")], now=NOW, note=IMPORTED)
    journal.set_sizes([(b"A", 5), (b"B", 6), (b"C", 7)])
    assert journal.settled() == {b"A": 5, b"B": 100}
    journal.set_announced({only(journal, b"B").id: 9, 999: 1})
    assert journal.settled() == {b"A": 5, b"B": 9}


def test_a_state_is_set_with_its_time_and_its_note(journal: Journal, path: Path) -> None:
    """A note is only replaced by another; GONE says since when."""
    one, two = store(journal, b"A", b"B", note=SUSPECT)
    journal.set_state([one, two], State.DELETING, now=NOW)
    journal.set_state([one], State.GONE, now=LATER)
    journal.set_state([two], State.STORED, now=LATER, note="back")
    assert (only(journal, b"A").state, only(journal, b"A").note) == (State.GONE, SUSPECT)
    assert (only(journal, b"B").state, only(journal, b"B").note) == (State.STORED, "back")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT gone_at FROM message ORDER BY id").fetchall() == [
            (LATER,),
            (None,),
        ]


def test_failures_are_counted_and_end_in_quarantine(journal: Journal) -> None:
    """S-68: the third failure sets a message aside, whatever the reasons."""
    (number,) = intend(journal, intent(b"A"))
    assert [journal.fail(number, reason, limit=3) for reason in "abc"] == [1, 2, 3]
    row = only(journal, b"A")
    assert (row.state, row.failures, row.note) == (State.QUARANTINED, 3, "c")
    (number,) = intend(journal, intent(b"B"))
    assert journal.fail(number, "a", limit=3) == 1
    assert only(journal, b"B").state is State.FETCHING


def test_what_is_missing_for_long_is_gone_and_what_comes_back_is_not(journal: Journal) -> None:
    """S-36, S-37: 30 days of grace, counted from the first listing without it."""
    store(journal, b"A", b"B")
    journal.leave([intent(b"C")], now=NOW, note="x")
    (header,) = intend(journal, intent(b"H"))
    journal.commit([outcome(header, State.HEADER)], {}, now=NOW)
    journal.note_missing([b"A", b"B", b"C", b"H"], [], now=NOW)
    assert journal.missing() == {b"A", b"B", b"C"}
    journal.note_missing([b"A"], [b"B"], now=NOW + GRACE_S)
    assert journal.missing() == {b"A", b"C"}
    assert journal.settled().keys() == {b"A", b"B", b"C"}
    journal.note_missing([], [], now=NOW + GRACE_S + 1)
    assert journal.settled().keys() == {b"B"}
    assert {row.key.uidl for row in journal.gone([b"A", b"B", b"C", b"H"])} == {b"A", b"C"}


def test_facts_are_kept(journal: Journal, path: Path) -> None:
    """What was seen of an account once; the last word counts."""
    journal.set_facts({"tls": "yes", "clock": "1"})
    journal.set_facts({"clock": "2"})
    with contextlib.closing(open_journal(path)) as other:
        assert other.facts() == {"tls": "yes", "clock": "2"}
        assert (other.fact("clock"), other.fact("scram")) == ("2", None)


@pytest.mark.parametrize(
    "uidl", [b"", b"\0", b"../..", b"'; DROP TABLE message; --", bytes(range(256)), b"x" * 100_000]
)
def test_any_octets_are_a_unique_id(journal: Journal, uidl: bytes) -> None:
    """S-35: kept raw, found again, never a part of a statement."""
    store(journal, uidl)
    assert journal.settled() == {uidl: 100}
    assert only(journal, uidl).key.uidl == uidl
    assert journal.deletable([MAILDIR]).keys() == {(uidl, 0)}
    journal.note_missing([uidl], [], now=NOW)
    assert journal.missing() == {uidl}


def test_a_reader_beside_a_writer_sees_what_was_committed(path: Path, journal: Journal) -> None:
    """`status` and `list` look while a run is under way, and neither waits for the other."""
    store(journal, b"A")
    with contextlib.closing(open_journal(path, create=False)) as reader:
        journal._connection.execute("BEGIN IMMEDIATE")
        journal._connection.execute("UPDATE message SET state = 4")
        assert reader.states() == {b"A": State.STORED}
        journal._connection.execute("COMMIT")
        assert reader.states() == {b"A": State.QUARANTINED}


def test_close_may_be_called_twice(path: Path) -> None:
    """Whoever cleans up need not know what was done already."""
    journal = open_journal(path)
    journal.close()
    journal.close()


def damage_garbage(path: Path) -> None:
    path.write_bytes(os.urandom(8192))


def damage_text(path: Path) -> None:
    path.write_text("this was a journal\n")


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_first_page_only(path: Path) -> None:
    os.truncate(path, 4096)


def damage_half_a_page(path: Path) -> None:
    os.truncate(path, 2048)


def damage_header_only(path: Path) -> None:
    os.truncate(path, 50)


def damage_last_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def damage_other_database(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")


def damage_no_table(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE held")
        connection.execute("DROP TABLE message")


def damage_no_column(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE message RENAME COLUMN announced TO size")


def damage_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))


DAMAGES = [
    damage_garbage,
    damage_text,
    damage_empty,
    damage_first_page_only,
    damage_half_a_page,
    damage_header_only,
    damage_last_page,
    damage_other_database,
    damage_no_table,
    damage_no_column,
    damage_pages,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
def test_a_damaged_journal_is_told_of_before_anything_is_fetched(
    path: Path, damage: Callable[[Path], None]
) -> None:
    """S-10: exit code 11 with the way out; nothing is made anew or downloaded again."""
    with contextlib.closing(open_journal(path)) as journal:
        store(journal, *(b"%0100d" % number for number in range(200)))
    damage(path)
    before = path.read_bytes()
    with (
        pytest.raises(JournalUnusable) as refused,
        contextlib.closing(open_journal(path)) as journal,
    ):
        journal.settled()  # what a run reads first
    assert refused.value.code is FetchExit.JOURNAL
    assert "state rebuild" in (refused.value.hint or "")
    assert str(path) in str(refused.value)
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_version_is_left_alone(path: Path) -> None:
    """What it means is not known here, so not one octet of it is changed."""
    open_journal(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalUnusable, match="newer version") as refused:
        open_journal(path)
    assert refused.value.code is FetchExit.JOURNAL
    assert path.read_bytes() == before


def test_a_journal_that_was_moved_away_leaves_nothing_to_the_new_one(path: Path) -> None:
    """SQLite would play a log that was left beside it into the new file."""
    journal = open_journal(path)
    store(journal, b"A")
    shutil.copy(f"{path}-wal", path.with_name("kept-wal"))
    journal.close()
    path.unlink()
    path.with_name("kept-wal").rename(f"{path}-wal")
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.is_empty()
        store(journal, b"B")
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.settled().keys() == {b"B"}


def test_what_a_crash_has_left_of_a_new_journal_is_in_nobodys_way(path: Path) -> None:
    """A journal has its name when it is whole."""
    path.with_name("journal.db.new").write_bytes(b"half a jour")
    path.with_name("journal.db.new-journal").write_bytes(b"half")
    with contextlib.closing(open_journal(path)) as journal:
        assert journal.is_empty()
        store(journal, b"A")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_journal_is_not_made_where_it_is_only_read(path: Path) -> None:
    """`status` of an account that was never fetched writes nothing."""
    with pytest.raises(StorageFailed):
        open_journal(path, create=False)
    assert [*path.parent.iterdir()] == []


@pytest.mark.parametrize("name", ["none/journal.db", "file/journal.db", "folder"])
def test_a_journal_that_cannot_be_made_is_a_matter_of_storage(tmp_path: Path, name: str) -> None:
    """Exit code 9: nothing is damaged."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageFailed) as refused:
        open_journal(tmp_path / name)
    assert refused.value.code is FetchExit.STORAGE


def test_a_journal_that_somebody_keeps_locked_is_a_matter_of_storage(
    path: Path, journal: Journal
) -> None:
    """A backup program that holds it for too long has damaged nothing."""
    journal._connection.execute("PRAGMA busy_timeout = 0")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailed, match="locked"):
            journal.set_facts({"a": "b"})
        other.execute("ROLLBACK")
    journal.set_facts({"a": "b"})
    assert journal.facts() == {"a": "b"}


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """Have a disk of a megabyte."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode != 0:
        cannot_run(f"cannot mount here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.root
def test_a_full_disk_undoes_the_transaction_and_damages_nothing(tmp_path: Path) -> None:
    """S-09: exit code 9; with room the same journal goes on."""
    place = tmp_path / "disk"
    with small_disk(place), contextlib.closing(open_journal(place / "journal.db")) as journal:
        store(journal, b"before")
        big = [intent(b"%d" % number + b"x" * 1000) for number in range(1000)]
        with pytest.raises(StorageFailed) as refused:
            journal.intend(big, now=NOW)
        assert refused.value.code is FetchExit.STORAGE
        assert journal.settled().keys() == {b"before"}
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store(journal, b"after")
        assert journal.settled().keys() == {b"before", b"after"}


@pytest.mark.root
@pytest.mark.parametrize("is_there", [True, False])
def test_a_read_only_place_is_a_matter_of_storage(tmp_path: Path, is_there: bool) -> None:
    """Exit code 9: nothing is fetched whose row could not be written."""
    place = tmp_path / "disk"
    with small_disk(place):
        if is_there:
            open_journal(place / "journal.db").close()
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        with pytest.raises(StorageFailed) as refused:
            open_journal(place / "journal.db").set_facts({"a": "b"})
        assert refused.value.code is FetchExit.STORAGE


def test_a_header_stays_a_header_whatever_fails(tmp_path: Path) -> None:
    """A refusal must not make what is a header look like a message that can be adopted whole."""
    journal = open_journal(tmp_path / "journal.db")
    (one,) = journal.intend([Intent(MessageKey(b"u"), 1, 9, header_only=True)], now=1)
    refused = Outcome(one.id, receive_whole(b"x"), {}, State.FETCHING, "full", failed=True)
    journal.commit([refused], {}, now=2)
    journal.fail(one.id, "no", limit=3)
    (row,) = journal.rows(State.FETCHING)
    assert (row.note, row.failures) == (HEADER_ONLY, 2)
    journal.close()
