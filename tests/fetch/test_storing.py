"""Messages become durable in batches: in every destination, once, and then they are journalled."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailkeep.fetch import storing
from mailkeep.fetch.destinations.folder import FolderDestination
from mailkeep.fetch.destinations.maildir import MaildirDestination
from mailkeep.fetch.destinations.seam import (
    Destination,
    DestinationUnavailable,
    Found,
    Refusal,
    Slot,
    Stored,
    Writer,
)
from mailkeep.fetch.disk import Disk
from mailkeep.fetch.events import Event, MessageAdopted, MessageFailed, MessageStored, Why
from mailkeep.fetch.failures import FetchExit, StorageFailed
from mailkeep.fetch.journal import Journal, open_journal
from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.plan import Wanted
from mailkeep.fetch.rows import SUSPECT, Intent, Row, State
from mailkeep.fetch.storing import FAILURE_LIMIT, Storing, make_entry

ACCOUNT = "alice@mail.example.com"
MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


class FakeWriter:
    """A message in memory."""

    def __init__(self) -> None:
        self.octets = b""
        self.is_abandoned = False

    def write(self, octets: bytes) -> None:
        self.octets += octets

    def abandon(self) -> None:
        self.is_abandoned = True


@dataclass
class FakeDestination:
    """A place in memory, which a test lets refuse, fail or wait.

    Attributes:
        messages: what it has, in order.
        batches: how many messages each commit had.
        refuses: whether it takes these octets.
        unavailable: what it says instead of committing.
        before: called in the disk's thread before a commit.
        mark: what `end_batch` gives; None for a place without marks.
    """

    name: str = "fake:one"
    is_exactly_once: bool = True
    messages: list[bytes] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    writers: list[FakeWriter] = field(default_factory=list)
    refuses: Callable[[bytes], bool] = lambda _: False
    unavailable: str | None = None
    before: Callable[[], object] = lambda: None
    mark: int | None = None
    is_locked: bool = False

    def prepare(self, *, is_known: bool) -> None:
        pass

    def recover(self, mark: int | None) -> list[str]:
        raise NotImplementedError

    def find(self, tokens: Collection[str]) -> Mapping[str, Found]:
        raise NotImplementedError

    def iterate(self) -> Iterator[Found]:
        raise NotImplementedError

    def open(self, slot: Slot) -> FakeWriter:
        del slot
        self.writers.append(FakeWriter())
        return self.writers[-1]

    def begin_batch(self) -> int | None:
        assert not self.is_locked
        self.is_locked = True
        return self.mark

    def commit(self, batch: Sequence[Writer]) -> list[Stored | Refusal]:
        assert self.is_locked
        self.before()
        if self.unavailable is not None:
            raise DestinationUnavailable(self.unavailable, hint="a hint")
        outcomes: list[Stored | Refusal] = []
        self.batches.append(len(batch))
        for writer in batch:
            assert isinstance(writer, FakeWriter)
            assert not writer.is_abandoned
            if self.refuses(writer.octets):
                outcomes.append(Refusal("not this one"))
            else:
                self.messages.append(writer.octets)
                outcomes.append(Stored(f"{self.name}/{len(self.messages)}"))
        return outcomes

    def end_batch(self) -> int | None:
        assert self.is_locked
        self.is_locked = False
        return None if self.mark is None else len(self.messages)

    def close(self) -> None:
        pass


class Run:
    """A run's parts over a real journal and a real quarantine; each `storing` is a run's."""

    def __init__(self, folder: Path) -> None:
        self.journal: Journal = open_journal(folder / "journal.db")
        self.disk = Disk()
        self.quarantine = folder / "quarantine"
        self.quarantine.mkdir()
        self.now = 1_700_000_000.0
        self.events: list[Event] = []

    def storing(self, *destinations: Destination) -> Storing:
        return Storing(
            ACCOUNT,
            destinations,
            self.journal,
            self.disk,
            self._report,
            lambda: self.now,
            FolderDestination(self.quarantine),
        )

    async def put(
        self,
        into: Storing,
        uidl: bytes,
        octets: bytes = MESSAGE,
        *,
        announced: int | None = None,
        header_only: bool = False,
    ) -> int:
        """Let a message arrive as `session` does; return the number of its row."""
        key = MessageKey(uidl)
        announced = len(octets) if announced is None else announced
        wanted = Wanted(1, key, announced, Why.NEW, header_only)
        intent = Intent(key, 1, announced, header_only)
        (intended,) = self.journal.intend([intent], now=int(self.now))
        held = self.journal.held([intended.id])[intended.id]
        arriving = into.begin(make_entry(ACCOUNT, wanted, intended, held))
        step = max(7, len(octets) // 50)
        for start in range(0, len(octets), step):
            arriving.write(octets[start : start + step])
        await into.end(arriving)
        return intended.id

    def row(self, uidl: bytes) -> Row:
        (row,) = self.journal.rows_of([uidl])
        return row

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def set_aside(self) -> list[bytes]:
        """Return what is in quarantine, and see that nothing half is there."""
        left = [each for each in self.quarantine.iterdir() if each.name != ".mailkeep"]
        assert all(each.suffix == ".eml" and each.name[0] != "." for each in left)
        return [each.read_bytes() for each in left]

    def _report(self, account: str, event: Event) -> None:
        assert account == ACCOUNT
        self.events.append(event)


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    run = Run(tmp_path)
    yield run
    run.disk.close()
    run.journal.close()


async def test_a_message_is_stored_when_flush_returns_and_not_before(run: Run) -> None:
    """Group commit: what deletes from the server asks the journal after `flush`."""
    place = FakeDestination()
    into = run.storing(place)
    number = await run.put(into, b"A")
    assert run.row(b"A").state is State.FETCHING
    assert run.journal.deletable([place.name]) == {}
    await into.flush()
    assert place.messages == [MESSAGE]
    assert run.row(b"A").state is State.STORED
    assert run.journal.held([number]) == {number: {place.name: "fake:one/1"}}
    assert run.events == [MessageStored(b"A", len(MESSAGE), ("fake:one/1",))]
    assert (into.tally.stored, into.tally.octets) == (1, len(MESSAGE))
    await into.flush()
    assert place.batches == [1]


async def test_a_message_is_in_every_destination_before_it_is_journalled(
    run: Run, tmp_path: Path
) -> None:
    """Files first, then the row: a row without its files would be mail lost."""
    maildir = MaildirDestination(tmp_path / "Mail")
    maildir.prepare(is_known=False)
    states: list[State] = []
    last = FakeDestination(before=lambda: states.append(run.row(b"A").state))
    into = run.storing(maildir, last)
    await run.put(into, b"A")
    await into.flush()
    (file,) = (tmp_path / "Mail" / "new").iterdir()
    assert file.read_bytes() == last.messages[0] == MESSAGE
    assert states == [State.FETCHING]
    assert run.row(b"A").state is State.STORED


async def test_a_batch_ends_at_its_messages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One wait for the disk is shared by so many."""
    monkeypatch.setattr(storing, "BATCH_MESSAGES", 4)
    place = FakeDestination()
    into = run.storing(place)
    for number in range(10):
        await run.put(into, b"%d" % number)
    await into.flush()
    assert place.batches == [4, 4, 2]


async def test_a_batch_ends_at_its_octets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays under a limit whatever the sizes."""
    monkeypatch.setattr(storing, "BATCH_OCTETS", 1000)
    place = FakeDestination()
    into = run.storing(place)
    for number, size in enumerate([10, 989, 1, 999, 1000, 5000, 3]):
        await run.put(into, b"%d" % number, b"x" * size)
    await into.flush()
    assert place.batches == [3, 2, 1, 1]


async def test_a_batch_ends_with_its_time(run: Run) -> None:
    """A slow server's mail does not lie about for the length of a batch."""
    place = FakeDestination()
    into = run.storing(place)
    await run.put(into, b"A")
    run.now += 0.9
    await run.put(into, b"B")
    run.now += 0.2
    await run.put(into, b"C")
    await run.put(into, b"D")
    await into.flush()
    assert place.batches == [3, 1]


async def test_while_one_batch_waits_for_the_disk_the_next_one_fills_and_a_third_waits(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is not held up by the disk, and memory not filled by the network."""
    monkeypatch.setattr(storing, "BATCH_MESSAGES", 1)
    goes_on = threading.Event()
    place = FakeDestination(before=lambda: goes_on.wait(30))
    into = run.storing(place)
    # The journal shares the disk's thread; what is asked for is journalled ahead.
    entries = []
    for name in (b"A", b"B"):
        wanted = Wanted(1, MessageKey(name), 5, Why.NEW)
        (intended,) = run.journal.intend([Intent(wanted.key, 1, 5)], now=0)
        entries.append(make_entry(ACCOUNT, wanted, intended))
    first, second = (into.begin(entry) for entry in entries)
    await into.end(first)
    blocked = asyncio.create_task(into.end(second))
    _, pending = await asyncio.wait([blocked], timeout=0.05)
    assert pending == {blocked}
    assert place.messages == []
    goes_on.set()
    await blocked
    await into.flush()
    assert place.batches == [1, 1]


async def test_a_refusal_by_one_of_two_is_tried_again_only_there(run: Run) -> None:
    """S-64: per-destination marks; the one that has it does not get it twice."""
    good, bad = FakeDestination("fake:good"), FakeDestination("fake:bad", refuses=lambda _: True)
    into = run.storing(good, bad)
    number = await run.put(into, b"A")
    await run.put(into, b"B", b"other")
    await into.flush()
    for uidl in (b"A", b"B"):
        row = run.row(uidl)
        assert (row.state, row.failures) == (State.FETCHING, 1)
        assert row.note == "fake:bad: not this one"
    assert run.journal.deletable([good.name, bad.name]) == {}
    assert run.told(MessageFailed)[0] == MessageFailed(b"A", "fake:bad: not this one", 1, False)
    assert (into.tally.failed, into.tally.stored) == (2, 0)
    bad.refuses = lambda octets: octets == b"other"
    into = run.storing(good, bad)
    await run.put(into, b"A")
    await run.put(into, b"B", b"other")
    await into.flush()
    assert good.messages == [MESSAGE, b"other"]
    assert bad.messages == [MESSAGE]
    assert run.row(b"A").state is State.STORED
    assert run.journal.held([number])[number].keys() == {good.name, bad.name}
    assert run.row(b"B").failures == 2
    assert run.set_aside() == []


async def test_a_message_that_fails_too_often_is_set_aside_with_its_octets(run: Run) -> None:
    """S-68: the rest goes on, and what no destination takes is not lost."""
    place = FakeDestination(refuses=lambda octets: octets == MESSAGE)
    for number in range(1, FAILURE_LIMIT + 1):
        assert run.set_aside() == []
        into = run.storing(place)
        await run.put(into, b"poison")
        await run.put(into, b"fine%d" % number, b"fine")
        await into.flush()
    assert place.messages == [b"fine"] * FAILURE_LIMIT
    assert run.set_aside() == [MESSAGE]
    row = run.row(b"poison")
    assert (row.state, row.failures) == (State.QUARANTINED, FAILURE_LIMIT)
    failures = [event for event in run.events if isinstance(event, MessageFailed)]
    assert [(event.failures, event.quarantined) for event in failures] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert run.journal.deletable([place.name]).keys() == {
        (b"fine%d" % number, 0) for number in range(1, FAILURE_LIMIT + 1)
    }
    assert all(writer.is_abandoned for writer in place.writers if writer.octets == MESSAGE)


async def test_a_last_try_that_works_leaves_nothing_in_quarantine(run: Run) -> None:
    """The copy that was made in case is dropped, whatever its size."""
    large = MESSAGE + b"x" * 300_000
    place = FakeDestination(refuses=lambda _: True)
    for _ in range(FAILURE_LIMIT - 1):
        into = run.storing(place)
        await run.put(into, b"A", large)
        await into.flush()
    place.refuses = lambda _: False
    into = run.storing(place)
    await run.put(into, b"A", large)
    await into.flush()
    assert run.row(b"A").state is State.STORED
    assert run.set_aside() == []


async def test_quarantine_is_durable_before_the_journal_says_so(run: Run) -> None:
    """A row that says QUARANTINED is never tried again: without a copy that would be a loss."""
    place = FakeDestination(refuses=lambda _: True)
    for _ in range(FAILURE_LIMIT - 1):
        into = run.storing(place)
        await run.put(into, b"A")
        await into.flush()
    run.quarantine.rmdir()
    run.quarantine.write_text("in the way")
    into = run.storing(place)
    await run.put(into, b"A")
    with pytest.raises(StorageFailed) as refused:
        await into.flush()
    assert refused.value.code is FetchExit.STORAGE
    assert run.row(b"A").state is State.FETCHING
    run.quarantine.unlink()
    run.quarantine.mkdir()
    into = run.storing(place)
    await run.put(into, b"A")
    await into.flush()
    assert run.row(b"A").state is State.QUARANTINED
    assert run.set_aside() == [MESSAGE]


@pytest.mark.parametrize("first", [True, False])
async def test_what_one_destination_holds_is_journalled_when_the_other_is_unavailable(
    run: Run, first: bool
) -> None:
    """S-09, S-64: the run ends, nothing counts as failed, and nothing is stored twice later."""
    good, gone = FakeDestination("fake:good"), FakeDestination("fake:gone", unavailable="disk full")
    order = (gone, good) if first else (good, gone)
    into = run.storing(*order)
    number = await run.put(into, b"A")
    with pytest.raises(StorageFailed, match="disk full") as refused:
        await into.flush()
    assert refused.value.hint == "a hint"
    row = run.row(b"A")
    assert (row.state, row.failures) == (State.FETCHING, 0)
    assert run.journal.held([number])[number].keys() == {good.name}
    assert not gone.is_locked
    assert gone.writers[0].is_abandoned
    assert run.told(MessageStored) == []
    await into.close()
    gone.unavailable = None
    into = run.storing(*order)
    await run.put(into, b"A")
    await into.flush()
    assert good.messages == gone.messages == [MESSAGE]
    assert run.row(b"A").state is State.STORED


async def test_marks_are_journalled_before_and_with_the_rows(run: Run) -> None:
    """An mbox is cut back to its mark after a crash: it must never lie behind what is stored."""
    marks: list[int | None] = []
    place = FakeDestination("mbox:x", mark=0)
    place.before = lambda: marks.append(run.journal.mark("mbox:x"))
    into = run.storing(place)
    await run.put(into, b"A")
    await into.flush()
    assert marks == [0]
    assert run.journal.mark("mbox:x") == 1
    place.mark = 1
    await run.put(into, b"B", b"other")
    await into.flush()
    assert marks == [0, 1]
    assert run.journal.mark("mbox:x") == 2


async def test_a_mark_is_let_go_when_a_commit_fails(run: Run) -> None:
    """The lock is not kept, and the next run knows the length."""
    place = FakeDestination("mbox:x", mark=7, unavailable="disk full")
    into = run.storing(place)
    await run.put(into, b"A")
    with pytest.raises(StorageFailed):
        await into.flush()
    assert not place.is_locked
    assert run.journal.mark("mbox:x") == 0


async def test_a_message_that_is_a_vanished_one_is_not_stored_again(run: Run) -> None:
    """S-32: after a migration the content hash tells; the old row hands over its places."""
    place = FakeDestination()
    into = run.storing(place)
    old = await run.put(into, b"old")
    await into.flush()
    row = run.row(b"old")
    into = run.storing(place)
    into.vanished = {row.sha256 or b"": row}
    new = await run.put(into, b"new")
    await run.put(into, b"copy")
    await run.put(into, b"other", b"other")
    await into.flush()
    assert place.messages == [MESSAGE, MESSAGE, b"other"], "one row stands for one message"
    assert run.row(b"new").state is State.STORED
    assert run.row(b"old").state is State.GONE
    held = run.journal.held([old, new])
    assert held[old] == held[new] == {place.name: "fake:one/1"}
    assert run.told(MessageAdopted) == [MessageAdopted(b"new", len(MESSAGE))]
    assert (into.tally.adopted, into.tally.stored) == (1, 2)
    assert place.writers[1].is_abandoned


async def test_a_header_is_never_a_vanished_message(run: Run) -> None:
    """A message that is all header has the octets of the header of another."""
    place = FakeDestination()
    into = run.storing(place)
    await run.put(into, b"old")
    await into.flush()
    row = run.row(b"old")
    into.vanished = {row.sha256 or b"": row}
    await run.put(into, b"header", announced=10**9, header_only=True)
    await run.put(into, b"whole")
    await into.flush()
    assert run.row(b"header").state is State.HEADER
    assert run.row(b"whole").state is State.STORED
    assert run.told(MessageAdopted) == [MessageAdopted(b"whole", len(MESSAGE))]


async def test_a_short_message_is_stored_as_suspect(run: Run) -> None:
    """S-46: stored, and never deleted from the server; a header is expected to be short."""
    into = run.storing(FakeDestination())
    await run.put(into, b"cut", announced=10_000)
    await run.put(into, b"header", announced=10_000, header_only=True)
    await run.put(into, b"fine", announced=len(MESSAGE) + 5)
    await into.flush()
    notes = {uidl: run.row(uidl).note for uidl in (b"cut", b"header", b"fine")}
    assert notes == {b"cut": SUSPECT, b"header": "", b"fine": ""}


async def test_failures_before_anything_arrived_count_too(run: Run) -> None:
    """S-68: a server that refuses RETR three times has a poison message as well."""
    into = run.storing(FakeDestination())
    wanted = Wanted(1, MessageKey(b"A"), 1, Why.NEW)
    (intended,) = run.journal.intend([Intent(wanted.key, 1, 1)], now=0)
    entry = make_entry(ACCOUNT, wanted, intended)
    assert [await into.fail(entry, "no") for _ in range(3)] == [False, False, True]
    assert run.row(b"A").state is State.QUARANTINED
    assert into.tally.failed == 1
    assert run.events[-1] == MessageFailed(b"A", "no", 3, True)


async def test_close_drops_what_was_not_made_durable(run: Run, tmp_path: Path) -> None:
    """S-01, S-02: nothing half stays behind, and nothing of it counts."""
    maildir = MaildirDestination(tmp_path / "Mail")
    maildir.prepare(is_known=False)
    into = run.storing(maildir)
    await run.put(into, b"A", MESSAGE + b"x" * 300_000)
    assert len([*(tmp_path / "Mail" / "tmp").iterdir()]) == 1
    await into.close()
    await into.close()
    assert [*(tmp_path / "Mail").rglob("*.mailkeep*")] == []
    assert run.row(b"A").state is State.FETCHING


async def test_a_destination_that_cannot_begin_ends_the_run(run: Run, tmp_path: Path) -> None:
    """S-09: what is refused at the first octet is told like what is refused at the last."""

    class Full(FakeDestination):
        def open(self, slot: Slot) -> FakeWriter:
            del slot
            raise DestinationUnavailable("no more files", hint="wait")

    with pytest.raises(StorageFailed, match="no more files") as refused:
        await run.put(run.storing(Full()), b"A")
    assert refused.value.hint == "wait"
    maildir = MaildirDestination(tmp_path / "never made")
    into = run.storing(maildir)
    await run.put(into, b"B")
    with pytest.raises(StorageFailed):
        await into.flush()
    with contextlib.suppress(StorageFailed):
        await into.flush()
    assert run.row(b"B").state is State.FETCHING
