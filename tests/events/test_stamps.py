"""A time's text is the trail's, however many are asked for and in which order."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mailkeep.events.records import EPOCH, time_text
from mailkeep.events.stamps import Stamps

TIMES = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))  # noqa: DTZ001  # hypothesis adds the zone


@given(times=st.lists(TIMES), step=st.sampled_from([0, 1, 999_999, 1_000_000, -1]))
def test_a_text_is_the_same_as_the_slow_one(times: list[datetime], step: int) -> None:
    """What one second's times share is never shown for another's."""
    stamps = Stamps()
    for at in times:
        at_us = (at - EPOCH) // timedelta(microseconds=1)
        assert stamps.text(at_us) == time_text(at)
        if at_us + step >= 0 and at.year < 9999:
            assert stamps.text(at_us + step) == time_text(at + timedelta(microseconds=step))
