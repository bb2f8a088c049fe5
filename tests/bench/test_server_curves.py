"""Growth: what a cost may do while a number rises, and what is a failure."""

import pytest
from bench.server.curves import Curve, Plot, growth_failures, verdicts


def curve(*costs: float, may_grow: bool = False) -> Curve:
    points = tuple((10**power, cost) for power, cost in enumerate(costs, start=2))
    return Curve("login", points, may_grow=may_grow)


@pytest.mark.parametrize(
    ("costs", "is_kept"),
    [
        ((1.0, 1.0, 1.0, 1.0), True),
        ((1.0, 0.9, 1.1, 1.2), True),
        ((1.0, 1.0, 1.0, 1.3), False),
        ((1.0, 1.0, 1.1, 9.0), False),
    ],
)
def test_a_cost_that_may_not_grow_is_as_usual_at_the_last_number(
    costs: tuple[float, ...], is_kept: bool
) -> None:
    """A quarter more is what the machine does by itself; more is growth."""
    assert curve(*costs).is_kept is is_kept


def test_one_turn_that_was_cheap_is_no_growth_of_the_others() -> None:
    """What is usual is the median of the smaller numbers, not the least of them."""
    assert curve(0.7, 1.0, 1.0, 1.1).is_kept


@pytest.mark.parametrize(
    ("costs", "is_kept"),
    [
        ((1.0, 2.0, 11.0, 100.0), True),
        ((1.0, 2.0, 11.0, 140.0), False),
        ((1.0, 1.0, 1.0, 9.0), True),
    ],
)
def test_a_cost_that_may_grow_grows_no_faster_than_the_number(
    costs: tuple[float, ...], is_kept: bool
) -> None:
    """Ten times the messages, at most ten times the cost: a listing is sent whole."""
    assert curve(*costs, may_grow=True).is_kept is is_kept


def test_failures_name_the_plot_the_cost_and_the_figures() -> None:
    """An operator sees where it bends without looking at the picture."""
    plot = Plot("accounts", "accounts", (curve(1.0, 1.0, 5.0), curve(1.0, 1.0, 1.0)))
    assert growth_failures([plot]) == [
        "accounts: login GROWS (100: 1 ms, 1,000: 1 ms, 10,000: 5 ms)"
    ]


def test_what_could_not_be_measured_is_a_failure_and_is_told() -> None:
    """No curve is no proof that nothing grows."""
    plot = Plot("sessions", "open sessions", problem="not ready")
    assert growth_failures([plot]) == ["sessions: not ready"]
    assert verdicts([plot]) == ["open sessions: FAILED: not ready"]


def test_what_cost_as_much_at_a_smaller_number_has_not_grown() -> None:
    """A dip in the middle is no reason to call the end a rise."""
    assert Curve("RETR", ((0, 1.6), (100, 1.1), (1000, 1.1), (10_000, 1.55))).is_kept
    assert not Curve("RETR", ((0, 1.6), (100, 1.1), (1000, 1.1), (10_000, 1.65))).is_kept
