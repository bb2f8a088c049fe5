"""A time's text is that of the standard library, however many are asked for and in which order."""

from datetime import tzinfo

from hypothesis import given
from hypothesis import strategies as st

from mailkeep.events.times import microseconds_of, moment, text_of

YEAR_US = 365 * 86_400_000_000
TIMES_US = st.integers(-1968 * YEAR_US, 8000 * YEAR_US)
"""From the year 2 to the year 9964: a zone must not lead out of what a datetime can be."""
STEPS_US = st.sampled_from([0, 1, 999_999, 1_000_000, -1])


@given(times_us=st.lists(TIMES_US), step_us=STEPS_US)
def test_a_text_is_the_one_of_its_own_second(times_us: list[int], step_us: int) -> None:
    """What one second's times share is never shown for another's."""
    for at_us in times_us:
        for close_us in (at_us, at_us + step_us):
            slow = moment(close_us).replace(tzinfo=None).isoformat(timespec="microseconds")
            assert text_of(close_us) == slow + "Z"


@given(at_us=TIMES_US, zone=st.timezones())
def test_a_time_is_found_again(at_us: int, zone: tzinfo) -> None:
    """To the microsecond, from any zone."""
    assert microseconds_of(moment(at_us).astimezone(zone)) == at_us


def test_times_are_counted_from_1970() -> None:
    """As everywhere in Unix."""
    assert text_of(0) == "1970-01-01T00:00:00.000000Z"
