"""What strangers ask of the loop is done a little in each of its turns."""

import asyncio
from functools import partial

from mailkeep.server.turnstile import TURN_S, WORKS_A_TURN, Turnstile

TURNS = 50
"""More than any test needs."""


class Turns:
    """Counts the turns of the loop, and what was done in each."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = 0
        self.done: list[tuple[int, str]] = []
        self.over = asyncio.Event()
        self._loop.call_soon(self._next)

    def _next(self) -> None:
        self.now += 1
        if self.now < TURNS:
            self._loop.call_soon(self._next)
        else:
            self.over.set()

    def work(self, name: str) -> None:
        self.done.append((self.now, name))


async def test_what_there_is_room_for_is_done_at_once() -> None:
    """Without a crowd nothing waits."""
    turns, turnstile = Turns(), Turnstile(asyncio.get_running_loop(), clock=lambda: 0.0)
    for number in range(WORKS_A_TURN):
        assert turnstile.enter(partial(turns.work, str(number)))
    assert [name for _, name in turns.done] == [str(number) for number in range(WORKS_A_TURN)]


async def test_a_crowd_passes_in_its_order_a_few_a_turn() -> None:
    """And between two turns everybody else has his own."""
    turns, turnstile = Turns(), Turnstile(asyncio.get_running_loop(), clock=lambda: 0.0)
    names = [str(number) for number in range(5 * WORKS_A_TURN)]
    for name in names:
        turnstile.enter(partial(turns.work, name))
    await turns.over.wait()
    assert [name for _, name in turns.done] == names
    per_turn = [[turn for turn, _ in turns.done].count(turn) for turn in range(turns.now)]
    assert max(per_turn) == WORKS_A_TURN
    assert len(turnstile) == 0


async def test_long_work_ends_a_turn() -> None:
    """Two handshakes are as much as anybody should wait for."""
    now = 0.0
    turns = Turns()

    def handshake() -> None:
        nonlocal now
        now += TURN_S / 2 + 1e-6
        turns.work("handshake")

    turnstile = Turnstile(asyncio.get_running_loop(), clock=lambda: now)
    for _ in range(6):
        turnstile.enter(handshake)
    await turns.over.wait()
    per_turn = [[turn for turn, _ in turns.done].count(turn) for turn in range(turns.now)]
    assert max(per_turn) == 2


async def test_work_that_fails_does_not_stop_the_rest() -> None:
    """A bug in one connection must not hold up all others for ever."""
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    turns, turnstile = Turns(), Turnstile(loop, clock=lambda: 0.0)

    def fail() -> None:
        raise RuntimeError("a bug")

    for _ in range(WORKS_A_TURN):
        turnstile.enter(partial(turns.work, "fine"))
    turnstile.enter(fail)
    turnstile.enter(partial(turns.work, "last"))
    await turns.over.wait()
    assert turns.done[-1][1] == "last"
    assert len(told) == 1
