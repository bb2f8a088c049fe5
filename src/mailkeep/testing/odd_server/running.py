"""The odd server in a thread of its own, for tests that block: clients in other processes."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager

from mailkeep.testing.odd_server.mailbox import OddMailbox
from mailkeep.testing.odd_server.oddity import Oddity
from mailkeep.testing.odd_server.server import DEADLINE_S, OddServer, OddSettings
from mailkeep.testing.odd_server.session import OddSession


class RunningOddServer:
    """A server whose loop runs elsewhere; what it recorded can be read from here."""

    def __init__(self, server: OddServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self._loop = loop

    @property
    def host(self) -> str:
        """Where it listens: loopback."""
        return self.server.host

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    @property
    def mailbox(self) -> OddMailbox:
        """What it serves."""
        return self.server.mailbox

    @property
    def sessions(self) -> list[OddSession]:
        """One for each connection so far; complete after `settle`."""
        return self.server.sessions

    def settle(self, timeout_s: float = DEADLINE_S) -> None:
        """Wait until everybody who has called has hung up and all they said is recorded.

        Raises:
            TimeoutError: somebody stays.
        """
        coroutine = self.server.settle(timeout_s)
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


@contextlib.contextmanager
def running_odd_server(
    mailbox: OddMailbox, *oddities: Oddity, settings: OddSettings | None = None
) -> Iterator[RunningOddServer]:
    """Run a server in a thread while the block lasts.

    Raises:
        Exception: what an oddity raised, at the end of the block.
    """
    server = OddServer(mailbox, *oddities, settings=settings)
    with in_a_thread(server) as loop:
        yield RunningOddServer(server, loop)


@contextlib.contextmanager
def in_a_thread(
    manager: AbstractAsyncContextManager[object],
) -> Iterator[asyncio.AbstractEventLoop]:
    """Enter an asynchronous context manager in a loop of its own, and leave it afterwards.

    Raises:
        Exception: what entering or leaving raised.
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    ended: Future[None] = Future()
    thread = threading.Thread(target=_run, args=(manager, started, ended), daemon=True)
    thread.start()
    try:
        loop, stop = started.result(DEADLINE_S)
        try:
            yield loop
        finally:
            loop.call_soon_threadsafe(stop.set)
        ended.result(DEADLINE_S)
    finally:
        thread.join(DEADLINE_S)


def _run(
    manager: AbstractAsyncContextManager[object],
    started: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]",
    ended: "Future[None]",
) -> None:
    async def until_stopped() -> None:
        async with manager:
            stop = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    try:
        asyncio.run(until_stopped())
    except BaseException as cause:  # noqa: BLE001  # the other thread raises it
        (ended if started.done() else started).set_exception(cause)
    else:
        ended.set_result(None)
