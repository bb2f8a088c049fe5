"""Moments and spans of time as they are written in arguments."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.spans import (
    LONGEST_SPAN_S,
    read_days,
    read_later_moment,
    read_moment,
    read_span_s,
    show_moment,
)

SPAN = re.compile("[1-9][0-9]{0,5}[smhdw]")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-06-01", datetime(2027, 6, 1, tzinfo=UTC)),
        ("2027-06-01T12:30", datetime(2027, 6, 1, 12, 30, tzinfo=UTC)),
        ("2027-06-01T12:30Z", datetime(2027, 6, 1, 12, 30, tzinfo=UTC)),
        ("2027-06-01T12:30+02:00", datetime(2027, 6, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    """A date is the moment at which that day begins."""
    assert read_moment(text) == moment
    assert read_moment(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-13-01", "9999-12-31T23:00-12:00", "٢٠٢٧"])
def test_what_is_no_moment_is_wrong_usage(text: str) -> None:
    """With what to write; what no calendar has is no internal error."""
    with pytest.raises(CommandFailed, match="no date or time") as failure:
        read_moment(text)
    assert failure.value.code == ExitCode.WRONG
    assert failure.value.hint


@given(st.timedeltas(timedelta(days=-40_000), timedelta(days=900_000)))
def test_a_moment_that_is_written_is_read_again(away: timedelta) -> None:
    """Whatever zone it is written in."""
    moment = (NOW + away).astimezone(timezone(timedelta(hours=3)))
    assert read_moment(moment.isoformat()) == moment


@pytest.mark.parametrize("text", ["2026-11-25", "2026-11-25T12:00", "2026-11-25T13:59+02:00"])
def test_a_moment_that_must_be_to_come_is_not_over(text: str) -> None:
    """Now is over, too."""
    with pytest.raises(CommandFailed, match="is over") as failure:
        read_later_moment(text, now=NOW)
    assert failure.value.hint == "name a later one, such as 2027-11-25"
    assert read_later_moment("2026-11-25T12:01", now=NOW) == NOW + timedelta(minutes=1)


def test_a_moment_is_shown_in_utc() -> None:
    """To the minute, whatever zone it came in."""
    assert show_moment(datetime(2027, 6, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == (
        "2027-05-31 23:00 UTC"
    )


@given(st.integers(min_value=1, max_value=999_999), st.sampled_from("smhdw"))
def test_a_span_is_its_number_times_its_unit(number: int, unit: str) -> None:
    """Up to a hundred years, beyond which a calendar ends one day."""
    seconds = number * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    if seconds <= LONGEST_SPAN_S:
        assert read_span_s(f"{number}{unit}") == seconds
    else:
        with pytest.raises(CommandFailed, match="hundred years"):
            read_span_s(f"{number}{unit}")


@given(st.text(max_size=8).filter(lambda text: not SPAN.fullmatch(text)))
def test_any_other_text_is_wrong_usage(text: str) -> None:
    """Never an internal error."""
    with pytest.raises(CommandFailed, match="no span of time") as failure:
        read_span_s(text)
    assert failure.value.code == ExitCode.WRONG
    assert failure.value.hint


@pytest.mark.parametrize(("text", "days"), [("90d", 90), ("2w", 14), ("36h", 1), ("86400s", 1)])
def test_days_are_whole(text: str, days: int) -> None:
    """A login is known to some minutes, and staleness to a day."""
    assert read_days(text) == days


@pytest.mark.parametrize("text", ["23h", "1s"])
def test_less_than_a_day_is_wrong_usage(text: str) -> None:
    """Everybody would be stale."""
    with pytest.raises(CommandFailed, match="less than a day") as failure:
        read_days(text)
    assert failure.value.hint == "write 90d or 12w"
