"""The comparison of servers: what a ratio is, when it is a failure, and what counts for nothing."""

from dataclasses import replace

import pytest
from bench.server.contest import measured_twice_if_bad
from bench.server.figures import LENIENT, SLACK, Figure, Measured, Side, Verdict, failures, judge
from bench.server.rows import ROWS, Row, Unit

ROW = Row("row", "some work", Unit.SESSION, to_rival=0.4, to_floor=1.1)


def measured(ours: float, rival: float, floor: float | None = None) -> Measured:
    figures = {Side.OURS: Figure((ours,)), Side.RIVAL: Figure((rival,))}
    return Measured(ROW, figures | ({Side.FLOOR: Figure((floor,))} if floor else {}))


def test_a_figure_is_the_median_of_its_rounds() -> None:
    """One turn that somebody disturbed does not count, but is shown."""
    figure = Figure((1.0, 9.0, 1.2))
    assert (figure.median, figure.least, figure.most) == (1.2, 1.0, 9.0)


def test_a_ratio_is_ours_over_theirs() -> None:
    """Less than one: Mailkeep is cheaper."""
    assert measured(1.0, 4.0).ratio(Side.RIVAL) == 0.25


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (0.39, Verdict.MET),
        (0.4, Verdict.MET),
        (0.41, Verdict.MISSED),
        (0.4 * LENIENT, Verdict.MISSED),
        (0.4 * LENIENT + 0.01, Verdict.FAR_OFF),
    ],
)
def test_a_target_is_the_most_that_is_good(ratio: float, verdict: Verdict) -> None:
    """At the target it is met; up to twice of it is missed; beyond is far off."""
    assert judge(ratio, 0.4) is verdict


def test_a_ratio_far_off_fails_the_run_and_a_missed_one_does_not() -> None:
    """Another machine has other ratios; twice as bad is no other machine."""
    assert failures(measured(0.5, 1.0, 0.5)) == []
    assert failures(measured(0.9, 1.0, 0.9)) == ["row: 0.90 of Dovecot, limit 0.80, target 0.4"]
    assert failures(measured(0.3, 1.0, 0.1)) == ["row: 3.00 of C responder, limit 2.20, target 1.1"]


def test_what_was_reached_is_kept_where_a_target_is_far() -> None:
    """A row that has never been within twice its target still fails when it gets worse."""
    row = replace(ROW, reached_to_floor=4.0)
    at_most = 4.0 * SLACK
    good, bad = (replace(measured(it, 10 * it, 1.0), row=row) for it in (at_most, at_most + 0.1))
    assert failures(good) == []
    assert failures(bad) == ["row: 6.10 of C responder, limit 6.00, target 1.1"]
    assert bad.verdict(Side.FLOOR) is Verdict.FAR_OFF
    near = replace(ROW, reached_to_floor=0.5)
    assert failures(replace(measured(0.22, 1.0, 0.1), row=near)) == []


def test_a_turn_that_somebody_disturbed_fails_no_run() -> None:
    """What is dearer in the middle and not at its best was disturbed."""
    rival, floor = Figure((1.0, 1.0, 1.0)), Figure((1.0, 1.0, 1.0))
    others = {Side.RIVAL: rival, Side.FLOOR: floor}
    disturbed = Measured(ROW, {Side.OURS: Figure((0.7, 3.0, 3.0)), **others})
    assert disturbed.verdict(Side.RIVAL) is Verdict.FAR_OFF
    assert failures(disturbed) == []
    dearer = Measured(ROW, {Side.OURS: Figure((0.9, 0.9, 0.9)), **others})
    assert failures(dearer) == ["row: 0.90 of Dovecot, limit 0.80, target 0.4"]


def test_what_should_be_compared_and_is_not_fails_the_run() -> None:
    """A server without a figure is no success."""
    assert failures(measured(0.3, 1.0)) == ["row: no figure for C responder"]
    assert failures(Measured(ROW)) != []


def test_an_error_of_the_load_leaves_no_ratio() -> None:
    """Figures of a row that went wrong are not compared, however good they look."""
    good = measured(0.1, 1.0, 1.0)
    bad = Measured(ROW, good.figures, problem="3 errors, the first: -ERR")
    assert bad.ratio(Side.RIVAL) is None
    assert bad.verdict(Side.RIVAL) is None
    assert failures(bad) == ["row: 3 errors, the first: -ERR"]


def test_a_server_that_used_no_time_is_not_compared() -> None:
    """A zero is a turn that was too short for the kernel's clock, not an infinite ratio."""
    assert measured(0.1, 0.0).ratio(Side.RIVAL) is None


def test_rows_have_names_of_their_own() -> None:
    """A name on the command line means one row."""
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_no_row_has_more_connections_than_users() -> None:
    """A maildrop is one session's, so a connection more would only wait."""
    loads = [row.load for row in ROWS if row.load is not None]
    assert loads
    assert all(load.connections <= load.population.users for load in loads)


@pytest.mark.parametrize(("first", "second", "fails"), [(0.9, 0.5, False), (0.9, 0.9, True)])
def test_a_row_far_off_is_measured_once_more(first: float, second: float, fails: bool) -> None:
    """What others do on the machine passes; a server that has become dearer stays so."""
    left = [measured(second, 1.0, 1.0), measured(first, 1.0, 1.0)]
    found = measured_twice_if_bad(left.pop)
    assert not left
    assert found.ratio(Side.RIVAL) == second
    assert "twice" in found.notes[-1]
    assert bool(failures(found)) == fails


def test_a_row_that_is_good_is_measured_once() -> None:
    """Two minutes stay two minutes."""
    left = [measured(0.1, 1.0, 1.0), measured(0.5, 1.0, 1.0)]
    found = measured_twice_if_bad(left.pop)
    assert found.ratio(Side.RIVAL) == 0.5
    assert found.notes == ()
    assert len(left) == 1
