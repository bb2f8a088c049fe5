"""Fetching many messages over one connection, with as many under way as the server takes.

With PIPELINING (RFC 2449 section 6.6) a window of commands and of announced octets is kept full, so
that a round trip is paid once and not once a message; reading goes on while commands are written,
so neither side can wait for the other for ever (S-27). Without it, or where it was found to be
broken, one command is answered before the next is sent.

Every message is journalled before it is asked for, some hundred ahead of the window.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import assert_never

from mailkeep.fetch.client import Client
from mailkeep.fetch.destinations.seam import DestinationUnavailable
from mailkeep.fetch.disk import Disk
from mailkeep.fetch.endings import MessageTooLong, OtherLength, Stopped
from mailkeep.fetch.events import Progress, Reporter
from mailkeep.fetch.failures import LimitReached, ProtocolBroken, StorageFailed
from mailkeep.fetch.plan import Wanted
from mailkeep.fetch.policy import MIB
from mailkeep.fetch.received import HeaderPart
from mailkeep.fetch.refusals import command_failure, quote
from mailkeep.fetch.storing import Arriving, Entry, Storing
from mailkeep.pop3 import Answer, Body, Greeting, ServerChallenge, commands
from mailkeep.values import MessageNumber

WINDOW_COMMANDS = 1000
WINDOW_OCTETS = 16 * MIB
"""What may be under way: 16 MiB is a gigabit for 130 ms, and a thousand small messages fill a round
trip of 100 ms with 4 kB each; a server has to keep 12 kB of commands at most."""

INTEND_AHEAD = 500
"""Messages journalled in one transaction: one wait for the disk, and not all before the first."""

_PROGRESS_S = 0.1


class Download:
    """One session's messages.

    Attributes:
        current: the message whose answer is awaited or read when something goes wrong, unless the
            one before it is to blame.
        is_pipelined: whether several commands are under way.
        is_in_body: whether an answer had begun.
        others: how many answers were of another length.
    """

    def __init__(  # the parts of a session, put together in one place
        self,
        client: Client,
        storing: Storing,
        intend: "Intending",
        limit_octets: int,
        report: Reporter,
        *,
        pipelined: bool,
        trusts_lengths: bool,
    ) -> None:
        self.current: Entry | None = None
        self.is_in_body = False
        self.others = 0
        self._trusts_lengths = trusts_lengths
        self.is_pipelined = pipelined
        self._client = client
        self._storing = storing
        self._intend = intend
        self._limit_octets = limit_octets
        self._report = report
        self._window = WINDOW_COMMANDS if pipelined else 1
        self._under_way: deque[Entry] = deque()
        self._under_way_octets = 0
        self._clock = asyncio.get_running_loop().time
        self._told = self._clock()

    async def run(self, stop: asyncio.Event, deadline: float | None) -> None:
        """Fetch everything that is intended.

        Args:
            stop: set when the user wants it to end.
            deadline: of the loop's clock, when it ends by itself.

        Raises:
            Stopped: `stop` was set.
            LimitReached: the deadline has passed.
            MessageTooLong: the current message; reconnect and go on without it.
            OtherLength: the current answer may be that to something else; it is not stored.
            ProtocolBroken, NetworkFailed, TlsRefused: the connection is of no more use.
            StorageFailed: nothing can be stored now.
        """
        while True:
            if stop.is_set():
                raise Stopped
            if deadline is not None and self._clock() > deadline:
                raise LimitReached("the time is up; more mail remains on the server")
            await self._fill_window()
            if not self._under_way:
                self._tell()
                return
            await self._receive_one(self._under_way[0])

    async def _fill_window(self) -> None:
        """Send commands when half of the window is free: many in one segment."""
        if len(self._under_way) > self._window // 2:
            return
        asked: list[commands.Retr | commands.Top] = []
        while len(self._under_way) < self._window and self._under_way_octets <= WINDOW_OCTETS:
            if self._under_way and not self._intend.is_ready:
                break  # what is journalled goes out while the next ones are being journalled
            entry = await self._intend.next()
            if entry is None:
                break
            self._under_way.append(entry)
            self._under_way_octets += entry.wanted.announced or 0
            asked.append(_command(entry.wanted))
        if asked:
            self._client.send(*asked)

    async def _receive_one(self, entry: Entry) -> None:
        self.current = entry
        try:
            event = await self._client.next_event()
        except ProtocolBroken:
            if self._storing.last is not None:
                self.current = None
            await self._storing.doubt_last()
            raise
        match event:
            case Answer(has_body=True):
                await self._receive_body(entry)
            case Answer(status=status):
                if status.code_untrusted.startswith("SYS/"):
                    raise command_failure(status, "RETR")
                await self._storing.fail(entry, f"the server does not give it: {quote(status)}")
            case Greeting() | Body() | ServerChallenge():
                raise ProtocolBroken("the server sent something else than an answer")
            case _:
                assert_never(event)
        self._under_way.popleft()
        self._under_way_octets -= entry.wanted.announced or 0
        self.current = None

    async def _receive_body(self, entry: Entry) -> None:
        arriving = self._storing.begin(entry)
        self.is_in_body = True
        try:
            await self._take_body(arriving, _limit(entry.wanted, self._limit_octets))
            self._judge_length(arriving)
        except BaseException:
            arriving.abandon()
            raise
        self.is_in_body = False
        await self._storing.end(arriving)

    def _judge_length(self, arriving: Arriving) -> None:
        """See that a message is as long as the one that was asked for."""
        wanted = arriving.entry.wanted
        if wanted.header_only or arriving.is_as_announced:
            return
        self.others += 1
        if self.is_pipelined and self._trusts_lengths:
            raise OtherLength(
                f"the answer to RETR {wanted.number} has {arriving.octets} octets and"
                f" {wanted.announced} were announced"
            )

    async def _take_body(self, arriving: Arriving, limit: int) -> None:
        try:
            header = HeaderPart() if arriving.entry.wanted.header_only else None
            octets = 0
            async for piece in self._client.body_pieces():
                arriving.write(piece if header is None else header.cut(piece))
                octets += len(piece)
                if octets > limit:
                    raise MessageTooLong(f"it has more than {limit} octets")
                self._storing.tally.arrived_octets += len(piece)
                if self._clock() - self._told > _PROGRESS_S:
                    self._tell()
        except DestinationUnavailable as cause:
            raise StorageFailed(str(cause), hint=cause.hint) from cause
        self._storing.tally.arrived += 1

    def _tell(self) -> None:
        self._told = self._clock()
        tally = self._storing.tally
        self._report(self._client.account.name, Progress(tally.arrived, tally.arrived_octets))


class Intending:
    """Messages that a plan wants, each journalled before it is handed out."""

    def __init__(
        self,
        wanted: Sequence[Wanted],
        disk: Disk,
        journal_some: Callable[[Sequence[Wanted]], Sequence[Entry]],
    ) -> None:
        """Begin.

        Args:
            wanted: in the order in which they shall be fetched.
            disk: where `journal_some` is called.
            journal_some: makes some durable and returns them as entries.
        """
        self._wanted = deque(wanted)
        self._ready: deque[Entry] = deque()
        self._disk = disk
        self._journal_some = journal_some
        self._task: asyncio.Task[Sequence[Entry]] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether `next` has something without waiting for the disk."""
        return bool(self._ready) or (self._task is not None and self._task.done())

    async def next(self) -> Entry | None:
        """Return the next message that may be asked for, or None at the end."""
        if not self._ready:
            self._start()
            if self._task is None:
                return None
            task, self._task = self._task, None
            self._ready.extend(await task)
        elif len(self._ready) <= INTEND_AHEAD // 2:
            self._start()
        return self._ready.popleft()

    async def close(self) -> None:
        """Wait for what is under way. Never raises."""
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()

    def _start(self) -> None:
        if self._task is None and self._wanted:
            count = min(INTEND_AHEAD, len(self._wanted))
            some = [self._wanted.popleft() for _ in range(count)]
            self._task = asyncio.create_task(self._disk.run(self._journal_some, some))


def _command(wanted: Wanted) -> commands.Retr | commands.Top:
    number = MessageNumber(wanted.number)
    return commands.Top(number, 0) if wanted.header_only else commands.Retr(number)


def _limit(wanted: Wanted, limit_octets: int) -> int:
    """Return how many octets a message may have: its announced size is a hint, not a promise."""
    if wanted.announced is None:
        return limit_octets
    return min(limit_octets, 4 * wanted.announced + 16 * MIB)
