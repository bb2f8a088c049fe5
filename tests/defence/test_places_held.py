"""Whatever happens in whatever order, places are lent and come back: a model with two numbers."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from tests.defence.knocking import attempt, make_door

from mailkeep.defence import Let, Success, Turned
from mailkeep.defence.door import Door
from mailkeep.defence.policy_question import PolicyAnswer, PolicyQuestion, PolicyReport
from mailkeep.testing.fake_time import FakeTimeLoop
from mailkeep.values import AccountId

SOURCES = ("203.0.113.1", "203.0.113.2", "2001:db8::1", "198.51.100.1")
PLACES = 3
Asking = asyncio.Task[Let | Turned]


class Knocking(RuleBasedStateMachine):
    """Guesses of three sources on two names, reported, given up and cancelled at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = FakeTimeLoop()
        self.door = self.make_door()
        self.tasks: list[tuple[str, Asking]] = []

    def make_door(self) -> Door:
        """Return a door with fewer places for strangers than the sources have."""
        return make_door(strangers_at_a_time=PLACES)

    asking = Bundle("asking")

    @rule(
        target=asking,
        source=st.sampled_from(SOURCES),
        name=st.sampled_from(["a", "b"]),
        password=st.integers(0, 30),
    )
    def ask(self, source: str, name: str, password: int) -> Asking:
        """Somebody knocks."""
        task = self.loop.create_task(self.door.ask(attempt(source, name, f"p{password}")))
        self.tasks.append((source, task))
        self._turn()
        return task

    @rule(seconds=st.sampled_from([0.0, 1.0, 2.0, 15.0, 20.0, 1800.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(task=consumes(asking), how=st.sampled_from(["fail", "succeed", "give up"]))
    def end(self, task: Asking, how: str) -> None:
        """A guess ends: with a report if it was let in, else its client goes."""
        if not task.done():
            task.cancel()
            self._turn()
        if task.done() and not task.cancelled() and task.exception() is None:
            let = task.result()
            if isinstance(let, Let):
                self.loop.run_until_complete(self._report(let, how))
        self.tasks = [it for it in self.tasks if it[1] is not task]
        self._turn()

    async def _report(self, let: Let, how: str) -> None:
        if how == "fail":
            await self.door.fail(let, account=AccountId(1))
        elif how == "succeed":
            await self.door.succeed(let, Success(AccountId(1), None, by_main_password=True))
        else:
            await self.door.give_up(let)

    def _turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))

    def _holding(self, source: str) -> int:
        done = (it for from_, it in self.tasks if from_ == source and it.done())
        lent = (it for it in done if not it.cancelled() and it.exception() is None)
        return sum(1 for it in lent if isinstance(it.result(), Let))

    @invariant()
    def never_more_than_two(self) -> None:
        """The door's own count is that of whoever was let in and has not reported.

        Whoever a policy server is asked about has a place too, and knows nothing of it.
        """
        lanes = self.door._lanes._lanes.values()
        assert all(len(lane.holders) <= 2 for lane in lanes)
        holders = sum(1 for lane in lanes for it in lane.holders if it.is_for_a_hash)
        assert holders == sum(self._holding(source) for source in SOURCES)

    @invariant()
    def never_more_than_the_site_has(self) -> None:
        """And nobody waits for a place that is free."""
        lanes, strangers = self.door._lanes._lanes.values(), self.door._strangers
        holders = [guess for lane in lanes for guess in lane.holders]
        assert sum(1 for it in holders if it.has_site_place) == PLACES - strangers.free
        assert all(it.has_site_place for it in holders if it.needs_site_place)
        assert not (strangers.free and strangers)
        waiting = {narrow for narrow, lane in self.door._lanes._lanes.items() if lane.strangers}
        assert waiting.issuperset(strangers._waiting)
        assert len(strangers._order) <= 200

    def teardown(self) -> None:
        """When all have gone, nothing is left."""
        for _, task in list(self.tasks):
            self.end(task, "give up")
        assert (len(self.door._lanes), self.door._lanes.waiting) == (0, 0)
        assert not self.door._lent
        assert not self.door._lanes._held
        assert (self.door._strangers.free, len(self.door._strangers)) == (PLACES, 0)
        assert not self.door._strangers._last_rounds
        self.loop.close()


class Hesitant:
    """A policy server that takes a second for everybody, and has some wait five more."""

    def __init__(self) -> None:
        self.asked = 0

    async def allow(self, question: PolicyQuestion) -> PolicyAnswer:
        del question
        self.asked += 1
        wait_s, is_rejected = 5 * (self.asked % 3 == 1), self.asked % 7 == 6
        await asyncio.sleep(1)
        return PolicyAnswer(is_rejected=is_rejected, wait_s=wait_s)

    async def report(self, question: PolicyQuestion, report: PolicyReport) -> None:
        del question, report


class KnockingWithPolicy(Knocking):
    """The same, with two places after the other for each guess."""

    def make_door(self) -> Door:
        """Return a door with a policy server."""
        return make_door(strangers_at_a_time=PLACES, policy_server=Hesitant())


TestKnocking = Knocking.TestCase
TestKnocking.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestKnockingWithPolicy = KnockingWithPolicy.TestCase
TestKnockingWithPolicy.settings = TestKnocking.settings
