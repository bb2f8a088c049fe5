"""How far a run has come."""

from mailkeep.cli.fetch.so_far import SoFar
from mailkeep.fetch.events import MessageAdopted, MessageFailed, MessageStored, Planned, Progress


def planned(messages: int, octets: int) -> SoFar:
    so_far = SoFar()
    so_far.note(Planned(messages, messages, octets, 0, 0), 0.0)
    return so_far


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """A stall shows within seconds, and no time left is told then."""
    so_far = planned(10, 10_000)
    for second in range(1, 6):
        so_far.note(Progress(second, second * 1000), float(second))
    assert so_far.rate(5.0) == 1000
    assert so_far.left_s(5.0) == 5
    assert so_far.rate(60.0) == 0
    assert so_far.left_s(60.0) is None


def test_nothing_is_told_of_less_than_half_a_second() -> None:
    """The first segments of a connection say nothing about its rate."""
    so_far = planned(10, 10_000)
    so_far.note(Progress(1, 1000), 0.1)
    assert so_far.rate(0.1) is None
    assert so_far.words(0.1) == ("1/10", "1.0/10.0 kB", "", "")


def test_more_than_was_announced_is_never_more_than_all() -> None:
    """S-41: sizes are hints, so the whole grows with what comes."""
    so_far = planned(1, 100)
    so_far.note(Progress(1, 5000), 1.0)
    assert so_far.fraction == 1.0
    assert so_far.words(1.0)[1] == "5.0/5.0 kB"
    assert so_far.left_s(1.0) == 0


def test_without_announced_sizes_messages_are_counted() -> None:
    """A server that lists no sizes has a bar too."""
    so_far = planned(4, 0)
    so_far.note(MessageFailed(b"a", "", 1, False), 1.0)
    assert so_far.fraction == 0.25


def test_what_is_stored_counts_when_nobody_told_its_arrival() -> None:
    """A fetch of a tenth of a second tells no progress."""
    so_far = planned(2, 200)
    so_far.note(MessageStored(b"a", 100, ()), 0.1)
    so_far.note(MessageAdopted(b"b", 100), 0.1)
    assert so_far.words(0.1)[:2] == ("2/2", "200/200 B")


def test_what_was_adopted_before_the_plan_is_not_part_of_it() -> None:
    """Messages that are known by their headers are not fetched."""
    so_far = SoFar()
    so_far.note(MessageAdopted(b"b", 100), 0.0)
    so_far.note(Planned(3, 2, 200, 0, 0), 0.0)
    assert so_far.words(0.0)[:2] == ("0/2", "0/200 B")


def test_totals_that_go_on_after_a_new_connection_are_understood() -> None:
    """Whether counts begin again with a connection or go on, nothing is lost or counted twice."""
    again, on = planned(10, 1000), planned(10, 1000)
    for so_far, last in ((again, Progress(2, 200)), (on, Progress(8, 800))):
        so_far.note(Progress(6, 600), 1.0)
        so_far.note(Planned(10, 4, 400, 0, 0), 2.0)
        so_far.note(last, 3.0)
    assert again.words(3.0) == on.words(3.0)
    assert again.words(3.0)[:2] == ("8/10", "0.8/1.0 kB")
