"""Several accounts: some at a time, each mailbox in one session, once or again and again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from mailkeep.fetch.events import Ended
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.polling import Past, next_delay

Fetch = Callable[[], Awaitable[Ended]]
"""One run of one account."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An account in its turn.

    Attributes:
        fetch: makes one run.
        login_delay_s: returns what the server asked for so far.
        every_s: look again after so many seconds; None for one run.
    """

    fetch: Fetch
    login_delay_s: Callable[[], int]
    every_s: int | None


async def fetch_all(turns: Sequence[Turn], *, parallel: int, stop: asyncio.Event) -> int:
    """Run every account, and return the exit code of all: the worst that a run ended with.

    Args:
        turns: the accounts.
        parallel: how many sessions there are at a time.
        stop: set to end in order.
    """
    places = asyncio.Semaphore(parallel)
    codes = await asyncio.gather(*(_take_turns(turn, places, stop) for turn in turns))
    return worst_of(codes)


def worst_of(codes: Sequence[int]) -> int:
    """Return the code that says most: the only failure, or PARTIAL where accounts differ."""
    failed = {code for code in codes if code != FetchExit.DONE}
    if len(failed) > 1 or (failed and len(failed) < len(set(codes))):
        stopped = [code for code in failed if code > _SIGNALS]
        return max(stopped) if stopped else int(FetchExit.PARTIAL)
    return next(iter(failed), int(FetchExit.DONE))


_SIGNALS = 128
"""Above are the exit codes of a program that a signal has ended."""


async def _take_turns(turn: Turn, places: asyncio.Semaphore, stop: asyncio.Event) -> int:
    failures = 0
    while True:
        async with places:
            if stop.is_set():
                return int(FetchExit.DONE)
            ended = await turn.fetch()
        if turn.every_s is None or stop.is_set() or ended.code == FetchExit.WRONG:
            return ended.code
        failures = failures + 1 if ended.code not in _GOOD else 0
        past = Past(ended.code, failures, turn.login_delay_s())
        delay = next_delay(turn.every_s, past, random.random())  # noqa: S311  # jitter, no secret
        try:
            await asyncio.wait_for(stop.wait(), delay)
        except TimeoutError:
            continue
        return ended.code


_GOOD = frozenset({FetchExit.DONE, FetchExit.PARTIAL})
