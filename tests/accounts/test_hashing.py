"""A few hashes at a time, a bounded queue before them, and no place lost."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from mailkeep.accounts.hashing import HashingPool, QueueFull, hashing_threads


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What holds the work back; always opened at the end, or the test would not end."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def pool(gate: threading.Event) -> Iterator[HashingPool]:
    made = HashingPool(threads=1, waiting_limit=2)
    yield made
    gate.set()
    made.close()
    made.close()


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def start(pool: HashingPool, gate: threading.Event) -> "asyncio.Task[bool]":
    return asyncio.create_task(pool.run(gate.wait))


async def test_who_finds_the_queue_full_is_told_at_once(
    pool: HashingPool, gate: threading.Event
) -> None:
    """One runs, two wait, the fourth hears it without waiting; then there is room again."""
    inside = [start(pool, gate) for _ in range(3)]
    await settle()
    with pytest.raises(QueueFull):
        await pool.run(int)
    gate.set()
    assert await asyncio.gather(*inside) == [True, True, True]
    assert await pool.run(int) == 0


async def test_who_is_gone_frees_the_place(pool: HashingPool, gate: threading.Event) -> None:
    """A client that disconnects while it waits must not keep others out."""
    _running, waiting, _other = (start(pool, gate) for _ in range(3))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    next_one = start(pool, gate)
    await settle()
    with pytest.raises(QueueFull):
        await pool.run(int)
    gate.set()
    assert await next_one
    await asyncio.gather(_running, _other)


async def test_what_was_cancelled_in_the_queue_is_never_computed(
    pool: HashingPool, gate: threading.Event
) -> None:
    """Guessing and hanging up must not cost the server an argon2 each."""
    done: list[int] = []
    running = start(pool, gate)
    await settle()
    waiting = asyncio.create_task(pool.run(done.append, 1))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    assert await running
    assert await pool.run(len, done) == 0


async def test_no_more_than_the_threads_run_at_a_time(gate: threading.Event) -> None:
    """19 MiB and a core each: the number is what bounds them."""
    pool = HashingPool(threads=2, waiting_limit=20)
    lock, running, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(0.005)
        with lock:
            running -= 1

    await asyncio.gather(*(pool.run(work) for _ in range(12)))
    pool.close()
    assert most == 2


async def test_an_error_comes_back_and_frees_the_place(pool: HashingPool) -> None:
    """A failure is one client's, not the queue's."""
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            await pool.run(divmod, 1, 0)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 2), (64, 63)])
def test_one_core_is_left_over(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int) -> None:
    """At most cores - 1, at least one: guessers do not stop the sessions that are open."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert hashing_threads() == threads


async def test_it_is_told_how_many_run_and_how_many_wait(
    pool: HashingPool, gate: threading.Event
) -> None:
    """For the metrics: a queue that grows is the first sign of an attack."""
    assert (pool.running, pool.waiting) == (0, 0)
    running = start(pool, gate)
    await settle()
    assert (pool.running, pool.waiting) == (1, 0)
    first, second = start(pool, gate), start(pool, gate)
    await settle()
    assert (pool.running, pool.waiting) == (1, 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (pool.running, pool.waiting) == (1, 1)
    gate.set()
    await asyncio.gather(running, second)
    assert (pool.running, pool.waiting) == (0, 0)


async def test_what_fails_neither_runs_nor_waits(pool: HashingPool) -> None:
    """Figures that only rise would say nothing."""
    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 1, 0)
    assert (pool.running, pool.waiting) == (0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux")
async def test_hashing_stands_back_behind_the_loop() -> None:
    """A hash takes a core for 40 ms; where the loop shares that core, it goes first."""
    pool = HashingPool(threads=1, waiting_limit=1)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    hashing = await pool.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert hashing > own
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
    pool.close()
