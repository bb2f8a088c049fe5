"""The workers of a site: started, replaced when they die, told and heard.

The supervisor's half of what serves mail. It never touches mail or passwords: it keeps the
listening sockets, so that a worker's successor takes over what waits there, gives what workers tell
to the record, passes on what one asks another, and tells all of them what has changed.

A worker that does not confirm a change is ended: a session that must not go on would go on there.
"""

import asyncio
import contextlib
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mailkeep.events import Event, EventSink
from mailkeep.events import types as events
from mailkeep.server import worker_wire as wire
from mailkeep.server.inside import Sums
from mailkeep.server.left_open import LeftOpen
from mailkeep.server.listener import Listener
from mailkeep.server.worker_link import FrameLink, LinkLost
from mailkeep.site import Site
from mailkeep.values import AccountId

FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 5.0
"""Before a worker that died is replaced, doubling while it goes on dying: who connects to its
sockets waits so long, and a start costs a second of a core."""

STEADY_S = 60.0
"""A worker that has lived so long did not die of how it began."""

CONFIRMED_WITHIN_S = 10.0
"""A worker's loop is never busy for a second; one that says nothing for so long hangs."""

GONE_WITHIN_S = 10.0
"""How long a worker may take to end when it has nothing to do any more."""


class CannotServe(OSError):
    """A worker has ended before it let anybody in."""


class Process(Protocol):
    """A process that was started (`asyncio.subprocess.Process`)."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""

    async def wait(self) -> int:
        """Return how it ended: its exit code, or the number of a signal below 0."""

    def kill(self) -> None:
        """End it now."""


Launch = Callable[[int, Sequence[int]], Awaitable[Process]]
"""Starts a worker with the descriptor of its link and those of its sockets."""


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears what workers tell."""

    sink: EventSink
    unpack: Callable[[bytes], Iterable[Event]]
    """Reads a batch of events; raises ValueError."""
    on_command: Callable[[str, float], None]


class Workers:
    """Serves mail by workers; see `Serving`.

    Args:
        site: as it is on disk now.
        version: of the program.
        listeners: the bound sockets of each worker.
        launch: starts a worker.
        ears: who hears them.
    """

    def __init__(
        self,
        site: Site,
        version: str,
        listeners: Sequence[Sequence[Listener]],
        launch: Launch,
        ears: Ears,
    ) -> None:
        self._site_before = site
        self._site = site
        self._version = version
        self._listeners = listeners
        self._launch = launch
        self._ears = ears
        self._workers: dict[int, _Worker] = {}
        self._prefixes: Sums[str] = Sums()
        self._accounts: Sums[int] = Sums()
        self._keeping: set[asyncio.Task[None]] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self._waiting_for_room: asyncio.Task[None] | None = None
        self._begun: dict[int, asyncio.Future[None]] = {}
        self._stopping = asyncio.Event()

    @property
    def listeners(self) -> Sequence[Listener]:
        """See `Serving`."""
        return self._listeners[0]

    @property
    def connections(self) -> int:
        """See `Serving`."""
        return sum(it.figures.connections for it in self._workers.values())

    @property
    def checks_running(self) -> int:
        """How many password hashes are computed now."""
        return sum(it.figures.checks_running for it in self._workers.values())

    @property
    def checks_waiting(self) -> int:
        """How many logins wait for one."""
        return sum(it.figures.checks_waiting for it in self._workers.values())

    async def start(self) -> None:
        """See `Serving`.

        Raises:
            CannotServe: a worker cannot begin.
        """
        loop = asyncio.get_running_loop()
        for number in range(len(self._listeners)):
            self._begun[number] = loop.create_future()
            keeping = loop.create_task(self._keep_serving(number))
            self._keeping.add(keeping)
            keeping.add_done_callback(self._keeping.discard)
        try:
            await asyncio.gather(*self._begun.values())
        except CannotServe:
            await self.stop()
            raise

    async def use(self, site: Site) -> None:
        """See `Serving`."""
        self._site = site
        packed = wire.pack_site(site)
        await self._tell(lambda number: wire.UseSite(number, packed))

    async def show_certificate(self) -> None:
        """See `Serving`."""
        await self._tell(wire.ShowCertificate)

    async def look_at_account(self, account: AccountId | None) -> None:
        """Return when no session goes on anywhere that may not.

        Args:
            account: whose; None for everybody's.
        """
        await self._tell(lambda number: wire.LookAtAccount(number, account))

    async def look_again(self) -> None:
        """Return when all workers have read anew what is kept about all accounts."""
        await self._tell(wire.LookAgain)

    async def stop(self) -> None:
        """See `Serving`."""
        self._stopping.set()
        for each in self._listeners:
            for listener in each:
                listener.socket.close()
        for worker in self._workers.values():
            worker.link.say(wire.Stop())
        shutdown_s = self._site.settings.limits.shutdown_s
        patience_s = shutdown_s + GONE_WITHIN_S if shutdown_s else None
        await self._all_gone(patience_s)
        for worker in self._workers.values():
            worker.kill()
        await self._all_gone(GONE_WITHIN_S)
        for task in (*self._keeping, *self._telling):
            task.cancel()
        if self._waiting_for_room is not None:
            self._waiting_for_room.cancel()

    async def _all_gone(self, within_s: float | None) -> None:
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=within_s)

    # One worker after the other in one place.

    async def _keep_serving(self, number: int) -> None:
        """Have a worker serve, whatever happens, until all are to stop."""
        try:
            await self._replace_again_and_again(number)
        except Exception as bug:  # noqa: BLE001  # the top of a worker
            reason, trace = repr(bug), traceback.format_exc()
            self._ears.sink.emit(events.InternalError(reason=reason, trace=trace))
            if not self._begun[number].done():
                self._begun[number].set_exception(CannotServe(reason))

    async def _replace_again_and_again(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = loop.time()
            ended = await self._serve_once(number)
            if self._stopping.is_set():
                return
            if not self._begun[number].done():
                reason = f"a worker cannot begin: {ended.how}"
                self._begun[number].set_exception(CannotServe(reason))
                return
            if loop.time() - began_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._ears.sink.emit(
                events.WorkerEnded(
                    worker=number,
                    pid=ended.pid,
                    how=ended.how,
                    sessions=ended.sessions,
                    again_in_s=pause_s,
                )
            )
            if await self._is_stopped_within(pause_s):
                return
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _is_stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _serve_once(self, number: int) -> "_Ended":
        """Start a worker, and return when it has ended and all that it left is told."""
        try:
            worker = await self._begin(number)
        except OSError as problem:
            return _Ended(None, str(problem), 0)
        self._workers[number] = worker
        try:
            await worker.link.lost
            code = await worker.gone()
        finally:
            del self._workers[number]
            self._pass_on(self._prefixes.forget(number), self._accounts.forget(number))
        now_s = asyncio.get_running_loop().time()
        sessions = len(worker.left_open)
        for end in worker.left_open.ends(now_s):
            self._ears.sink.emit(end)
        return _Ended(worker.process.pid, worker.reason or _how(code), sessions)

    async def _begin(self, number: int) -> "_Worker":
        """Start a worker and tell it what to serve.

        Raises:
            OSError: it cannot be started.
        """
        ours, its = socket.socketpair()
        try:
            sockets = [one.socket.fileno() for one in self._listeners[number]]
            process = await self._launch(its.fileno(), sockets)
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()
        worker = _Worker(number, process, self._take)
        await worker.link.attach(ours)
        worker.link.say(self._beginning(number, sockets))
        if self._waiting_for_room is not None:
            worker.link.say(wire.Room(is_there=False))
        for inside in wire.inside_messages(
            self._prefixes.begin(number), self._accounts.begin(number)
        ):
            worker.link.say(inside)
        if self._stopping.is_set():
            worker.link.say(wire.Stop())
        return worker

    def _beginning(self, number: int, sockets: Sequence[int]) -> wire.Begin:
        return wire.Begin(
            version=self._version,
            worker=number,
            workers=len(self._listeners),
            site=wire.pack_site(self._site_before),
            site_now=wire.pack_site(self._site),
            sockets=tuple(sockets),
        )

    # What workers say.

    def _take(self, worker: "_Worker", kind: wire.Kind, body: bytes) -> None:
        if kind is wire.Kind.EVENTS:
            self._take_events(worker, body)
            return
        message = wire.decode_up(body)
        match message:
            case wire.Commands():
                for verb, seconds in message.answered:
                    self._ears.on_command(verb, seconds)
            case wire.Figures():
                worker.figures = message
            case wire.Inside():
                self._pass_on(
                    self._prefixes.note(worker.number, message.prefixes),
                    self._accounts.note(worker.number, message.accounts),
                )
            case wire.Done() | wire.TakenOver():
                worker.link.answered(message)
            case wire.TakeOver():
                self._later(self._take_over(worker, message))
            case wire.CannotBegin():
                worker.reason = message.reason
            case wire.Listening():
                self._note_listening(worker)

    def _take_events(self, worker: "_Worker", body: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        try:
            for event in self._ears.unpack(body):
                worker.left_open.note(event, now_s)
                self._ears.sink.emit(event)
        except ValueError as cause:
            raise wire.Malformed(str(cause)) from cause
        if self._waiting_for_room is None and not self._ears.sink.has_room():
            self._say_to_all(wire.Room(is_there=False))
            self._waiting_for_room = asyncio.ensure_future(self._wait_for_room())

    async def _wait_for_room(self) -> None:
        await self._ears.sink.ready()
        self._waiting_for_room = None
        self._say_to_all(wire.Room(is_there=True))

    def _note_listening(self, worker: "_Worker") -> None:
        worker.is_listening = True
        self._ears.sink.emit(events.WorkerStarted(worker=worker.number, pid=worker.process.pid))
        for question in worker.missed:
            self._later(self._ask(worker, question))
        worker.missed.clear()
        if not self._begun[worker.number].done():
            self._begun[worker.number].set_result(None)

    def _pass_on(
        self, prefixes: dict[int, dict[str, int]], accounts: dict[int, dict[int, int]]
    ) -> None:
        for number, worker in self._workers.items():
            theirs = prefixes.get(number, {}), accounts.get(number, {})
            for inside in wire.inside_messages(*theirs):
                worker.link.say(inside)

    async def _take_over(self, asker: "_Worker", asked: wire.TakeOver) -> None:
        """End a session of whichever other worker has it."""
        others = [it for it in self._workers.values() if it is not asker]
        answers = await asyncio.gather(
            *(
                one.link.ask(lambda number: wire.TakeOver(number, asked.account, asked.after_s))
                for one in others
            ),
            return_exceptions=True,
        )
        is_free = any(isinstance(it, wire.TakenOver) and it.is_free for it in answers)
        asker.link.say(wire.TakenOver(asked.number, is_free))

    # What is told to all of them.

    def _say_to_all(self, message: wire.Down) -> None:
        for worker in self._workers.values():
            worker.link.say(message)

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, question: Callable[[int], wire.Asked]) -> None:
        """Return when every worker has done what it is asked for, or is no more."""
        listening = []
        for worker in self._workers.values():
            if worker.is_listening:
                listening.append(worker)
            else:
                worker.missed.append(question)
        await asyncio.gather(*(self._ask(worker, question) for worker in listening))

    async def _ask(self, worker: "_Worker", question: Callable[[int], wire.Asked]) -> None:
        try:
            async with asyncio.timeout(CONFIRMED_WITHIN_S):
                await worker.link.ask(question)
        except LinkLost:
            return  # with all its sessions
        except TimeoutError:
            worker.reason = "it did not confirm a change"
            worker.kill()


class _Worker:
    """A worker, seen from the supervisor."""

    def __init__(
        self,
        number: int,
        process: Process,
        on_frame: Callable[["_Worker", wire.Kind, bytes], None],
    ) -> None:
        self.number = number
        self.process = process
        self.link = FrameLink(lambda kind, body: on_frame(self, kind, body))
        self.is_listening = False
        self.missed: list[Callable[[int], wire.Asked]] = []
        self.reason = ""
        self.left_open = LeftOpen()
        self.figures = wire.Figures(0, 0, 0)

    def kill(self) -> None:
        """End it now."""
        if self.process.returncode is None:
            self.process.kill()

    async def gone(self) -> int:
        """Return how the process has ended, by force if it takes too long."""
        try:
            async with asyncio.timeout(GONE_WITHIN_S):
                return await self.process.wait()
        except TimeoutError:
            self.kill()
            return await self.process.wait()


@dataclass(frozen=True, slots=True)
class _Ended:
    pid: int | None
    how: str
    sessions: int


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit {code}"
