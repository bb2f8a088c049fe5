"""Where argon2 runs: off the loop, a few at a time, with a bounded queue before it.

Each hash takes 19 MiB and tens of milliseconds of one core. Unbounded, a hundred guessers would
have all the memory and every core; with a core left over, the sessions that are open keep going.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

NICENESS = 5
"""Of the threads: the loop gets three quarters of a core that both want. With 10 it gets nine
tenths, and an owner's hash takes half a second while the loop is busy."""

Params = ParamSpec("Params")
Result = TypeVar("Result")


class QueueFull(Exception):
    """As many logins wait as may."""


def hashing_threads() -> int:
    """Return how many hashes may run at a time: one core fewer than this process may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, cores - 1)


def _stand_back() -> None:
    """Let the event loop go first where it shares a core with this thread.

    On Linux a thread has a niceness of its own (setpriority(2)); elsewhere nothing happens.
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # a sandbox may forbid it; the loop is slower then
        os.setpriority(os.PRIO_PROCESS, thread, NICENESS)


class HashingPool:
    """Runs hashes. Its count belongs to the loop's thread.

    Args:
        threads: hashes that run at a time.
        waiting_limit: hashes that may wait for one of them.
    """

    def __init__(self, *, threads: int, waiting_limit: int) -> None:
        self._limit = threads + waiting_limit
        self._at_a_time = threads
        self._inside = 0
        self._threads = ThreadPoolExecutor(
            threads, thread_name_prefix="hashing", initializer=_stand_back
        )

    @property
    def running(self) -> int:
        """How many hashes are computed now."""
        return min(self._inside, self._at_a_time)

    @property
    def waiting(self) -> int:
        """How many wait for one of them."""
        return self._inside - self.running

    async def run(
        self, work: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs
    ) -> Result:
        """Call `work` when a thread is free, first come first served.

        Cancelling frees the place in the queue; a hash that has begun runs to its end, and its
        thread takes the next one only then.

        Raises:
            QueueFull: at once, when nobody else may wait.
        """
        if self._inside >= self._limit:
            raise QueueFull(f"{self._limit} passwords are being checked or wait for it")
        self._inside += 1
        try:
            return await asyncio.wrap_future(self._threads.submit(work, *args, **kwargs))
        finally:
            self._inside -= 1

    def close(self) -> None:
        """Wait for what runs, drop what waits. Safe to call twice."""
        self._threads.shutdown(cancel_futures=True)
