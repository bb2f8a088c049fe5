"""What the door does with a policy server's opinion, and without it."""

import asyncio

import pytest
from tests.defence.knocking import CHECK_S, HOME, attempt, guess, is_in, log_in, make_door, now_s

from mailkeep.defence import DoorUnavailable, Let, Turned, Turning
from mailkeep.defence.policy_question import (
    PolicyAnswer,
    PolicyQuestion,
    PolicyReport,
    PolicyServerUnavailable,
)
from mailkeep.defence.rules import DoorRules


class Opinion:
    """A policy server that says what it is told to."""

    def __init__(self, *, is_rejected: bool = False, wait_s: int = 0, takes_s: float = 0) -> None:
        self.answer = PolicyAnswer(is_rejected, wait_s)
        self.takes_s = takes_s
        self.is_away = False
        self.asked: list[str] = []
        self.asking = 0
        self.most_asking = 0
        self.told: list[tuple[str, PolicyReport]] = []

    async def allow(self, question: PolicyQuestion) -> PolicyAnswer:
        self.asked.append(question.login)
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.asking -= 1
        if self.is_away:
            raise PolicyServerUnavailable("away")
        return self.answer

    async def report(self, question: PolicyQuestion, report: PolicyReport) -> None:
        if self.is_away:
            raise PolicyServerUnavailable("away")
        self.told.append((question.login, report))


async def test_it_is_asked_before_and_told_after() -> None:
    """Each login, sure proofs too."""
    server = Opinion()
    door = make_door(policy_server=server)
    await guess(door, name="a", account=None)
    assert is_in(await log_in(door, name="b", is_sure=True))
    await asyncio.sleep(0)
    assert server.asked == ["a", "b"]
    assert server.told == [("a", PolicyReport(False, False)), ("b", PolicyReport(True, False))]


@pytest.mark.parametrize("is_sure", [False, True])
async def test_it_can_say_no(is_sure: bool) -> None:
    """To everybody; the place is given back, and nothing is counted."""
    server = Opinion(is_rejected=True)
    door = make_door(policy_server=server)
    turned = await door.ask(attempt(is_sure=is_sure))
    assert turned == Turned(Turning.POLICY_SERVER, 0.0)
    await asyncio.sleep(0)
    assert server.told == [("alice@example.com", PolicyReport(False, True))]
    assert (len(door._lanes), len(door._lent)) == (0, 0)


@pytest.mark.parametrize("is_sure", [False, True])
async def test_it_can_slow_down(is_sure: bool) -> None:
    """Without a place held meanwhile."""
    door = make_door(policy_server=Opinion(wait_s=7))
    waiting = asyncio.ensure_future(door.ask(attempt(is_sure=is_sure)))
    await asyncio.sleep(1)
    assert not any(lane.holders for lane in door._lanes._lanes.values())
    let = await waiting
    assert isinstance(let, Let)
    assert let.delayed_s == 0
    assert now_s() == pytest.approx(7, abs=0.01)


async def test_when_it_is_away_the_rest_decides() -> None:
    """Fail open; an operator is told once a minute."""
    told = list[str]()
    server = Opinion()
    server.is_away = True
    door = make_door(policy_server=server, tell=told.append)
    for _ in range(10):
        assert is_in(await log_in(door, HOME))
    assert told == ["away"]
    await asyncio.sleep(60)
    assert is_in(await log_in(door, HOME))
    assert told == ["away"] * 2


async def test_or_nobody_is_let_in_as_set() -> None:
    """Fail closed: clients are to try again, and no place is lost."""
    server = Opinion()
    server.is_away = True
    door = make_door(DoorRules(policy_fails_closed=True), policy_server=server)
    for _ in range(5):
        with pytest.raises(DoorUnavailable, match="policy server"):
            await door.ask(attempt())
    server.is_away = False
    assert is_in(await log_in(door, HOME))


async def test_one_address_cannot_flood_it() -> None:
    """It is asked with a place, of which a prefix has two."""
    server = Opinion(takes_s=1)
    door = make_door(policy_server=server)
    await asyncio.gather(*(guess(door, HOME, f"n{it}", f"p{it}", account=None) for it in range(50)))
    assert server.most_asking == 2


async def test_a_client_that_goes_while_it_is_asked_leaves_no_place_taken() -> None:
    """Nor reports under way when the door closes."""
    server = Opinion(takes_s=1)
    door = make_door(policy_server=server)
    waiting = asyncio.ensure_future(door.ask(attempt()))
    await asyncio.sleep(CHECK_S)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (len(door._lanes), len(door._lent)) == (0, 0)
    await door.close()
