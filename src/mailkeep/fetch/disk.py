"""The one thread that everything that blocks on a disk runs in.

Journal and destinations are called from it alone, one call at a time, so neither needs a lock, and
the event loop reads from the network while the disk is waited for.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Disk:
    """Runs calls one after the other in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disk")

    async def run(
        self, work: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs
    ) -> Result:
        """Call `work` and return what it returns; what has begun runs to its end."""
        call = self._thread.submit(work, *args, **kwargs)
        return await asyncio.shield(asyncio.wrap_future(call))

    def close(self) -> None:
        """Wait for what runs."""
        self._thread.shutdown()
