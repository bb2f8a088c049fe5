"""Threads for what may wait for a disk, and the way there and back at a third of the usual price.

A hop with `ThreadPoolExecutor` and `asyncio.wrap_future` costs 60 to 100 us of processor time, half
of it for waking whoever waits and a quarter because the pool wakes its coldest thread. Here the
thread that rested last works next, and an eventfd rings once for all that has ended.

It knows nothing of mail. `outcome` takes the futures of any executor.

Known limit: a process that ends waits for the work under way, for as long as that takes.
"""

import asyncio
import atexit
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

T = TypeVar("T")

_Work = tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Threads(Executor):
    """At most so many threads, each made when all others are at work.

    Args:
        most: how many.
        name: what a debugger calls them.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._guard = Lock()
        self._resting: list[SimpleQueue[_Work | None]] = []
        self._waiting: deque[_Work] = deque()
        self._threads: list[Thread] = []
        self._is_shut = False
        _all.add(self)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have `fn` called in a thread.

        Raises:
            RuntimeError: the system has no thread to spare, or `shutdown` was called.
        """
        work: Future[T] = Future()
        item = (work, fn, args, kwargs)
        with self._guard:
            if self._is_shut:
                raise RuntimeError("the threads were sent home")
            if self._resting:
                self._resting.pop().put(item)
            elif len(self._threads) == self._most or not self._start_thread(item):
                self._waiting.append(item)
        return work

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  # Executor's
        """Take no more work; what was taken is done, unless it is cancelled here."""
        with self._guard:
            self._is_shut = True
            if cancel_futures:
                for work, *_ in self._waiting:
                    work.cancel()
            for box in self._resting:
                box.put(None)
            self._resting.clear()
        if wait:
            for thread in self._threads:
                thread.join()

    def _start_thread(self, item: _Work) -> bool:
        """Start a thread with this work; False where there are others that can do it later."""
        # Python would wait for other threads before it asks them to end: see `_let_all_end`.
        thread = Thread(target=self._work, args=(item,), name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
            return False
        self._threads.append(thread)
        return True

    def _work(self, item: _Work | None) -> None:
        box: SimpleQueue[_Work | None] = SimpleQueue()
        while item is not None:
            _do(*item)
            with self._guard:
                if self._waiting:
                    item = self._waiting.popleft()
                    continue
                if self._is_shut:
                    return
                self._resting.append(box)
            item = None  # a thread at rest keeps nothing alive
            item = box.get()


def _do(
    work: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    if work.set_running_or_notify_cancel():
        try:
            result = fn(*args, **kwargs)
        except BaseException as cause:  # noqa: BLE001  # an executor hands every one over
            work.set_exception(cause)
        else:
            work.set_result(result)


_all: WeakSet[Threads] = WeakSet()


@atexit.register
def _let_all_end() -> None:
    """Let a commit that is under way come to its end, as executors of the library do."""
    for threads in list(_all):
        threads.shutdown()


async def outcome(work: Future[T], *, is_for_caller: bool = True) -> T:
    """Wait for work in a thread and return or raise what became of it.

    Args:
        work: what an executor's `submit` returned.
        is_for_caller: whether it is cancelled with the caller if it has not begun. What has begun
            goes on without the caller.
    """
    if not work.done():
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        work.add_done_callback(partial(_bell_of(loop), waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if is_for_caller:
                work.cancel()
            raise
    return work.result()


class _Bell:
    """Wakes what waits in one event loop, from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ended: deque[asyncio.Future[None]] = deque()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add_reader(self._descriptor, self._wake)

    def __call__(self, waiter: "asyncio.Future[None]", _: Future[Any]) -> None:
        """Wake `waiter` soon."""
        self._ended.append(waiter)
        os.eventfd_write(self._descriptor, 1)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def _wake(self) -> None:
        # Read first: what ends from now on rings again.
        os.eventfd_read(self._descriptor)
        while self._ended:
            _finish(self._ended.popleft())


def _finish(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


_Ring = Callable[["asyncio.Future[None]", Future[Any]], None]
_bells: WeakKeyDictionary[asyncio.AbstractEventLoop, _Ring] = WeakKeyDictionary()


def _bell_of(loop: asyncio.AbstractEventLoop) -> _Ring:
    bell = _bells.get(loop)
    if bell is None:
        bell = _bells[loop] = _Bell(loop) if hasattr(os, "eventfd") else _call_soon
    return bell


def _call_soon(waiter: "asyncio.Future[None]", _: Future[Any]) -> None:
    """Ring where there is no eventfd (macOS)."""
    waiter.get_loop().call_soon_threadsafe(_finish, waiter)
