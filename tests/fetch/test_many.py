"""Several accounts in fake time: so many at once, each for itself, until somebody says stop."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field

import pytest

from mailkeep.fetch.events import Ended
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.many import Turn, fetch_all, worst_of
from mailkeep.testing.fake_time import FakeTimeLoop


def ended(code: int) -> Ended:
    return Ended(code, 0, 0, 0, 0, 0, 0, 0.0)


def run(work: Coroutine[object, object, int]) -> int:
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        return runner.run(work)


@dataclass
class Mailbox:
    """A mailbox whose runs take their time and end as they are told to; the last for ever.

    Attributes:
        codes: how its runs end.
        began: when each run began.
    """

    codes: Sequence[int] = (FetchExit.DONE,)
    takes_s: float = 1.0
    login_delay_s: int = 0
    began: list[float] = field(default_factory=list)
    at_once: list[int] = field(default_factory=lambda: [0])

    def turn(self, every_s: int | None = None) -> Turn:
        return Turn(self._fetch, lambda: self.login_delay_s, every_s)

    @property
    def waits(self) -> list[float]:
        """How long it was left alone between its runs."""
        return [
            later - earlier - self.takes_s
            for earlier, later in zip(self.began, self.began[1:], strict=False)
        ]

    async def _fetch(self) -> Ended:
        number = len(self.began)
        self.began.append(asyncio.get_running_loop().time())
        self.at_once.append(self.at_once[-1] + 1)
        await asyncio.sleep(self.takes_s)
        self.at_once.append(self.at_once[-1] - 1)
        return ended(self.codes[min(number, len(self.codes) - 1)])


async def until(stop_after_s: float, turns: Sequence[Turn], *, parallel: int = 4) -> int:
    """Fetch until the time is over; without polling it ends earlier."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(stop_after_s, stop.set)
    return await fetch_all(turns, parallel=parallel, stop=stop)


@pytest.mark.parametrize("parallel", [1, 3, 4, 50])
def test_no_more_sessions_than_asked_for_are_open_at_once(parallel: int) -> None:
    """Ten mailboxes, each in one session, so many at a time, and none is left out."""
    at_once = [0]
    mailboxes = [Mailbox(at_once=at_once) for _ in range(10)]
    assert run(until(999, [one.turn() for one in mailboxes], parallel=parallel)) == 0
    assert [len(one.began) for one in mailboxes] == [1] * 10
    assert max(at_once) == min(parallel, 10)


def test_a_mailbox_is_never_in_two_sessions() -> None:
    """A run that takes longer than the interval is not overtaken by the next (S-11)."""
    slow = Mailbox(takes_s=1000)
    run(until(20_000, [slow.turn(every_s=60)]))
    assert max(slow.at_once) == 1
    assert len(slow.began) > 10


def test_one_failing_account_does_not_end_the_others() -> None:
    """Its own exit code is told; the others go on, and their mail is fetched."""
    refused, fine, late = Mailbox([FetchExit.LOGIN], 1), Mailbox(takes_s=50), Mailbox(takes_s=99)
    code = run(until(999, [one.turn() for one in (refused, fine, late)], parallel=2))
    assert code == FetchExit.PARTIAL
    assert [len(one.began) for one in (refused, fine, late)] == [1, 1, 1]


def test_a_failing_account_that_is_polled_leaves_the_others_their_pace() -> None:
    """Back-off is an account's own."""
    down, fine = Mailbox([FetchExit.NETWORK]), Mailbox()
    run(until(10 * 3600, [down.turn(every_s=60), fine.turn(every_s=60)]))
    assert 10 <= len(down.began) <= 20
    assert len(fine.began) > 500
    assert max(down.waits) <= 3600 * 1.11


def test_waits_follow_the_interval_and_jitter() -> None:
    """About a minute between two looks, never twice the same."""
    fine = Mailbox()
    run(until(3600, [fine.turn(every_s=60)]))
    assert len(fine.began) > 50
    assert all(53.9 <= wait <= 66.1 for wait in fine.waits)
    assert len({round(wait, 3) for wait in fine.waits}) > 5


def test_a_server_that_asks_for_time_gets_it() -> None:
    """S-23: LOGIN-DELAY of RFC 2449 section 6.5 is the least."""
    slow = Mailbox(login_delay_s=900)
    run(until(10_000, [slow.turn(every_s=60)]))
    assert slow.waits
    assert min(slow.waits) >= 900


def test_a_success_ends_the_back_off() -> None:
    """What was down and is up again is looked into as often as before."""
    mailbox = Mailbox([FetchExit.NETWORK] * 5 + [FetchExit.DONE])
    run(until(20_000, [mailbox.turn(every_s=60)]))
    assert mailbox.waits[4] > 600
    assert max(mailbox.waits[5:]) < 67


def test_messages_that_fail_are_no_reason_to_look_less_often() -> None:
    """One poison message in a mailbox leaves its other mail on time (S-68)."""
    mailbox = Mailbox([FetchExit.PARTIAL])
    run(until(3600, [mailbox.turn(every_s=60)]))
    assert max(mailbox.waits) < 67


def test_stop_ends_a_wait_at_once() -> None:
    """S-12: nobody waits for the next look of a program that was told to end."""

    async def stopped() -> int:
        code = await until(100, [Mailbox([FetchExit.DONE]).turn(every_s=86_400)])
        assert asyncio.get_running_loop().time() < 101
        return code

    assert run(stopped()) == 0


def test_stop_lets_a_run_end_and_begins_no_other() -> None:
    """S-12: what a run has begun is its own to end; who waits for a place does not begin."""
    under_way, waiting = Mailbox(takes_s=500), Mailbox()
    code = run(until(100, [under_way.turn(every_s=60), waiting.turn(every_s=60)], parallel=1))
    assert len(under_way.began) == 1
    assert under_way.at_once[-1] == 0
    assert waiting.began == []
    assert code == 0


def test_no_accounts_is_no_failure() -> None:
    """Nothing to do is done."""
    assert run(until(1, [])) == 0


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ([], 0),
        ([0], 0),
        ([0, 0], 0),
        ([6], 6),
        ([6, 6], 6),
        ([1, 1], 1),
        ([0, 6], 1),
        ([3, 6], 1),
        ([0, 0, 13], 1),
        ([130], 130),
        ([130, 0], 130),
        ([0, 6, 130], 130),
        ([143, 130], 143),
    ],
)
def test_the_exit_code_of_several_accounts_is_the_only_failure_or_partial(
    codes: list[int], worst: int
) -> None:
    """Section "Exit codes" of docs/fetch.md; a signal that ended it is told before all."""
    assert worst_of(codes) == worst
