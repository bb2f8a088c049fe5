"""The audit trail as a sink: a bounded queue, and one thread that writes groups from it.

What is emitted is on the disk within a fraction of a second: in the chain of files first, then in
the table. While the disk takes nothing, the thread tries again and again, `ready` keeps logins and
deletions waiting, and what else happens is counted instead of kept.

Telling an event is an append to the queue; a lock is taken only to wake the thread, to wait and to
drop. What a session does in a row is one line and one row (`runs`).

Events that must not be missed have room when all others have none; who emits them without end and
without `ready` loses them in the end too, for memory is finite, and that is told as an error.
"""

import asyncio
import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mailkeep.database.engine import Database
from mailkeep.database.errors import DatabaseUnavailable
from mailkeep.events import trail_database
from mailkeep.events.chain import Chain, open_chain
from mailkeep.events.checkpoints import CHECKPOINT_EVENTS
from mailkeep.events.records import Writable
from mailkeep.events.run_types import Run, events_in
from mailkeep.events.runs import Told, merged
from mailkeep.events.trail_database import open_trail_database
from mailkeep.events.types import (
    Event,
    EventsDropped,
    EventSink,
    EventType,
    TrailFailed,
    TrailMended,
    TrailResumed,
)

GROUP_S = 0.2
"""How long the first event of a group waits for others, so that an fsync is shared."""

GROUP_EVENTS = 1000
"""A group that is full is written at once: 300 KB, some ten milliseconds. No more: a checkpoint
comes behind a group, and `verify` believes no trail without one where `UNSIGNED_LIMIT` says."""

WAITING_EVENTS = 8000
"""With so many in the queue `ready` waits and other events are dropped: some seconds of a busy
site, 5 MB."""

LIMIT_EVENTS = 40_000
"""No event at all is kept beyond this: 25 MB, and five times what sessions that were let in before
`ready` began to wait have to say."""

FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 5.0
"""Between two tries at writing, doubling: a disk that has room again is noticed soon."""

CLOSING_S = 10.0
"""How long the end of the program waits for a disk that takes nothing."""

MUST_NOT_MISS = frozenset(
    {
        EventType.LOGIN_ACCEPTED,
        EventType.LOGIN_REFUSED,
        EventType.MAILDROP_BUSY,
        EventType.MAILDROP_UNAVAILABLE,
        EventType.MESSAGE_READ,
        EventType.MAILDROP_FETCHED,
        EventType.DELETION_ASKED,
        EventType.DELETIONS_WITHDRAWN,
        EventType.DELETION_DONE,
        EventType.SESSION_ENDED,
        EventType.SESSION_REVOKED,
        EventType.HOT_PASSWORD_RIGHT,
        EventType.ACCOUNT_CHANGED,
        EventType.DEVICE_CHANGED,
        EventType.PREFIX_BANNED,
        EventType.PREFIX_UNBANNED,
    }
)
"""What the question after a break-in is answered from."""


_NO_NEED = sys.maxsize
"""Queue's length at which the thread is woken while it is at work: it looks for itself."""


class Trail:
    """Keeps every event. Make one with `open_trail`; `emit` may be called from any thread."""

    def __init__(
        self,
        chain: Chain,
        database: Database,
        told: EventSink,
        now_ns: Callable[[], int],
        group_s: float,
    ) -> None:
        self._chain = chain
        self._database: Database | None = database
        self._database_path = database.path
        self._told = told
        self._now_ns = now_ns
        self._group_s = group_s
        self._changed = threading.Condition()
        self._queue: deque[Told] = deque()
        self._in_runs = 0
        """How many events the runs in the queue tell, beyond one each."""
        self._wake_from = _NO_NEED
        """With so many in the queue, the one that is coming included, the thread is woken."""
        self._dropped = 0
        self._telling_dropped: EventsDropped | None = None
        self._closing = False
        self._given_up = threading.Event()
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._taken = 0
        self._written = 0
        self._settling: list[tuple[int, asyncio.Future[None]]] = []
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="trail", daemon=True)
        self._thread.start()

    @property
    def confirmed(self) -> int:
        """The number of the last event that is durable in the chain."""
        return self._chain.end.seq

    @property
    def waiting(self) -> int:
        """How many events are not written yet."""
        return len(self._queue) + self._in_runs

    def emit(self, event: Event) -> None:
        """Take note of an event; see `EventSink`."""
        queue = self._queue
        waiting = len(queue) + self._in_runs
        if (waiting >= WAITING_EVENTS or self._closing) and self._has_to_drop(event):
            return
        if isinstance(event, Run):
            self._append_run(event)
        else:
            queue.append(Told(self._now_ns(), event))
        if len(queue) + self._in_runs >= self._wake_from:
            with self._changed:
                self._changed.notify_all()

    def has_room(self) -> bool:
        """Tell whether `ready` need not wait; see `EventSink`."""
        return len(self._queue) + self._in_runs < WAITING_EVENTS

    async def ready(self) -> None:
        """Return when an event that must not be missed has room; see `EventSink`."""
        with self._changed:
            if self.has_room():
                return
            turn = asyncio.get_running_loop().create_future()
            self._waiting[turn] = None
        try:
            await turn
        finally:  # whoever has gone must not stay in the queue for as long as the disk is stuck
            with self._changed:
                self._waiting.pop(turn, None)

    async def settled(self) -> None:
        """Return when everything that was emitted before is durable.

        For who keeps an event elsewhere until then, so that a crash does not lose it.
        """
        with self._changed:
            emitted = self._taken + len(self._queue)  # a run counts once here
            if self._written >= emitted:
                return
            turn = asyncio.get_running_loop().create_future()
            self._settling.append((emitted, turn))
        await turn

    def close(self, timeout_s: float = CLOSING_S) -> None:
        """Write what waits, sign it, and let another program write. Safe to call twice.

        Args:
            timeout_s: how long a disk that takes nothing is waited for.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._given_up.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if left := self._dropped + self.waiting:
            self._told.emit(EventsDropped(count=left))
        self._dropped = 0
        self._queue.clear()
        self._in_runs = 0
        self._let_on(0)
        if not self._thread.is_alive():  # a write that hangs still holds the files
            self._chain.close()
            self._close_database()

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            if not self._write(group):
                return
            self._let_on(len(group))

    def _has_to_drop(self, event: Event) -> bool:
        """Tell whether an event has no place, and count it then."""
        limit = LIMIT_EVENTS if event.type in MUST_NOT_MISS else WAITING_EVENTS
        with self._changed:
            is_dropped = self._closing or self.waiting >= limit
            self._dropped += is_dropped * events_in(event)
        return is_dropped

    def _append_run(self, run: Run[Any]) -> None:
        at_ns = run.at_us * 1000 or self._now_ns()
        with self._changed:
            self._queue.append(Told(at_ns, run))
            self._in_runs += len(run.each) - 1

    def _next_group(self) -> list[Told] | None:
        """Wait for events or for a checkpoint's time; None when there is nothing left to do."""
        with self._changed:
            self._wait_for_events(1, self._chain.checkpoint_due_in_s(self._now()))
            if self._queue:
                self._wait_for_events(GROUP_EVENTS, self._group_s)
            group = self._take_group()
            if self._dropped and not self._closing:
                self._telling_dropped = EventsDropped(count=self._dropped)
                group.append(Told(self._now_ns(), self._telling_dropped))
            self._taken += len(group)
            is_end = self._closing and not group and not self._chain.end.events_unsigned
        return None if is_end else group

    def _take_group(self) -> list[Told]:
        """Take what is written together out of the queue; the lock is held."""
        queue, group, room = self._queue, list[Told](), GROUP_EVENTS
        while queue and (room := room - events_in(queue[0].event)) >= 0:
            group.append(queue.popleft())
        self._in_runs -= _beyond_one_each(group)
        return group

    def _wait_for_events(self, count: int, timeout_s: float | None) -> None:
        """Wait until so many are there, or the program ends.

        Who emits looks at `_wake_from` after the append, and this looks at the queue after it has
        set it: one of the two sees the other.
        """
        self._wake_from = count
        self._changed.wait_for(lambda: self.waiting >= count or self._closing, timeout_s)
        self._wake_from = _NO_NEED

    def _write(self, group: list[Told]) -> bool:
        """Write a group however long it takes; False when the program ends before."""
        records: list[Writable] | None = None
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                if records is None:
                    records = self._append(group)
                self._sign_if_due()
                self._add(records)
            except Exception as failure:  # noqa: BLE001  # the worker's top: it goes on trying
                self._tell_failure(failure)
            else:
                self._tell_success()
                return True
            if self._pause(pause_s):
                if records is None:
                    self._put_back(group)
                return False
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    def _append(self, group: list[Told]) -> list[Writable]:
        if self._chain.end.events_unsigned >= CHECKPOINT_EVENTS:  # a crash kept it from being done
            self._chain.sign(self._now())
        return self._chain.append(merged(group)) if group else []

    def _sign_if_due(self) -> None:
        due_s = self._chain.checkpoint_due_in_s(self._now())
        is_last = self._closing and not self._queue
        if due_s is not None and (due_s <= 0 or is_last):
            self._chain.sign(self._now())

    def _add(self, records: list[Writable]) -> None:
        if self._database is None:
            self._database = open_trail_database(self._database_path, self._chain.folder)
            return  # it was filled from the chain, which has these records
        try:
            trail_database.add_records(self._database, records)
        except DatabaseUnavailable:
            self._close_database()
            raise

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_ns() / 1e9, UTC)

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try; tell whether there is none."""
        with self._changed:
            self._changed.wait_for(self._given_up.is_set, seconds)
        return self._given_up.is_set()

    def _put_back(self, group: list[Told]) -> None:
        with self._changed:
            self._queue.extendleft(reversed(group))
            self._in_runs += _beyond_one_each(group)

    def _tell_failure(self, failure: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            self._told.emit(TrailFailed(reason=str(failure)))

    def _tell_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            self._told.emit(TrailResumed())
        if self._telling_dropped is not None:
            self._told.emit(self._telling_dropped)
            with self._changed:
                self._dropped -= self._telling_dropped.count
            self._telling_dropped = None

    def _let_on(self, written: int) -> None:
        """Let those go on who wait for room, or for their events to be durable."""
        with self._changed:
            self._written += written
            ready = [turn for target, turn in self._settling if target <= self._written]
            self._settling = [it for it in self._settling if it[0] > self._written]
            if self.has_room():
                ready += self._waiting
                self._waiting = {}
        for turn in ready:
            with contextlib.suppress(RuntimeError):  # its loop has ended: nobody waits any more
                turn.get_loop().call_soon_threadsafe(_finish, turn)

    def _close_database(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def open_trail(
    folder: Path,
    database: Path,
    told: EventSink,
    *,
    now_ns: Callable[[], int] = time.time_ns,
    group_s: float = GROUP_S,
) -> Trail:
    """Open a site's audit trail for writing, mended after a crash.

    Args:
        folder: of the chain's files, made when it is missing.
        database: the file with the table, made or filled when it is missing or behind.
        told: who is told of the trail's own troubles, from its thread: the log.
        now_ns: the time, in nanoseconds since 1970.
        group_s: how long the first event of a group waits for others.

    Raises:
        TrailHeld: another program writes it.
        DatabaseUnavailable: the table cannot be used.
        OSError: the chain cannot be read or written.
        BadKey: the signing key cannot be used.
    """
    chain, torn_octets = open_chain(folder)
    try:
        table = open_trail_database(database, folder)
    except BaseException:
        chain.close()
        raise
    trail = Trail(chain, table, told, now_ns, group_s)
    if torn_octets:
        mended = TrailMended(octets=torn_octets)
        trail.emit(mended)
        told.emit(mended)
    return trail


def _beyond_one_each(group: list[Told]) -> int:
    return sum([events_in(told.event) for told in group]) - len(group)


def _finish(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
