"""How long the next guess waits, when failures are forgotten, and what asks for a ban."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.defence.curve import delay_s, jittered_s
from mailkeep.defence.failures import DAY_LIMIT, Failures, Times


@pytest.mark.parametrize(
    ("failures", "factor", "delay"),
    [
        *((failures, 1, delay) for failures, delay in enumerate([0, 2, 4, 8, 15, 15])),
        (1_000_000, 1, 15),
        *((failures, 3, delay) for failures, delay in [(2, 0), (3, 2), (6, 4), (9, 8), (12, 15)]),
        *((failures, 9, delay) for failures, delay in [(8, 0), (9, 2), (35, 8), (36, 15)]),
        *((failures, 300, delay) for failures, delay in [(299, 0), (300, 2), (600, 4)]),
    ],
)
def test_the_curve(failures: int, factor: int, delay: float) -> None:
    """0, 2, 4, 8, 15 s; in the wider prefixes after three and nine times as many failures."""
    assert delay_s(failures, factor=factor) == delay


@given(st.floats(0, 15), st.floats(0, 1))
def test_chance_adds_a_quarter_at_most(delay: float, chance: float) -> None:
    """And takes nothing away."""
    assert delay <= jittered_s(delay, chance) <= delay * 1.25


def test_each_failure_puts_the_next_guess_further_off() -> None:
    """Counted from the last failure, not from the next guess's arrival."""
    failures, waits = Failures(), list[float]()
    for now_s in range(0, 600, 100):
        failures.note(now_s, 0.0)
        waits.append(failures.not_before_s - now_s)
    assert waits == [2, 4, 8, 15, 15, 15]


def test_failures_are_forgotten_half_an_hour_after_the_last() -> None:
    """Not 29 s after it, as elsewhere."""
    failures = Failures()
    for now_s in (0, 1000, 2000):
        failures.note(now_s, 0.0)
    assert (failures.count(3799), failures.count(3800)) == (3, 0)
    failures.note(3800, 0.0)
    assert failures.count(3800) == 1


def test_what_was_wrong_before_sets_a_pace_and_counts_nothing() -> None:
    """Two seconds, so that a program with an old password cannot keep the hash pool busy."""
    failures = Failures()
    failures.note_repeated(10)
    assert (failures.count(10), failures.not_before_s, failures.in_minute(10)) == (0, 12, 0)


def test_whoever_was_wrong_at_all_is_a_step_along() -> None:
    """Also if it does not count, for half an hour; whoever fails goes on to four."""
    repeated, failures = Failures(), Failures()
    assert repeated.steps(0) == 0
    repeated.note_repeated(10)
    assert [repeated.steps(now_s) for now_s in (10, 1811, 1812)] == [1, 1, 0]
    steps = list[int]()
    for now_s in range(0, 600, 100):
        failures.note(now_s, 0.0)
        steps.append(failures.steps(now_s))
    assert steps == [1, 2, 3, 4, 4, 4]


def test_a_short_wait_takes_nothing_from_a_long_one() -> None:
    """A repeated password does not make the next guess come sooner."""
    failures = Failures()
    for _ in range(4):
        failures.note(0, 1.0)
    failures.note_repeated(1)
    assert failures.not_before_s == 18.75


def test_minutes_and_days_slide() -> None:
    """No full minute at which a guesser gets ten more."""
    failures = Failures()
    for now_s in range(0, 100, 10):
        failures.note(now_s, 0.0)
    assert [failures.in_minute(now_s) for now_s in (90, 100, 149, 150)] == [6, 5, 1, 0]
    assert [failures.in_day(now_s) for now_s in (90, 86_399, 86_400, 86_491)] == [10, 10, 9, 0]


@given(st.lists(st.floats(0, 1e6)), st.integers(1, 60), st.floats(0, 1e6))
def test_a_window_counts_what_is_in_it(times: list[float], keep: int, seconds: float) -> None:
    """Of the last so many; more are never kept."""
    window = Times()
    for now_s in sorted(times):
        window.note(now_s, keep=keep)
    kept = sorted(times)[-keep:]
    end_s = kept[-1] if kept else 0.0
    assert len(window) == len(kept)
    assert window.within(end_s, seconds) == sum(1 for it in kept if it > end_s - seconds)


def test_ten_failures_in_ten_minutes_ask_for_a_ban() -> None:
    """Nine do not, nor ten in eleven."""
    fast, slow = Failures(), Failures()
    for number in range(9):
        fast.note(number, 0.0)
        slow.note(number, 0.0)
    assert not fast.asks_for_a_ban(9)
    fast.note(599, 0.0)
    slow.note(660, 0.0)
    assert (fast.asks_for_a_ban(599), slow.asks_for_a_ban(660)) == (True, False)


def test_ten_names_in_ten_minutes_ask_for_a_ban() -> None:
    """Whether their passwords were counted or not: one known password on ten names is spraying."""
    failures = Failures()
    for number in range(9):
        failures.note_name(f"n{number}", number)
    failures.note_name("n0", 9)
    assert not failures.asks_for_a_ban(9)
    failures.note_name("n9", 10)
    assert failures.asks_for_a_ban(10)
    assert not failures.asks_for_a_ban(610)


def test_a_record_keeps_no_more_than_its_limits_need() -> None:
    """However long somebody tries."""
    failures = Failures()
    for number in range(10 * DAY_LIMIT):
        failures.note(number, 0.0)
        failures.note_name(f"n{number}", number)
    assert (len(failures._times), len(failures._names)) == (DAY_LIMIT, 10)
