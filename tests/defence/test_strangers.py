"""Whose lane is next when a place for strangers is free."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mailkeep.defence.prefixes import Prefixes
from mailkeep.defence.strangers import USUALLY, Strangers, places_for_strangers


def lane(number: int, wide: int = 0) -> Prefixes:
    return Prefixes(narrow=f"{wide}.{number}", middle=f"{wide}", wide=f"{wide}")


def full(places: int = 1) -> Strangers:
    strangers = Strangers(places)
    for _ in range(places):
        strangers.take()
    return strangers


def order(strangers: Strangers) -> list[str]:
    """Return the lanes in the order in which they get a place."""
    lanes = list[str]()
    while strangers:
        assert strangers.next_lane() is None
        strangers.give_back()
        narrow = strangers.next_lane()
        assert narrow is not None
        strangers.take()
        lanes.append(narrow)
    return lanes


@pytest.mark.parametrize(("threads", "places"), [(1, 2), (2, 4), (15, 30)])
def test_two_a_thread(threads: int, places: int) -> None:
    """So that hashes never wait for guesses."""
    assert places_for_strangers(threads) == places


def test_there_is_a_place() -> None:
    """Else no stranger would ever log in; and nobody takes more than there are."""
    with pytest.raises(ValueError, match="stranger"):
        Strangers(0)
    with pytest.raises(ValueError, match="free"):
        full().take()


def test_who_failed_less_goes_first_whenever_he_came() -> None:
    """Among equals, who came first."""
    strangers = full()
    for number, suspicion in enumerate([8, 4, 0, 4, 0, 1]):
        strangers.wait(lane(number, wide=number), suspicion)
    assert order(strangers) == ["2.2", "4.4", "5.5", "1.1", "3.3", "0.0"]


def test_each_wide_prefix_has_one_lane_a_round() -> None:
    """Who comes alone goes before the rest of a crowd that was there before him."""
    strangers = full()
    for number in range(4):
        strangers.wait(lane(number, wide=1), 0)
    for number in range(2):
        strangers.wait(lane(number, wide=2), 0)
    strangers.wait(lane(0, wide=3), 0)
    assert order(strangers) == ["1.0", "2.0", "3.0", "1.1", "2.1", "1.2", "1.3"]


def test_a_round_is_among_those_who_failed_as_much() -> None:
    """Attackers of a range do not make its honest people wait behind those of other ranges."""
    strangers = full()
    for number in range(5):
        strangers.wait(lane(number, wide=1), 4)
    strangers.wait(lane(9, wide=1), 0)
    strangers.wait(lane(0, wide=2), 0)
    assert order(strangers)[:2] == ["1.9", "2.0"]


def test_rounds_go_on_while_lanes_come() -> None:
    """Whoever comes late does not go before everybody who has waited for rounds."""
    strangers = full()
    for number in range(3):
        strangers.wait(lane(number, wide=1), 0)
    for expected in ("1.0", "1.1"):
        strangers.give_back()
        assert strangers.next_lane() == expected
        strangers.take()
    strangers.wait(lane(9, wide=9), 0)
    strangers.wait(lane(10, wide=9), 0)
    assert order(strangers) == ["9.9", "1.2", "9.10"]


def test_a_lane_keeps_its_turn_unless_its_suspicion_changes() -> None:
    """Asking again is no merit, and failing is none either."""
    strangers = full()
    for number in range(3):
        strangers.wait(lane(number, wide=number), 0)
    strangers.wait(lane(0, wide=0), 0)
    strangers.wait(lane(1, wide=1), 2)
    assert len(strangers) == 3
    assert order(strangers) == ["0.0", "2.2", "1.1"]


def test_who_leaves_has_no_turn() -> None:
    """Whether he waits or not."""
    strangers = full()
    for number in range(3):
        strangers.wait(lane(number), 0)
    strangers.leave("0.1")
    strangers.leave("never came")
    assert order(strangers) == ["0.0", "0.2"]


def test_coming_and_going_takes_no_room() -> None:
    """A client that connects and leaves a thousand times while all places are taken."""
    strangers = full()
    strangers.wait(lane(0), 0)
    for number in range(5000):
        strangers.wait(lane(1, wide=number % 7), 8)
        strangers.leave(f"{number % 7}.1")
    assert len(strangers._order) < 200
    assert order(strangers) == ["0.0"]
    assert (strangers._last_rounds, dict(strangers._waiting_in)) == ({}, {})


class Waiting(RuleBasedStateMachine):
    """Lanes that come, change and go, against a plain list of them."""

    def __init__(self) -> None:
        super().__init__()
        self.strangers = Strangers(USUALLY)
        self.taken = 0
        self.lanes: dict[str, tuple[int, Prefixes]] = {}
        """In the order in which they came."""

    @precondition(lambda self: self.taken == USUALLY)
    @rule(number=st.integers(0, 4), wide=st.integers(0, 3), suspicion=st.integers(0, 3))
    def wait(self, number: int, wide: int, suspicion: int) -> None:
        """A lane comes, or has failed."""
        prefixes = lane(number, wide)
        self.strangers.wait(prefixes, suspicion)
        if self.lanes.get(prefixes.narrow) != (suspicion, prefixes):
            self.lanes.pop(prefixes.narrow, None)
            self.lanes[prefixes.narrow] = (suspicion, prefixes)

    @rule(number=st.integers(0, 4), wide=st.integers(0, 3))
    def leave(self, number: int, wide: int) -> None:
        """A lane goes, if it was there."""
        narrow = lane(number, wide).narrow
        self.strangers.leave(narrow)
        self.lanes.pop(narrow, None)

    @precondition(lambda self: self.taken)
    @rule()
    def give_back(self) -> None:
        """A place is free: the first of those of its range that failed least has it."""
        self.strangers.give_back()
        self.taken -= 1
        narrow = self.strangers.next_lane()
        assert (narrow is None) == (not self.lanes)
        if narrow is None:
            return
        suspicion, prefixes = self.lanes[narrow]
        assert suspicion == min(it for it, _ in self.lanes.values())
        alike = [
            it
            for it, (its_suspicion, its_prefixes) in self.lanes.items()
            if (its_suspicion, its_prefixes.wide) == (suspicion, prefixes.wide)
        ]
        assert narrow == alike[0]
        del self.lanes[narrow]
        self.take()

    @precondition(lambda self: self.taken < USUALLY)
    @rule()
    def take(self) -> None:
        """Somebody has a place."""
        self.strangers.take()
        self.taken += 1

    @invariant()
    def nothing_is_lost(self) -> None:
        """Places and lanes are as many as in the model."""
        assert self.strangers.free == USUALLY - self.taken
        assert len(self.strangers) == len(self.lanes)
        crowds = {(prefixes.wide, suspicion) for suspicion, prefixes in self.lanes.values()}
        assert set(self.strangers._last_rounds) == set(self.strangers._waiting_in) == crowds


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
