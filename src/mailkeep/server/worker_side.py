"""A worker: serves mail for a supervisor, which it hears and tells over their link.

It ends when the supervisor says so or has gone: nobody would keep the record any more. Signals are
the supervisor's business, so a worker ignores those that a terminal or a service manager sends to
all processes alike.

Known limit: what has happened is told within `GATHERED_S`; a worker that is killed takes that much
of it along.
"""

import asyncio
import signal
import socket
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from mailkeep.accounts import LoginCheck
from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.server import worker_wire as wire
from mailkeep.server.certificate import SiteCertificate
from mailkeep.server.holders import Holders
from mailkeep.server.serving import ServingHere
from mailkeep.server.sessions import Sessions
from mailkeep.server.worker_link import FrameLink, LinkLost
from mailkeep.site import Site
from mailkeep.tls import CertificateProblem
from mailkeep.values import AccountId

GATHERED_S = 0.05
"""How long the first event of a batch waits for others: a batch costs as much as a dozen events,
for it wakes the supervisor, and the record gathers for four times as long."""

SUPERVISOR_GONE = "the supervisor has gone"

SHARED_EVERY_S = 0.1
"""How often changed numbers are told: who is inside from where, and the figures."""


class Outbox(Protocol):
    """Events that wait to be told (`events.forwarding`)."""

    on_events: Callable[[], None]

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""

    def take(self) -> bytes:
        """Hand over what waits, or a first part of it."""

    def note_room(self, *, is_there: bool) -> None:
        """Take note whether the record has room."""


class WorkerLink:
    """A worker's end of the link.

    Args:
        outbox: events that go up.
        before: called before they go, for what has been gathered and is not told yet.
    """

    def __init__(self, outbox: Outbox, before: Callable[[], None] = lambda: None) -> None:
        self._outbox = outbox
        self._before = before
        self._loop = asyncio.get_running_loop()
        self._link = FrameLink(self._take)
        self._flushing: asyncio.TimerHandle | None = None
        self._commands: list[tuple[str, float]] = []
        self._on_message: Callable[[wire.Down], None] = lambda _: None
        outbox.on_events = self._flush_soon

    @property
    def lost(self) -> "asyncio.Future[None]":
        """Done when the supervisor has gone."""
        return self._link.lost

    async def attach(
        self, connection: socket.socket, on_message: Callable[[wire.Down], None]
    ) -> None:
        """Begin to speak.

        Args:
            connection: to the supervisor.
            on_message: told what it says, but for answers.
        """
        self._on_message = on_message
        await self._link.attach(connection)

    def say(self, message: wire.Up) -> None:
        """Tell something, behind all events that have happened before."""
        self.flush()
        self._link.say(message)

    def command(self, verb: str, seconds: float) -> None:
        """Count a command that was answered."""
        self._commands.append((verb, seconds))
        if len(self._commands) == 1:
            self._flush_soon()

    async def take_over(self, account: AccountId, after_s: float) -> bool:
        """End a session of another worker; see `Holders.take_over`."""
        try:
            answer = await self._link.ask(lambda number: wire.TakeOver(number, account, after_s))
        except LinkLost:
            return False
        return isinstance(answer, wire.TakenOver) and answer.is_free

    def flush(self) -> None:
        """Send all events that have happened, unless the supervisor is behind."""
        self._before()
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._commands:
            answered, self._commands = tuple(self._commands), []
            self._link.say(wire.Commands(answered))
        outbox, link = self._outbox, self._link
        while not (outbox.is_empty or link.is_congested):
            link.send(wire.frame(wire.Kind.EVENTS, outbox.take()))
            if not outbox.is_empty:  # only what is written tells whether the supervisor is behind
                link.flush()

    async def close(self) -> None:
        """Send everything, then end the link."""
        self._before()
        while not (self._outbox.is_empty or self._link.lost.done()):
            self.flush()
            await asyncio.sleep(GATHERED_S if self._link.is_congested else 0)
        await self._link.close()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = self._loop.call_later(GATHERED_S, self._flush_late)

    def _flush_late(self) -> None:
        self._flushing = None
        self.flush()
        if not self._outbox.is_empty:
            self._flush_soon()

    def _take(self, kind: wire.Kind, body: bytes) -> None:
        if kind is not wire.Kind.MESSAGE:
            raise wire.Malformed("a supervisor tells no events")
        message = wire.decode_down(body)
        match message:
            case wire.Room():
                self._outbox.note_room(is_there=message.is_there)
            case wire.TakenOver():
                self._link.answered(message)
            case _:
                self._on_message(message)


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker serves with."""

    serving: ServingHere
    certificate: SiteCertificate
    check: LoginCheck
    sessions: Sessions
    holders: Holders
    sink: EventSink
    forget_permissions: Callable[[], None]
    """Ask the door about everybody again."""
    checks: Callable[[], tuple[int, int]]
    """How many password hashes are computed now, and how many wait."""


class WorkerSide:
    """A worker while it serves.

    Args:
        link: to the supervisor.
        parts: what it serves with.
    """

    def __init__(self, link: WorkerLink, parts: WorkerParts) -> None:
        self._link = link
        self._parts = parts
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: wire.Figures | None = None

    async def run(self, connection: socket.socket) -> None:
        """Serve until the supervisor says to stop, or has gone.

        Args:
            connection: to the supervisor.
        """
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(one, lambda: None)
        await self._link.attach(connection, self._take)
        await self._parts.serving.start()
        self._link.say(wire.Listening())
        sharing = loop.create_task(self._share())
        stopping = loop.create_task(self._wait_for_the_end())
        await asyncio.wait({stopping, self._link.lost}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        sharing.cancel()
        if not self._link.lost.done():
            await self._stop()
        if self._link.lost.done():
            await self._parts.serving.server.stop_at_once(SUPERVISOR_GONE)

    async def _wait_for_the_end(self) -> None:
        await self._stopping.wait()

    async def _stop(self) -> None:
        """End in order, or at once when the supervisor goes meanwhile."""
        ending = asyncio.ensure_future(self._parts.serving.stop())
        await asyncio.wait({ending, self._link.lost}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            ending.result()
        else:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)

    def _take(self, message: wire.Down) -> None:
        match message:
            case wire.UseSite():
                self._begin(self._use(message))
            case wire.ShowCertificate():
                self._begin(self._show_certificate(message))
            case wire.LookAtAccount():
                self._begin(self._look_at_account(message))
            case wire.LookAgain():
                self._begin(self._look_again(message))
            case wire.TakeOver():
                self._begin(self._take_over(message))
            case wire.Inside():
                self._parts.serving.server.inside.note_elsewhere(message.prefixes)
                self._parts.sessions.inside.note_elsewhere(
                    {AccountId(account): number for account, number in message.accounts.items()}
                )
            case wire.Stop():
                self._stopping.set()
            case _:
                raise wire.Malformed("a worker begins once")

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as bug:  # noqa: BLE001  # the top of a task: the supervisor hears no answer
            reason, trace = repr(bug), traceback.format_exc()
            self._parts.sink.emit(events.InternalError(reason=reason, trace=trace))

    # What the supervisor asks for.

    async def _use(self, asked: wire.UseSite) -> None:
        site = wire.unpack_site(asked.site)
        self._read_certificate(site)
        self._parts.serving.use_now(site)
        self._link.say(wire.Done(asked.number))

    async def _show_certificate(self, asked: wire.ShowCertificate) -> None:
        self._read_certificate(None)
        self._link.say(wire.Done(asked.number))

    def _read_certificate(self, site: Site | None) -> None:
        """Read the files; the supervisor has just found them good, and tells that."""
        try:
            self._parts.certificate.use(site)
        except CertificateProblem as problem:
            self._parts.certificate.tell_rejected(problem)

    async def _look_at_account(self, asked: wire.LookAtAccount) -> None:
        account = None if asked.account is None else AccountId(asked.account)
        parts = self._parts
        parts.forget_permissions()
        await parts.check.look_again()
        await parts.sessions.end_revoked(account, parts.check.is_still_good, parts.sink)
        self._link.say(wire.Done(asked.number))

    async def _look_again(self, asked: wire.LookAgain) -> None:
        self._parts.forget_permissions()
        await self._parts.check.look_again()
        self._link.say(wire.Done(asked.number))

    async def _take_over(self, asked: wire.TakeOver) -> None:
        account = AccountId(asked.account)
        is_free = await self._parts.holders.take_over_here(account, after_s=asked.after_s)
        self._link.say(wire.TakenOver(asked.number, is_free))

    # What it tells by itself.

    async def _share(self) -> None:
        while True:
            self._tell_numbers()
            await asyncio.sleep(SHARED_EVERY_S)

    def _tell_numbers(self) -> None:
        prefixes = self._parts.serving.server.inside.changes()
        accounts = self._parts.sessions.inside.changes()
        for inside in wire.inside_messages(
            prefixes, {int(account): it for account, it in accounts.items()}
        ):
            self._link.say(inside)
        running, waiting = self._parts.checks()
        figures = wire.Figures(self._parts.serving.connections, running, waiting)
        if figures != self._told:
            self._told = figures
            self._link.say(figures)
