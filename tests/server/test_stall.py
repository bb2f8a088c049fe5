"""When a client that does not read has had its time: the decision alone."""

import pytest

from mailkeep.server.stall import OutputWatch

STALLED = "the client stopped reading"
SLOW = "the client reads too slowly"


def _watch(stall_s: float = 60, window_s: float = 300, octets_per_s: float = 1024) -> OutputWatch:
    return OutputWatch(0, 0, stall_s=stall_s, window_s=window_s, octets_per_s=octets_per_s)


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ([(59.9, 0)], None),
        ([(60, 0)], STALLED),
        ([(59, 1), (118, 1)], None),
        ([(59, 1), (119, 1)], STALLED),
        ([(59, 1), (118, 2), (177, 3)], None),
    ],
)
def test_a_minute_without_progress_is_too_long(
    steps: list[tuple[float, int]], verdict: str | None
) -> None:
    """60 s without one octet taken while output waits; one octet starts the minute anew."""
    watch = _watch()
    assert [watch.judge(now, taken) for now, taken in steps][-1] == verdict


@pytest.mark.parametrize(
    ("octets_per_s", "closed_at"), [(1024, None), (1023, 300), (512, 300), (100_000, None)]
)
def test_less_than_the_rate_over_the_window_is_too_slow(
    octets_per_s: int, closed_at: int | None
) -> None:
    """1 KB/s over 5 minutes, not sooner: a slow start is forgiven."""
    watch = _watch()
    verdicts = {now: watch.judge(now, now * octets_per_s) for now in range(5, 2000, 5)}
    slow = [now for now, verdict in verdicts.items() if verdict == SLOW]
    assert set(verdicts.values()) <= {None, SLOW}
    assert (slow[0] if slow else None) == closed_at


def test_a_fast_start_does_not_pay_for_a_slow_rest() -> None:
    """The window slides: a megabyte at once buys at most one window."""
    watch = _watch()
    closed = [
        now for now in range(5, 3000, 5) if watch.judge(now, 1_000_000 + now * 10) is not None
    ]
    assert 300 < closed[0] <= 300 + 300 / 10 + 5


def test_a_pause_of_nearly_a_minute_is_forgiven() -> None:
    """A tunnel on a train; the rest of the window makes up for it."""
    watch = _watch()
    taken = 0
    for now in range(5, 1200, 5):
        taken += 0 if 300 <= now < 355 else 10_000
        assert watch.judge(now, taken) is None


def test_zero_switches_each_rule_off() -> None:
    """0 is no limit."""
    assert _watch(stall_s=0, window_s=0).judge(1e9, 0) is None
    assert _watch(stall_s=0).judge(300, 0) == SLOW
    assert _watch(window_s=0).judge(60, 0) == STALLED
    assert _watch(stall_s=0, octets_per_s=0).judge(300, 0) is None
