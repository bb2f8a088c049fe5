"""Who waits, in which order, for how long; and that going away hurts nobody else."""

import asyncio

import pytest
from tests.defence.knocking import HOME, attempt, dice, guess, is_in, log_in, make_door, now_s

from mailkeep.defence import DoorUnavailable, Let, Success, Turned, Turning, door
from mailkeep.defence.turns import PATIENCE_S
from mailkeep.values import AccountId

STRANGE = "203.0.113.9"


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def ask_all(
    the_door: door.Door, names: list[str], source: str = STRANGE
) -> list[asyncio.Task[Let | Turned]]:
    tasks = [asyncio.ensure_future(the_door.ask(attempt(source, name, name))) for name in names]
    await settle()
    return tasks


async def test_two_at_a_time_in_the_order_of_arrival() -> None:
    """A report makes room for the next."""
    the_door = make_door()
    tasks = await ask_all(the_door, list("abcd"))
    assert [it.done() for it in tasks] == [True, True, False, False]
    for number, task in enumerate(tasks):
        let = await task
        assert isinstance(let, Let)
        assert now_s() < 0.01
        await the_door.give_up(let)
        await settle()
        assert [it.done() for it in tasks] == [place <= number + 2 for place in range(4)]


async def test_after_a_failure_one_at_a_time() -> None:
    """Who fails at the second place makes the third wait longer."""
    the_door = make_door()
    tasks = await ask_all(the_door, list("abcd"))
    for task in tasks[:2]:
        let = await task
        assert isinstance(let, Let)
        await the_door.fail(let, account=None)
    third = await tasks[2]
    assert isinstance(third, Let)
    assert now_s() == pytest.approx(4, abs=0.01)
    await settle()
    assert not tasks[3].done()
    await the_door.fail(third, account=None)
    assert isinstance(await tasks[3], Let)
    assert now_s() == pytest.approx(12, abs=0.01)


async def test_a_success_lets_the_next_in_at_once() -> None:
    """Its wait is over already."""
    the_door = make_door()
    await guess(the_door, STRANGE, "x", "x", account=None)
    first, second = await ask_all(the_door, ["a", "b"])
    let = await first
    assert isinstance(let, Let)
    before = now_s()
    await the_door.succeed(let, Success(AccountId(1), None, by_main_password=True))
    assert isinstance(await second, Let)
    assert now_s() - before < 0.01


async def test_who_is_familiar_goes_first_and_finds_a_place() -> None:
    """Strangers at the same address hold one of the two after a failure, and queue behind."""
    the_door = make_door()
    assert is_in(await log_in(the_door))
    await guess(the_door, HOME, "x", "x", account=None)
    await asyncio.sleep(2)
    strangers = await ask_all(the_door, list("abc"), HOME)
    assert [it.done() for it in strangers] == [True, False, False]
    (owner,) = await ask_all(the_door, ["alice@example.com"], HOME)
    assert owner.done()
    (again,) = await ask_all(the_door, ["alice@example.com"], HOME)
    assert not again.done()
    let = await strangers[0]
    assert isinstance(let, Let)
    await the_door.give_up(let)
    await settle()
    assert [it.done() for it in (again, strangers[1])] == [True, False]


async def test_the_twenty_first_is_turned_away_when_a_wrong_one_would_be_answered() -> None:
    """Throttled and wrong look alike from outside."""
    the_door = make_door()
    for number in range(2):
        await guess(the_door, STRANGE, f"x{number}", f"{number}", account=None)
    before = now_s()
    tasks = await ask_all(the_door, [f"n{number}" for number in range(21)])
    turned = await tasks[20]
    assert isinstance(turned, Turned)
    assert turned.reason is Turning.THROTTLED
    assert now_s() - before == pytest.approx(4, abs=0.1)
    assert turned.delayed_s == pytest.approx(4, abs=0.1)


async def test_nobody_waits_longer_than_twenty_seconds() -> None:
    """Who would is turned away."""
    the_door = make_door(chance=dice(1).random)
    for number in range(4):
        await guess(the_door, STRANGE, f"x{number}", f"{number}", account=None)
    before = now_s()
    outcomes = await asyncio.gather(
        *(guess(the_door, STRANGE, f"n{it}", f"p{it}", account=None) for it in range(10))
    )
    assert now_s() - before <= PATIENCE_S + 0.1
    assert sum(1 for it in outcomes if isinstance(it, Let)) == 1


async def test_too_many_honest_ones_are_told_to_try_again() -> None:
    """Nobody failed, only the hashes are slow: that is no refusal."""
    the_door = make_door()
    tasks = await ask_all(the_door, list("abc"))
    with pytest.raises(DoorUnavailable):
        await tasks[2]
    assert now_s() == pytest.approx(PATIENCE_S, abs=0.01)


async def test_a_client_that_goes_makes_room_for_the_next() -> None:
    """While it waits, and when it has just been let in."""
    the_door = make_door()
    tasks = await ask_all(the_door, list("abcde"))
    tasks[2].cancel()
    let = await tasks[0]
    assert isinstance(let, Let)
    await the_door.give_up(let)
    tasks[3].cancel()  # it has its place, and has not been told yet
    await settle()
    assert [it.cancelled() for it in tasks] == [False, False, True, True, False]
    assert tasks[4].done()


async def test_the_site_bounds_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers; whoever is familiar comes in even so."""
    the_door = make_door()
    assert is_in(await log_in(the_door))
    monkeypatch.setattr(door, "WAITING_LIMIT", 3)
    tasks = await ask_all(the_door, list("abcde"))
    assert not any(it.done() for it in tasks[2:])
    with pytest.raises(DoorUnavailable):
        await the_door.ask(attempt("198.18.0.1", "f"))
    assert is_in(await log_in(the_door))
    for task in tasks:
        task.cancel()


async def test_wider_prefixes_are_paced_whole() -> None:
    """The 31st guess a minute of a /26 waits until there is room, or is turned away."""
    the_door = make_door()
    outcomes = await asyncio.gather(
        *(
            guess(the_door, f"203.0.113.{it % 64}", f"n{it}", f"p{it}", account=None)
            for it in range(128)
        )
    )
    let = [it for it in outcomes if isinstance(it, Let)]
    reasons = {it.reason for it in outcomes if isinstance(it, Turned)}
    assert len(let) == 30
    assert reasons == {Turning.THROTTLED}
    assert isinstance(await guess(the_door, "203.0.113.64", "n", "p", account=None), Let)
    await asyncio.sleep(60)
    assert isinstance(await guess(the_door, "203.0.113.1", "n", "q", account=None), Let)
