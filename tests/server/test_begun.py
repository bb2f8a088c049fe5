"""A coroutine that is begun where octets arrive and ended in a task, if it has to wait."""

import asyncio

import pytest

from mailkeep.server.after_login.begun import Begun, begin


class Steps:
    """What a coroutine went through."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def walk(self, wait: asyncio.Future[str] | None = None) -> None:
        self.taken.append("begun")
        try:
            if wait is not None:
                self.taken.append(await wait)
            self.taken.append("ended")
        finally:
            self.taken.append("let go")


async def finish(begun: Begun | None) -> None:
    assert begun is not None
    await begun


async def test_what_needs_not_wait_has_ended() -> None:
    """No task has its turn for it."""
    steps = Steps()
    assert begin(steps.walk()) is None
    assert steps.taken == ["begun", "ended", "let go"]


async def test_what_has_to_wait_goes_on_in_the_task_that_awaits_it() -> None:
    """It gets what it waited for, and later waits are the task's as any other."""
    steps = Steps()
    wait: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def walk_twice() -> None:
        await steps.walk(wait)
        await asyncio.sleep(0)
        async with asyncio.timeout(1):  # which asks for its task
            await asyncio.sleep(0)
        await steps.walk()

    begun = begin(walk_twice())
    assert steps.taken == ["begun"]
    task = asyncio.create_task(finish(begun))
    await asyncio.sleep(0)
    wait.set_result("came")
    await task
    assert steps.taken == ["begun", "came", "ended", "let go", "begun", "ended", "let go"]


async def test_what_it_waits_for_may_come_before_its_task_does() -> None:
    """Between the first wait and the task's turn anything may happen."""
    steps = Steps()
    wait: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    begun = begin(steps.walk(wait))
    wait.set_result("came")
    await finish(begun)
    assert steps.taken == ["begun", "came", "ended", "let go"]


async def test_leaving_the_turn_to_others_is_a_wait_too() -> None:
    """`asyncio.sleep(0)` hands out no future."""
    await finish(begin(asyncio.sleep(0)))


async def test_what_goes_wrong_is_raised_where_it_was_asked_for() -> None:
    """Before the first wait from `begin`, behind it in the task."""

    async def fail(wait: asyncio.Future[None] | None) -> None:
        if wait is not None:
            await wait
        raise OSError("a test")

    with pytest.raises(OSError, match="a test"):
        begin(fail(None))
    wait: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    begun = begin(fail(wait))
    wait.set_result(None)
    with pytest.raises(OSError, match="a test"):
        await finish(begun)


async def test_a_failure_that_it_waited_for_is_its_own_to_handle() -> None:
    """The future's exception comes out of its own `await`."""
    wait: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    caught: list[str] = []

    async def handle() -> None:
        try:
            await wait
        except OSError as failure:
            caught.append(str(failure))

    begun = begin(handle())
    wait.set_exception(OSError("a test"))
    await finish(begun)
    assert caught == ["a test"]


async def test_cancelling_the_task_cancels_it() -> None:
    """It lets go of what it holds, a file or a lease."""
    steps = Steps()
    wait: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(finish(begin(steps.walk(wait))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps.taken == ["begun", "let go"]


async def test_giving_up_cancels_what_no_task_has_come_to() -> None:
    """And only that: what a task has is the task's."""
    steps = Steps()
    wait: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    begun = begin(steps.walk(wait))
    assert begun is not None
    begun.give_up()
    assert steps.taken == ["begun", "let go"]
    begun.give_up()
    again = Steps()
    other: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    taken = begin(again.walk(other))
    assert taken is not None
    task = asyncio.create_task(finish(taken))
    await asyncio.sleep(0)
    taken.give_up()
    assert again.taken == ["begun"]
    other.set_result("came")
    await task
