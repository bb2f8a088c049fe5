"""Messages on their way from the network into their destinations, a batch at a time.

A batch is made durable in every destination (files, folder), then journalled in one transaction,
and only then does a message count as stored: whoever deletes from the server asks the journal after
`flush`. While one batch waits for the disk the next one fills; a third makes the network wait.

The content hash keeps a mailbox that got new unique-ids from coming twice: a message whose octets
are those of a stored one that is no longer listed is not stored again.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mailkeep.fetch.destinations.seam import (
    Destination,
    DestinationUnavailable,
    Refusal,
    Slot,
    Stored,
    Writer,
)
from mailkeep.fetch.disk import Disk
from mailkeep.fetch.events import (
    MessageAdopted,
    MessageFailed,
    MessageStored,
    Reporter,
    Warned,
)
from mailkeep.fetch.failures import StorageFailed
from mailkeep.fetch.journal import Journal
from mailkeep.fetch.names import token_of
from mailkeep.fetch.plan import Wanted, is_suspect
from mailkeep.fetch.received import Received, Receiving
from mailkeep.fetch.rows import SUSPECT, Intended, Outcome, Row, State

BATCH_MESSAGES = 200
BATCH_OCTETS = 8 << 20
BATCH_S = 1.0
"""What one wait for the disk is shared by, and what a crash may cost to fetch again. Two batches in
memory must leave room under 80 MB; with 200 small messages the wait is a tenth of the work."""

FAILURE_LIMIT = 3
"""A message that failed so often goes to quarantine (S-68)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that is journalled and may be asked for.

    Attributes:
        wanted: see there.
        id: of its row.
        slot: what destinations name it by.
        held: the destinations that have it from an earlier try, and where.
        failures: so far.
    """

    wanted: Wanted
    id: int
    slot: Slot
    held: Mapping[str, str] = field(default_factory=dict)
    failures: int = 0


class Arriving:
    """One message that is being received."""

    __slots__ = ("_receiving", "_writers", "entry", "received", "spare")

    def __init__(
        self, entry: Entry, writers: Mapping[str, Writer], spare: Writer | None = None
    ) -> None:
        self.entry = entry
        self.received: Received | None = None
        self.spare = spare
        self._writers = writers
        self._receiving = Receiving()

    @property
    def octets(self) -> int:
        """How many have come."""
        return self._receiving.octets

    def write(self, octets: bytes) -> None:
        """Take the next octets.

        Raises:
            DestinationUnavailable: they cannot be kept.
        """
        self._receiving.feed(octets)
        for writer in self._all():
            writer.write(octets)

    @property
    def is_as_announced(self) -> bool:
        """Whether its length is the announced one.

        Many servers do not count the CRLF that they add behind a last line without one.
        """
        announced = self.entry.wanted.announced
        return announced is None or self.octets - announced in {0, len(b"\r\n")}

    def finish(self) -> Received:
        """Note that it is whole, and return what it is."""
        self.received = self._receiving.finish()
        return self.received

    def writer(self, destination: str) -> Writer | None:
        """Return the writer for a destination that does not have it yet."""
        return self._writers.get(destination)

    def abandon(self) -> None:
        """Remove every trace. Never raises."""
        for writer in self._all():
            writer.abandon()

    def _all(self) -> Iterator[Writer]:
        yield from self._writers.values()
        if self.spare is not None:
            yield self.spare


@dataclass(slots=True)
class Tally:
    """What a run has done so far.

    Attributes:
        arrived, arrived_octets: what came, stored or not.
        failing: rows of messages whose last try failed.
    """

    arrived: int = 0
    arrived_octets: int = 0
    stored: int = 0
    octets: int = 0
    adopted: int = 0
    failing: set[int] = field(default_factory=set)

    @property
    def failed(self) -> int:
        """How many messages failed and were not stored by a later try of this run."""
        return len(self.failing)


class Storing:
    """The way into the destinations for one account's run."""

    def __init__(  # noqa: PLR0917  # the parts of a run, put together in one place
        self,
        account: str,
        destinations: Sequence[Destination],
        journal: Journal,
        disk: Disk,
        report: Reporter,
        clock: Callable[[], float],
        quarantine: Destination,
    ) -> None:
        self.tally = Tally()
        self.last: Entry | None = None
        """The message that was ended last in this connection."""
        self.ended: list[int] = []
        """The rows of all messages that were ended in this connection."""
        self.vanished: dict[bytes, Row] = {}
        """Stored messages that the server no longer lists, by the hash of their octets."""
        self._account = account
        self._destinations = destinations
        self._journal = journal
        self._disk = disk
        self._report = report
        self._clock = clock
        self._quarantine = quarantine
        self._batch: list[Arriving] = []
        self._batch_octets = 0
        self._batch_began = 0.0
        self._committing: asyncio.Task[None] | None = None

    def begin(self, entry: Entry) -> Arriving:
        """Begin a message in the destinations that do not have it yet.

        Raises:
            StorageFailed: one of them cannot take anything now.
        """
        writers: dict[str, Writer] = {}
        try:
            for destination in self._destinations:
                if destination.name not in entry.held:
                    writers[destination.name] = destination.open(entry.slot)
            is_last_try = entry.failures + 1 >= FAILURE_LIMIT
            spare = self._quarantine.open(entry.slot) if is_last_try else None
        except DestinationUnavailable as cause:
            raise _storage_failed(cause) from cause
        return Arriving(entry, writers, spare)

    async def end(self, arriving: Arriving) -> None:
        """Take a message that is whole; it is durable after `flush`, or earlier.

        Raises:
            StorageFailed: this or an earlier batch cannot be stored.
        """
        received = arriving.finish()
        self.last = arriving.entry
        self.ended.append(arriving.entry.id)
        if not self._batch:
            self._batch_began = self._clock()
        self._batch.append(arriving)
        self._batch_octets += received.octets
        is_full = len(self._batch) >= BATCH_MESSAGES or self._batch_octets >= BATCH_OCTETS
        if is_full or self._clock() - self._batch_began > BATCH_S:
            await self._commit_soon()

    async def flush(self) -> None:
        """Return when everything that was ended is durable, or has failed on its own.

        Raises:
            StorageFailed: nothing can be stored now.
        """
        await self._commit_soon()
        await self._wait()

    async def doubt_last(self) -> None:
        """Note that the last message of this connection may have arrived cut.

        What followed it was no answer: perhaps the rest of it, behind a line with a lone dot that
        the server has not doubled (S-46). It is stored, and not deleted.

        Raises:
            StorageFailed: nothing can be stored now.
        """
        entry, self.last = self.last, None
        await self.flush()
        if entry is not None and await self._disk.run(self._journal.doubt, entry.id):
            uidl = entry.wanted.key.uidl.decode("ascii", "backslashreplace")
            said = f"message {uidl} may have arrived cut: what followed it was no answer"
            self._report(self._account, Warned(said))

    async def recheck(self) -> None:
        """Let the next session find out by their headers which messages this connection brought.

        Answers were lost, doubled or in another order: what is stored may be another message than
        the one that was asked for (S-26).

        Raises:
            StorageFailed: nothing can be stored now.
        """
        await self.flush()
        ids, self.ended = self.ended, []
        await self._disk.run(self._journal.recheck, ids)

    async def fail(self, entry: Entry, reason: str) -> bool:
        """Count a failure of a message; return whether it is in quarantine now."""
        failures = await self._disk.run(self._journal.fail, entry.id, reason, limit=FAILURE_LIMIT)
        quarantined = failures >= FAILURE_LIMIT
        self.tally.failing.add(entry.id)
        uidl = entry.wanted.key.uidl
        self._report(self._account, MessageFailed(uidl, reason, failures, quarantined))
        return quarantined

    async def close(self) -> None:
        """Drop what was not made durable and wait for what is under way. Never raises."""
        for arriving in self._batch:
            arriving.abandon()
        self._batch = []
        if self._committing is not None:
            await asyncio.wait([self._committing])
            self._committing.exception()

    async def _commit_soon(self) -> None:
        await self._wait()
        if self._batch:
            batch, self._batch, self._batch_octets = self._batch, [], 0
            self._committing = asyncio.create_task(self._commit(batch))

    async def _wait(self) -> None:
        if self._committing is not None:
            task, self._committing = self._committing, None
            await task

    async def _commit(self, batch: Sequence[Arriving]) -> None:
        new, known = self._sort_out(batch)
        now = int(self._clock())
        if known:
            await self._disk.run(self._journal.adopt, known, now=now)
        if new:
            try:
                outcomes = await self._disk.run(
                    commit_batch, new, self._destinations, self._quarantine, self._journal, now
                )
            except BaseException:
                for arriving in new:
                    arriving.abandon()  # what was published stays, and is found by its name
                raise
            for arriving, outcome in zip(new, outcomes, strict=True):
                self._tell(arriving, outcome)

    def _sort_out(self, batch: Sequence[Arriving]) -> tuple[list[Arriving], list[tuple[int, Row]]]:
        """Tell what is new from what was stored under another unique-id."""
        new: list[Arriving] = []
        known: list[tuple[int, Row]] = []
        for arriving in batch:
            received = arriving.received
            old = None
            if received is not None and not arriving.entry.wanted.header_only:
                old = self.vanished.pop(received.sha256, None)
            if old is None:
                new.append(arriving)
                continue
            arriving.abandon()
            known.append((arriving.entry.id, old))
            self.tally.failing.discard(arriving.entry.id)
            self.tally.adopted += 1
            uidl = arriving.entry.wanted.key.uidl
            self._report(self._account, MessageAdopted(uidl, arriving.octets))
        return new, known

    def _tell(self, arriving: Arriving, outcome: Outcome) -> None:
        entry = arriving.entry
        self.tally.failing.discard(entry.id)
        if outcome.failed:
            self.tally.failing.add(entry.id)
            failures = entry.failures + 1
            event = MessageFailed(
                entry.wanted.key.uidl, outcome.note, failures, failures >= FAILURE_LIMIT
            )
            self._report(self._account, event)
        else:
            self.tally.stored += 1
            self.tally.octets += outcome.received.octets
            where = tuple(outcome.held.values())
            self._report(
                self._account,
                MessageStored(entry.wanted.key.uidl, outcome.received.octets, where),
            )


def commit_batch(
    batch: Sequence[Arriving],
    destinations: Sequence[Destination],
    quarantine: Destination,
    journal: Journal,
    now: int,
) -> list[Outcome]:
    """Make a batch durable in every destination, then journal it. Blocks.

    Args:
        batch: messages that are whole.
        destinations: each must have a message for it to count.
        quarantine: gets what was refused too often, before the journal says so.
        journal: to write.
        now: seconds since 1970.

    Returns:
        one outcome a message, in the batch's order.

    Raises:
        StorageFailed: a destination or the quarantine is unavailable; what the others hold is
            journalled.
    """
    held = [dict(arriving.entry.held) for arriving in batch]
    refused: list[list[str]] = [[] for _ in batch]
    marks: dict[str, int | None] = {}
    unavailable: DestinationUnavailable | None = None
    for destination in destinations:
        try:
            places = _commit_in(destination, batch, journal, marks)
        except DestinationUnavailable as cause:
            unavailable = unavailable or cause
            continue
        for place, answer in places.items():
            if isinstance(answer, Stored):
                held[place][destination.name] = answer.where
            else:
                refused[place].append(f"{_short(destination.name)}: {answer.reason}")
    outcomes = [
        _outcome(arriving, now_held, reasons, complete=len(now_held) == len(destinations))
        for arriving, now_held, reasons in zip(batch, held, refused, strict=True)
    ]
    try:
        _set_aside(batch, outcomes, quarantine)
    except DestinationUnavailable as cause:
        unavailable = unavailable or cause
        outcomes = [_not_set_aside(outcome) for outcome in outcomes]
    journal.commit(outcomes, marks, now=now)
    for arriving, outcome in zip(batch, outcomes, strict=True):
        if outcome.state in {State.FETCHING, State.QUARANTINED}:
            arriving.abandon()
    if unavailable is not None:
        raise _storage_failed(unavailable) from unavailable
    return outcomes


def _commit_in(
    destination: Destination,
    batch: Sequence[Arriving],
    journal: Journal,
    marks: dict[str, int | None],
) -> dict[int, Stored | Refusal]:
    """Commit the messages that a destination does not have; return outcomes by place."""
    writers = {
        place: writer
        for place, arriving in enumerate(batch)
        if (writer := arriving.writer(destination.name)) is not None
    }
    if not writers:
        return {}
    before = destination.begin_batch()
    try:
        if before is not None and before != journal.mark(destination.name):
            journal.set_mark(destination.name, before)
        outcomes = destination.commit([*writers.values()])
    finally:
        marks[destination.name] = destination.end_batch()
    return dict(zip(writers, outcomes, strict=True))


def _set_aside(
    batch: Sequence[Arriving], outcomes: Sequence[Outcome], quarantine: Destination
) -> None:
    """Keep the octets of messages that no destination takes, and drop the other spares."""
    kept: list[Writer] = []
    for arriving, outcome in zip(batch, outcomes, strict=True):
        if arriving.spare is None:
            continue
        if outcome.state is State.QUARANTINED:
            kept.append(arriving.spare)
        else:
            arriving.spare.abandon()
    if kept:
        quarantine.prepare(is_known=False)
        quarantine.commit(kept)


def _not_set_aside(outcome: Outcome) -> Outcome:
    """Return what is to journal of a message that the quarantine did not take: one more try."""
    if outcome.state is not State.QUARANTINED:
        return outcome
    return replace(outcome, state=State.FETCHING, failed=False)


def _outcome(
    arriving: Arriving, held: Mapping[str, str], refused: Sequence[str], *, complete: bool
) -> Outcome:
    received, wanted = arriving.received, arriving.entry.wanted
    if received is None:
        raise AssertionError("only whole messages are in a batch")
    if not complete:
        failures = arriving.entry.failures + 1
        set_aside = refused and failures >= FAILURE_LIMIT
        state = State.QUARANTINED if set_aside else State.FETCHING
        note = "; ".join(refused)
        return Outcome(arriving.entry.id, received, held, state, note, failed=bool(refused))
    if wanted.header_only:
        return Outcome(arriving.entry.id, received, held, State.HEADER)
    note = SUSPECT if is_suspect(wanted.announced, received.octets) else ""
    return Outcome(arriving.entry.id, received, held, State.STORED, note)


def make_entry(
    account: str, wanted: Wanted, intended: Intended, held: Mapping[str, str] | None = None
) -> Entry:
    """Return what is needed to fetch a journalled message."""
    token = token_of(account, wanted.key)
    slot = Slot(token, intended.listed_at, intended.place)
    return Entry(wanted, intended.id, slot, held or {}, intended.failures)


def _short(name: str) -> str:
    """Return a name that leaves room for the reason: a pipe's is a whole command."""
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 3]}..."


_NAME_CHARACTERS = 60


def _storage_failed(cause: DestinationUnavailable) -> StorageFailed:
    return StorageFailed(str(cause), hint=cause.hint)
