"""How the commands of `mailkeep fetch` run: an event loop, signals, failures and their codes."""

import asyncio
import contextlib
import getpass
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from mailkeep.cli.failure import CommandFailed
from mailkeep.cli.talk import say
from mailkeep.fetch.failures import FetchFailed
from mailkeep.values import Secret

Result = TypeVar("Result")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

GRACE_S = 5.0
"""After the first signal, for what is under way to become durable and for a QUIT to be answered;
what waits for the network longer is dropped, and nothing stored is lost."""


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn what ends a fetch into what ends a command."""
    try:
        yield
    except FetchFailed as failure:
        raise CommandFailed(str(failure), hint=failure.hint, code=failure.code) from failure


def run_to_end(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that looks at something; Ctrl-C ends it at once."""
    with told():
        return asyncio.run(main)


def run_until_stopped(make: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    """Run fetches until they end, or until a signal wants it, and return the exit code.

    Args:
        make: makes what is run, of the event that a signal sets.
    """

    async def main() -> int:
        stop = asyncio.Event()
        received: list[int] = []
        loop = asyncio.get_running_loop()

        def note(number: int) -> None:
            received.append(number)
            stop.set()
            for one in _SIGNALS:
                loop.remove_signal_handler(one)  # the next one is not waited for

        for number in _SIGNALS:
            loop.add_signal_handler(number, note, number)
        task = asyncio.create_task(make(stop))
        code = await _wait(task, stop)
        return 128 + received[0] if received else code

    with told():
        return asyncio.run(main())


async def _wait(task: asyncio.Task[int], stop: asyncio.Event) -> int:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        say("stopping; what was stored stays")
        await asyncio.wait([task], timeout=GRACE_S)
    stopping.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    return 0 if task.cancelled() else task.result()


def asker() -> Callable[[str], Secret] | None:
    """Return what asks a person for a password, or None where there is no terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    return lambda text: Secret(getpass.getpass(text).encode())
