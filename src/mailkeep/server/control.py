"""The socket on which a running server is told that something was changed beside it, and asked.

`SITE/run/control.sock`, for the site's user only. A line of JSON each way: `{"notice": "accounts",
"account": 7}`, answered with `{"done": true}` when it is in force. Whoever changes something has
written it to the database before: a notice only says where to look, so one that is lost costs no
more than the time until the next start.

A connection whose first line has a `door` is a worker's, and stays: it asks the door in the
language of `door_wire`. What a worker holds when its connection ends is given up.

Known limit: a path that is too long for a socket's address is reached through the folder's own
descriptor, which takes Linux' /proc.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mailkeep.defence import Attempt, Ban, DoorUnavailable, Let, LoginDoor, Success, Turned
from mailkeep.defence.prefixes import prefixes_of
from mailkeep.server import door_wire as wire
from mailkeep.values import IpAddress

NOTICE_LIMIT_OCTETS = 4096
"""A notice has some words and a number."""

NOTICE_WITHIN_S = 5.0
"""Whoever connects has one thing to say, and says it."""

ANSWER_WITHIN_S = 5.0
"""What is asked for takes milliseconds; a server that is busy for longer does it later."""

NOTICES_AT_ONCE = 16
"""Commands are run by people and scripts; more wait in the kernel's queue."""

WORKERS_LIMIT = 64
"""Connections that ask the door: one a worker, one worker a core."""

OUTSTANDING_LIMIT = 12_000
"""Attempts of one worker that wait or are looked at: a login for each of its 10,000 connections,
and some that it has given up and that are not yet gone."""

SILENCE_S = 30.0
"""A worker says something every five seconds (`door_asking`); one that has stopped must not keep
its places, nor let the answers to it pile up."""

_PIECE_OCTETS = 16_384
"""Some 60 requests, 2 ms of the loop's time; then it is the turn of others."""

_ADDRESS_LIMIT_OCTETS = 100
"""sun_path has 108 (unix(7))."""

Notice = Mapping[str, Any]
"""What came, read from JSON; nobody has checked it."""

OnNotice = Callable[[Notice], Awaitable[None]]


class UnknownNotice(Exception):
    """Nobody here understands a notice."""


class Control:
    """Listens for notices, for as long as the server runs."""

    def __init__(
        self,
        path: Path,
        on_notice: OnNotice,
        door: LoginDoor | None = None,
        *,
        lasts: bool = False,
    ) -> None:
        """Make ready.

        Args:
            path: of the socket; its folder is made when it is missing.
            on_notice: does what a notice asks for; raises `UnknownNotice`.
            door: what workers ask; None where there are none.
            lasts: whether workers may let somebody in again without asking. Not where each login
                counts: with LOGIN-DELAY, or a policy server.
        """
        self._path = path
        self._on_notice = on_notice
        self._door = door
        self._lasts = lasts
        self._workers: set[_Worker] = set()
        self._free = asyncio.Semaphore(NOTICES_AT_ONCE)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the socket cannot be made.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)  # of a server that was killed
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with socket_address(self._path) as address:
            listening.bind(address)
        self._path.chmod(0o600)
        listening.settimeout(0)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listening, limit=NOTICE_LIMIT_OCTETS
        )

    def take_back(self, taken: wire.TakenBack) -> None:
        """Tell all workers what they have to ask about again."""
        for worker in self._workers:
            worker.say(taken)

    def take_everything_back(self) -> None:
        """Tell all workers to ask about everybody again."""
        self.take_back(wire.TakenBack())

    def close_to_commands(self) -> None:
        """Listen no more; workers that have come go on asking."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Listen no more, and leave the workers."""
        self.close_to_commands()
        for worker in self._workers:
            worker.leave()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with self._free, asyncio.timeout(NOTICE_WITHIN_S):
                line = await reader.readline()
            answer = await self._answer(line, reader, writer)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> dict[str, object]:
        """Return the answer to a notice, or the last one to a worker."""
        try:
            notice = _read(line)
            if self._door is not None and "door" in notice:
                lends = self.take_back if self._lasts else None
                await self._serve_worker(_Worker(self._door, writer, lends), line, reader)
            else:
                await self._on_notice(notice)
        except (UnknownNotice, wire.Malformed) as refusal:
            return {"done": False, "reason": str(refusal)}
        return {"done": True}

    async def _serve_worker(
        self, worker: "_Worker", line: bytes, reader: asyncio.StreamReader
    ) -> None:
        if len(self._workers) >= WORKERS_LIMIT:
            raise UnknownNotice("too many workers ask already")
        self._workers.add(worker)
        try:
            await worker.serve(line, reader)
        finally:
            self._workers.discard(worker)


class _Worker:
    """A connection that asks the door, and what it holds there.

    Args:
        door: the real one.
        writer: the way to the worker.
        take_back: tells all workers what no longer lasts; None where nothing does.
    """

    def __init__(
        self,
        door: LoginDoor,
        writer: asyncio.StreamWriter,
        take_back: Callable[[wire.TakenBack], None] | None,
    ) -> None:
        self._take_back = take_back
        self._door = door
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._held: dict[int, tuple[Attempt, Let]] = {}
        self._outgoing = Outgoing(writer.transport)

    async def serve(self, first: bytes, reader: asyncio.StreamReader) -> None:
        """Answer until it goes away, then give up what it holds.

        Raises:
            Malformed: it says what cannot be understood.
            OSError, TimeoutError: it has gone, or has stopped.
        """
        lines, octets = wire.Lines(wire.REQUEST_LIMIT_OCTETS), first
        try:
            while octets:
                for line in lines.feed(octets):
                    await self._take(wire.decode_request(line))
                octets = await self._next(reader, is_more=len(octets) == _PIECE_OCTETS)
        except TimeoutError:
            self.leave()  # closing would wait until it takes what is written
            raise
        finally:
            await self._give_all_up()

    def say(self, taken: wire.TakenBack) -> None:
        """Tell what was not asked."""
        self._outgoing.send(wire.encode(taken))

    def leave(self) -> None:
        """End the connection now."""
        self._writer.transport.abort()

    async def _next(self, reader: asyncio.StreamReader, *, is_more: bool) -> bytes:
        """Return what comes next; nothing is read while answers are not taken."""
        self._outgoing.flush()
        if is_more:
            await asyncio.sleep(0)
        async with asyncio.timeout(SILENCE_S):
            await self._writer.drain()
            return await reader.read(_PIECE_OCTETS)

    async def _take(self, request: wire.Request) -> None:
        """Do what is asked; only an `ask` takes time, and is answered later."""
        match request:
            case wire.Ask() | wire.Again():
                self._begin(request)
            case wire.Fail() | wire.Succeed():
                self._send(await self._report(request))
            case wire.GiveUp():
                await self._give_up(request.let)
            case wire.Look():
                self._send(self._look(request.number, request.whence()))
            case wire.Ping():
                self._send(wire.Pong(request.number))

    def _look(self, number: int, source: IpAddress) -> wire.Looked:
        """Judge a source; that lasts if it is not one that is let in now and then only."""
        admits = self._door.admits(source)
        lasts = admits and self._take_back is not None and self._door.admits(source)
        return wire.Looked(number, admits, self._door.has_good_past(source), lasts)

    def _begin(self, request: wire.Ask | wire.Again) -> None:
        number, attempt = request.number, request.attempt()
        if number in self._asking or number in self._held:
            raise wire.Malformed("a number is used once")
        if len(self._asking) + len(self._held) >= OUTSTANDING_LIMIT:
            self._send(wire.Unavailable.of(number, "too many logins of one worker"))
            return
        success = request.success() if isinstance(request, wire.Again) else None
        self._asking[number] = self._loop.create_task(self._ask(number, attempt, success))

    async def _ask(self, number: int, attempt: Attempt, success: Success | None) -> None:
        """Ask the door; whoever cancels this has taken it from `_asking`.

        Args:
            number: of the request.
            attempt: what is asked about.
            success: what came of it, if that is known already.
        """
        answer: wire.Answer
        try:
            said = await self._door.ask(attempt)
        except DoorUnavailable as unavailable:
            answer = wire.Unavailable.of(number, str(unavailable))
        except Exception as bug:  # noqa: BLE001  # the top of a task: the worker must not wait on
            self._loop.call_exception_handler({"message": "the door failed", "exception": bug})
            answer = wire.Unavailable.of(number, "the door has failed")
        else:
            answer = await self._answer(number, attempt, said, success)
        if self._asking.pop(number, None) is not None:
            self._send(answer)

    async def _answer(
        self, number: int, attempt: Attempt, said: Let | Turned, success: Success | None
    ) -> wire.Answer:
        if isinstance(said, Turned):
            return wire.TurnedAway.of(number, said)
        if success is not None:
            return await self._welcome(number, attempt, said, success)
        self._held[number] = attempt, said
        return wire.Allowed.of(number, said)

    async def _report(self, request: wire.Fail | wire.Succeed) -> wire.Answer:
        """Report; one answer for right and wrong when the attempt is not known here."""
        held = self._held.pop(request.let, None)
        if held is None:
            return wire.Unavailable.of(request.number, "nobody was let in under that number")
        attempt, let = held
        if isinstance(request, wire.Fail):
            came_of_it = await self._door.fail(let, account=request.whose())
            own = () if came_of_it.ban is None else (came_of_it.ban,)
            self._note_wrong(attempt, (*own, *came_of_it.other_bans))
            return wire.Counted.of(request.number, came_of_it)
        return await self._welcome(request.number, attempt, let, request.success())

    async def _welcome(
        self, number: int, attempt: Attempt, let: Let, success: Success
    ) -> wire.Welcomed:
        """Decide about right credentials; that lasts where nothing would be said to the next."""
        welcome = await self._door.succeed(let, success)
        if welcome.refused is not None:
            self._note_wrong(attempt, welcome.bans)
        is_plain = not (let.delayed_s or welcome.refused or welcome.odd or welcome.country)
        lasts = is_plain and self._take_back is not None
        return wire.Welcomed.of(number, welcome, lasts=lasts)

    def _note_wrong(self, attempt: Attempt, bans: tuple[Ban, ...] = ()) -> None:
        """Let nobody come in unasked where something failed."""
        if self._take_back is None:
            return
        seal = None if attempt.password_seal is None else attempt.password_seal.hex()
        prefix = prefixes_of(attempt.source).narrow
        self._take_back(wire.TakenBack(wire.sendable_name(attempt.name), prefix, seal))
        for ban in bans:
            self._take_back(wire.TakenBack(prefix=ban.prefix, banned=True))

    async def _give_up(self, number: int) -> None:
        """Take an attempt back; it may have been answered while the worker wrote."""
        asking, held = self._asking.pop(number, None), self._held.pop(number, None)
        if asking is not None:
            asking.cancel()
        if held is not None:
            await self._door.give_up(held[1])

    async def _give_all_up(self) -> None:
        """Those who wait go first, so that no place is given to one who is about to go."""
        for number in (*self._asking, *self._held):
            await self._give_up(number)

    def _send(self, answer: wire.Answer) -> None:
        self._outgoing.send(wire.encode(answer))


class Outgoing:
    """Writes all that is said in one turn of the loop together: one call to the kernel."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []

    def send(self, line: bytes) -> None:
        """Write a line, soon."""
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(line)

    def flush(self) -> None:
        """Write what is there, now."""
        if self._unsent and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


def _read(line: bytes) -> Notice:
    try:
        notice = json.loads(line)
    except (ValueError, RecursionError):
        notice = None
    if not isinstance(notice, dict):
        raise UnknownNotice("a notice is a JSON object")
    return notice


def send_notice(path: Path, notice: Notice) -> bool:
    """Tell a running server; blocks until it has done what was asked.

    Args:
        path: of its socket.
        notice: see above.

    Returns:
        Whether it is in force. False when no server runs, or it does not answer in time.
    """
    try:
        with socket_address(path) as address, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_WITHIN_S)
            connection.connect(address)
            connection.sendall(json.dumps(notice).encode() + b"\n")
            answer = connection.makefile("rb").readline(NOTICE_LIMIT_OCTETS)
            return json.loads(answer).get("done") is True
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yield an address for a socket's path, however long that is."""
    if len(os.fsencode(path)) <= _ADDRESS_LIMIT_OCTETS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
