"""Few guesses of strangers at a time on the whole site: who goes first, and what nobody loses."""

import asyncio

import pytest
from tests.defence.knocking import (
    CHECK_S,
    HOME,
    attempt,
    guess,
    is_in,
    log_in,
    make_door,
    now_s,
)

from mailkeep.defence import DoorUnavailable, Let, Turned, Turning
from mailkeep.defence.door import Door
from mailkeep.defence.policy_question import PolicyAnswer, PolicyQuestion, PolicyReport
from mailkeep.defence.remembered import BanRow
from mailkeep.defence.strangers import USUALLY
from mailkeep.defence.turns import PATIENCE_S

Asking = asyncio.Task[Let | Turned]


def far(number: int) -> str:
    """Return an address in a range of its own."""
    return f"203.{number}.0.1"


async def ask(door: Door, source: str, name: str = "n", password: str = "p") -> Asking:
    """Ask, and let everybody do what there is to do at once."""
    task = asyncio.ensure_future(door.ask(attempt(source, name, f"{source} {password}")))
    await settle()
    return task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def fill(door: Door) -> list[Let]:
    """Let strangers have all the places."""
    lets = [await (await ask(door, f"198.{number}.0.1")) for number in range(USUALLY)]
    assert all(isinstance(it, Let) for it in lets)
    return [it for it in lets if isinstance(it, Let)]


def is_as_new(door: Door) -> bool:
    """Tell whether nobody holds anything and nobody waits."""
    strangers, lanes = door._strangers, door._lanes
    return (
        (strangers.free, len(strangers), strangers._last_rounds) == (USUALLY, 0, {})
        and (len(lanes), lanes.waiting, len(door._lent)) == (0, 0, 0)
        and not lanes._held
    )


async def test_a_stranger_waits_for_one_of_the_few_places() -> None:
    """And has it when another is answered; that is no delay, because nobody has failed."""
    door = make_door()
    lets = await fill(door)
    waiting = await ask(door, far(1))
    assert not waiting.done()
    await asyncio.sleep(1)
    await door.give_up(lets[0])
    await settle()
    let = await waiting
    assert isinstance(let, Let)
    assert let.delayed_s == 0
    for one in (*lets[1:], let):
        await door.give_up(one)
    assert is_as_new(door)


@pytest.mark.parametrize("places", [1, 4, 9])
async def test_there_are_as_many_places_as_are_said(places: int) -> None:
    """A site with more threads has more."""
    door = make_door(strangers_at_a_time=places)
    tasks = [await ask(door, far(number)) for number in range(12)]
    assert sum(1 for it in tasks if it.done()) == places
    for task in tasks:
        task.cancel()


async def test_who_has_failed_nothing_goes_first() -> None:
    """An attacker who was there before him waits, and that is a delay; his neighbour does not."""
    door = make_door()
    for source in (far(1), far(2), far(2)):
        await guess(door, source, "x", f"x{now_s()}", account=None)
    await asyncio.sleep(60)
    lets = await fill(door)
    tasks = [await ask(door, source) for source in (far(2), far(1), "203.1.0.2", far(3))]
    await asyncio.sleep(1)
    for expected in (2, 3, 1, 0):
        assert not tasks[expected].done()
        await door.give_up(lets.pop())
        await settle()
        assert tasks[expected].done()
    delays = [round(it.delayed_s, 1) for it in [await task for task in tasks]]
    assert delays == [1, 1, 0, 0]


async def test_a_program_with_an_old_password_goes_after_those_who_never_failed() -> None:
    """It is no attack and not counted; repeated from everywhere it must not be a merit either."""
    door = make_door()
    for number in range(3):
        await guess(door, far(number), "alice@example.com", "old", account=None)
    await asyncio.sleep(60)
    lets = await fill(door)
    tasks = [await ask(door, source, "alice@example.com") for source in (far(1), far(0), far(9))]
    for in_ in ({2}, {0, 2}, {0, 1, 2}):
        await door.give_up(lets.pop())
        await settle()
        assert {number for number, it in enumerate(tasks) if it.done()} == in_


async def test_only_waits_for_failures_are_delays() -> None:
    """Two seconds for the account's failures, then five because the site is busy: two."""
    door = make_door()
    for number in range(3):
        await guess(door, far(number), "alice@example.com", f"p{number}")
    lets = await fill(door)
    waiting = await ask(door, far(9), "alice@example.com")
    await asyncio.sleep(7)
    await door.give_up(lets[0])
    let = await waiting
    assert isinstance(let, Let)
    assert let.delayed_s == pytest.approx(2, abs=0.01)


async def test_an_owner_never_waits_behind_strangers_who_wait() -> None:
    """At the same address, though two of its guesses would have its places if the site had any."""
    door = make_door()
    assert is_in(await log_in(door))
    await fill(door)
    strangers = [await ask(door, HOME, f"n{number}") for number in range(5)]
    before = now_s()
    assert is_in(await log_in(door))
    assert now_s() - before < CHECK_S + 0.01
    assert not any(it.done() for it in strangers)


async def test_what_cannot_be_guessed_needs_no_place() -> None:
    """A device's password comes in past all of them."""
    door = make_door()
    await fill(door)
    assert is_in(await log_in(door, far(1), is_sure=True))


async def test_a_prefix_that_must_wait_anyhow_does_not_keep_a_place_from_others() -> None:
    """Its turn comes when its own wait is over, not before."""
    door = make_door()
    await guess(door, far(1), "x", "x", account=None)
    lets = await fill(door)
    failed, clean = await ask(door, far(1)), await ask(door, far(2))
    await door.give_up(lets[0])
    await settle()
    assert [failed.done(), clean.done()] == [False, True]
    await door.give_up(lets[1])
    assert isinstance(await failed, Let)
    assert now_s() == pytest.approx(CHECK_S + 2, abs=0.01)


async def test_who_waits_too_long_is_told_to_try_again_or_refused() -> None:
    """By what his prefix has failed, never by whom he named."""
    door = make_door()
    await guess(door, far(1), "x", "x", account=None)
    await asyncio.sleep(10)
    await fill(door)
    before = now_s()
    tasks = [
        await ask(door, source, name)
        for source in (far(1), far(2))
        for name in ("alice@example.com", "nobody@example.com")
    ]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert now_s() - before == pytest.approx(PATIENCE_S, abs=0.01)
    reasons = [it.reason if isinstance(it, Turned) else type(it) for it in outcomes]
    assert reasons == [Turning.THROTTLED] * 2 + [DoorUnavailable] * 2


async def test_who_waits_for_the_site_is_judged_again_when_he_has_a_place() -> None:
    """By what has happened since: a ban, or ten failures of his prefix's others."""
    door = make_door()
    lets = await fill(door)
    waiting = await ask(door, far(1))
    door.replace_bans([BanRow(f"{far(1)}/32", None, "spam", 0, "operator")])
    await door.give_up(lets[0])
    turned = await waiting
    assert isinstance(turned, Turned)
    assert turned.reason is Turning.BANNED
    assert door._strangers.free == 1


async def test_a_wider_prefix_is_counted_when_a_place_is_given() -> None:
    """Thirty of a /26 wait for the site; with 28 failures in this minute two may be looked at."""
    door = make_door(strangers_at_a_time=8)
    for number in range(28):
        who = door._who(attempt(f"198.18.0.{number}", f"x{number}"))
        door._counters.note_wrong(who, str(number).encode(), now_s(), 0)
    fillers = [await (await ask(door, far(number))) for number in range(8)]
    tasks = [await ask(door, f"198.18.0.{30 + number}", f"n{number}") for number in range(30)]
    await asyncio.sleep(18)
    for let in fillers:
        assert isinstance(let, Let)
        await door.give_up(let)
    await settle()
    assert sum(1 for it in tasks if it.done()) == 2
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize("wave", ["waiting", "just let in"])
async def test_clients_that_go_leave_all_places(wave: str) -> None:
    """While they wait for the site, and in the moment between a place and its news."""
    door = make_door()
    lets = await fill(door)
    tasks = [await ask(door, far(number % 7), f"n{number}") for number in range(20)]
    if wave == "just let in":
        for let in lets:
            await door.give_up(let)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if wave == "waiting":
        assert not door._strangers
        for let in lets:
            await door.give_up(let)
    assert is_as_new(door)
    assert isinstance(await (await ask(door, far(1))), Let)


class Slow:
    """A policy server that takes two seconds to say yes."""

    def __init__(self) -> None:
        self.asked = 0

    async def allow(self, question: PolicyQuestion) -> PolicyAnswer:
        del question
        self.asked += 1
        await asyncio.sleep(2)
        return PolicyAnswer(is_rejected=False, wait_s=0)

    async def report(self, question: PolicyQuestion, report: PolicyReport) -> None:
        del question, report


async def test_a_slow_policy_server_holds_none_of_the_few_places() -> None:
    """Forty strangers are asked about side by side, and are in when it has answered."""
    door = make_door(policy_server=Slow())
    lets = await asyncio.gather(*(guess(door, far(number), f"n{number}") for number in range(40)))
    assert all(isinstance(it, Let) for it in lets)
    assert now_s() < 2 + 40 / USUALLY * CHECK_S + 0.1
    await door.close()
    assert is_as_new(door)


async def test_who_has_been_asked_about_goes_before_the_rest_of_his_prefix() -> None:
    """So that the server is not asked about guesses that will not be looked at."""
    server = Slow()
    door = make_door(policy_server=server)
    lets = await fill(door)
    server.asked = 0
    tasks = [await ask(door, far(1), f"n{number}") for number in range(10)]
    await asyncio.sleep(10)
    assert server.asked == 2
    for let in lets[:2]:
        await door.give_up(let)
    await settle()
    assert [it.done() for it in tasks] == [True] * 2 + [False] * 8
    for task in tasks:
        task.cancel()
    await door.close()
