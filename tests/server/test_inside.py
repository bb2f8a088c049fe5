"""Who is inside counts for the whole site, however many workers there are."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mailkeep.server.inside import Inside, Sums

KEYS = st.sampled_from(["a", "b", "c"])
PLACES = st.sampled_from([0, 1, 2])


def test_alone_it_is_the_whole_site() -> None:
    """And remembers no key that nobody is inside from."""
    inside: Inside[str] = Inside()
    inside.enter("a")
    inside.enter("a")
    inside.leave("a")
    assert (inside["a"], inside["b"]) == (1, 0)
    inside.leave("a")
    assert not inside._here


def test_only_what_has_changed_is_told() -> None:
    """The first time that is everything."""
    inside: Inside[str] = Inside()
    inside.enter("a")
    assert inside.changes() == {"a": 1}
    assert inside.changes() == {}
    inside.enter("b")
    inside.leave("a")
    assert inside.changes() == {"a": 0, "b": 1}


def test_who_has_come_and_gone_is_not_told() -> None:
    """A number that is what it was is no change; one that went up and halfway down is one."""
    inside: Inside[str] = Inside()
    inside.enter("a")
    inside.changes()
    inside.enter("b")
    inside.enter("a")
    inside.leave("b")
    inside.leave("a")
    assert inside.changes() == {}
    inside.enter("a")
    inside.enter("a")
    inside.leave("a")
    assert inside.changes() == {"a": 2}


class Workers(RuleBasedStateMachine):
    """Workers that come, count, tell, and die."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: Sums[str] = Sums()
        self.workers: dict[int, Inside[str]] = {}
        self.really: dict[int, Counter[str]] = {}

    @rule(place=PLACES)
    def begin(self, place: int) -> None:
        if place not in self.workers:
            self.workers[place] = Inside()
            self.really[place] = Counter()
            self.workers[place].note_elsewhere(self.sums.begin(place))

    @rule(place=PLACES, key=KEYS)
    def enter(self, place: int, key: str) -> None:
        if place in self.workers:
            self.workers[place].enter(key)
            self.really[place][key] += 1

    @rule(place=PLACES, key=KEYS)
    def leave(self, place: int, key: str) -> None:
        if place in self.workers and self.really[place][key]:
            self.workers[place].leave(key)
            self.really[place][key] -= 1

    @rule(place=PLACES)
    def die(self, place: int) -> None:
        if self.workers.pop(place, None) is not None:
            del self.really[place]
            self.pass_on(self.sums.forget(place))

    @invariant()
    def everybody_knows(self) -> None:
        """When all have told, each knows the sum."""
        for place, inside in self.workers.items():
            self.pass_on(self.sums.note(place, inside.changes()))
        total = sum(self.really.values(), Counter[str]())
        for inside in self.workers.values():
            assert {key: inside[key] for key in "abc"} == {key: total[key] for key in "abc"}
        assert not [key for key, number in self.sums._total.items() if not number]

    def pass_on(self, told: dict[int, dict[str, int]]) -> None:
        for place, numbers in told.items():
            self.workers[place].note_elsewhere(numbers)


Workers.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestWorkers = Workers.TestCase
