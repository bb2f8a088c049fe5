"""The clock that the tests of this folder stand on must itself be right."""

import asyncio
import time

import pytest

from mailkeep.testing.fake_time import FakeTimeLoop, NothingWillHappen


async def test_a_year_takes_no_time_and_timers_keep_their_order() -> None:
    """Every timer between now and then runs, each at its own second."""
    loop, ran, began = asyncio.get_running_loop(), list[tuple[str, float]](), time.monotonic()

    def run(name: str) -> None:
        ran.append((name, loop.time()))

    for name, seconds in (("late", 86_400.0 * 300), ("early", 3.0), ("soon", 0.5)):
        loop.call_later(seconds, run, name)
    await asyncio.sleep(86_400 * 365)
    assert [name for name, _ in ran] == ["soon", "early", "late"]
    assert [at for _, at in ran] == pytest.approx([0.5, 3, 86_400 * 300], abs=1e-3)
    assert time.monotonic() - began < 10


async def test_no_time_passes_while_somebody_has_something_to_do() -> None:
    """Work is free; only waiting costs time."""
    loop = asyncio.get_running_loop()
    before = loop.time()
    for _ in range(1000):
        await asyncio.sleep(0)
    assert loop.time() == before


def test_a_wait_that_nothing_can_end_is_an_error() -> None:
    """In real time the test would hang."""

    async def wait() -> None:
        await asyncio.Event().wait()

    loop = FakeTimeLoop()
    waiting = loop.create_task(wait())
    with pytest.raises(NothingWillHappen):
        loop.run_until_complete(waiting)
    waiting.cancel()
    loop.call_later(1, lambda: None)  # the cancelled task ends before
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)
    loop.close()
