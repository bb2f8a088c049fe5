"""Who has a place, who gets one, and whose it was: the decisions alone."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mailkeep.server.places import GOOD_PAST_SHARE_PERCENT, NoPlace, Origin, Places, Room

STRANGER = Origin("192.0.2.1/32", good_past=False)
FRIEND = Origin("198.51.100.1/32", good_past=True)


def filled(capacity: int, *, friends: int = 0, strangers: int = 0) -> Places[str]:
    places: Places[str] = Places(capacity, 0)
    for number in range(strangers):
        assert places.take(f"stranger {number}", STRANGER) == Room(None)
    for number in range(friends):
        assert places.take(f"friend {number}", FRIEND) == Room(None)
    return places


def test_the_oldest_stranger_gives_his_place_to_the_next() -> None:
    """A flood displaces itself, one by one."""
    places = filled(20, strangers=17)
    for number in range(40):
        displaced = f"stranger {number}"
        assert places.take(f"stranger {17 + number}", STRANGER) == Room(displaced)
    assert len(places) == 17


def test_strangers_never_get_the_share_of_those_with_a_good_past() -> None:
    """15 % of the places, whatever comes: an office gets in while a flood is on."""
    places = filled(100, strangers=100 - GOOD_PAST_SHARE_PERCENT)
    assert places.take("new", STRANGER) == Room("stranger 0")
    for number in range(GOOD_PAST_SHARE_PERCENT):
        assert places.take(f"friend {number}", FRIEND) == Room(None)
    assert len(places) == 100


def test_when_all_is_taken_a_stranger_goes_before_one_with_a_good_past() -> None:
    """However long he has been there."""
    places = filled(20, strangers=1, friends=19)
    assert places.take("friend", FRIEND) == Room("stranger 0")
    assert places.take("another", FRIEND) == Room("friend 0")


def test_who_has_logged_in_keeps_his_place() -> None:
    """A flood before login never ends a session."""
    places = filled(3, strangers=2, friends=1)
    places.settle("stranger 0")
    assert places.take("new", STRANGER) == Room("stranger 1")
    for guest in ("new", "friend 0"):
        places.settle(guest)
    assert places.take("one more", STRANGER) is NoPlace.SERVER_IS_FULL
    assert places.take("one more", FRIEND) is NoPlace.SERVER_IS_FULL
    assert not places.has_room
    places.leave("stranger 0")
    assert places.take("one more", STRANGER) == Room(None)


def test_a_stranger_who_logged_in_is_one_no_longer() -> None:
    """The share is held against those of whom nothing is known."""
    places = filled(20, strangers=17)
    places.settle("stranger 5")
    assert places.take("new", STRANGER) == Room(None)


@pytest.mark.parametrize("good_past", [True, False])
def test_a_prefix_has_so_many_places_and_nobody_goes_for_it(good_past: bool) -> None:
    """Who is over his own limit displaces nobody, not even of his own."""
    places: Places[int] = Places(100, 3)
    origin = Origin("192.0.2.1/32", good_past)
    assert [places.take(number, origin) for number in range(3)] == [Room(None)] * 3
    assert places.take(3, origin) is NoPlace.PREFIX_IS_FULL
    assert places.take(4, Origin("192.0.2.2/32", good_past)) == Room(None)
    places.settle(0)
    assert places.take(3, origin) is NoPlace.PREFIX_IS_FULL
    places.leave(0)
    assert places.take(3, origin) == Room(None)


def test_no_limit_for_a_prefix_is_none() -> None:
    """0 switches it off."""
    places: Places[int] = Places(1000, 0)
    assert all(isinstance(places.take(number, FRIEND), Room) for number in range(1000))


@pytest.mark.parametrize("capacity", range(1, 8))
def test_a_small_server_lets_strangers_in(capacity: int) -> None:
    """15 % of a few places are none; nobody is kept out for ever."""
    places = filled(capacity, strangers=1)
    assert isinstance(places.take("new", STRANGER), Room)


def test_fewer_places_than_guests_end_nobody() -> None:
    """A reload disturbs nobody inside; the next one needs the place of another."""
    places = filled(20, strangers=10)
    places.resize(5, 0)
    assert len(places) == 10
    assert places.take("new", STRANGER) == Room("stranger 0")
    assert len(places) == 10


def test_who_left_twice_leaves_once() -> None:
    """A displaced connection tells its end when its socket closes."""
    places: Places[int] = Places(1, 1)
    places.take(0, STRANGER)
    assert places.take(1, FRIEND) == Room(0)
    places.leave(0)
    places.settle(0)
    assert places.take(2, FRIEND) is NoPlace.PREFIX_IS_FULL
    assert len(places) == 1


class Crowd(RuleBasedStateMachine):
    """Guests come, log in and leave in any order."""

    CAPACITY, PER_PREFIX = 20, 8

    def __init__(self) -> None:
        super().__init__()
        self.places: Places[int] = Places(self.CAPACITY, self.PER_PREFIX)
        self.inside: dict[int, Origin] = {}
        self.settled: set[int] = set()
        self.next = 0

    @rule(prefix=st.integers(0, 5), good_past=st.booleans())
    def come(self, prefix: int, good_past: bool) -> None:
        origin = Origin(str(prefix), good_past)
        could, guest = self.places.has_room, self.next
        self.next += 1
        match self.places.take(guest, origin):
            case NoPlace.PREFIX_IS_FULL:
                assert self._of(prefix) == self.PER_PREFIX
            case NoPlace.SERVER_IS_FULL:
                assert not could
            case Room(displaced):
                if displaced is not None:
                    self._check_displaced(displaced)
                    del self.inside[displaced]
                self.inside[guest] = origin

    def _check_displaced(self, displaced: int) -> None:
        waiting = [guest for guest in self.inside if guest not in self.settled]
        strangers = [guest for guest in waiting if not self.inside[guest].good_past]
        assert displaced == (strangers or waiting)[0]

    @rule(data=st.data())
    def log_in(self, data: st.DataObject) -> None:
        if self.inside:
            guest = data.draw(st.sampled_from(sorted(self.inside)))
            self.places.settle(guest)
            self.settled.add(guest)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.inside:
            guest = data.draw(st.sampled_from(sorted(self.inside)))
            self.places.leave(guest)
            del self.inside[guest]

    def _of(self, prefix: int) -> int:
        return sum(origin.prefix == str(prefix) for origin in self.inside.values())

    @invariant()
    def limits_hold(self) -> None:
        strangers = [
            guest
            for guest, origin in self.inside.items()
            if not origin.good_past and guest not in self.settled
        ]
        assert len(self.places) == len(self.inside) <= self.CAPACITY
        assert len(strangers) <= self.CAPACITY * (100 - GOOD_PAST_SHARE_PERCENT) / 100
        assert all(self._of(prefix) <= self.PER_PREFIX for prefix in range(6))


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
