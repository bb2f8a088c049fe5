"""Octets and durations in words."""

import pytest

from mailkeep.cli.fetch.amounts import format_clock, format_octets, format_part, format_seconds


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_400_000, "3.4 MB"),
        (12_000_000_000, "12.0 GB"),
        (10**30, "999.0 EB"),
        (10**400, "999.0 EB"),
    ],
)
def test_octets_are_in_the_largest_unit_that_fits(octets: int, words: str) -> None:
    """A size of 10^30 or one that is no float is shown and breaks nothing."""
    assert format_octets(octets) == words


def test_a_part_is_in_the_unit_of_the_whole() -> None:
    """Two numbers can be compared without reading their units."""
    assert format_part(400_000, 3_400_000) == "0.4/3.4 MB"
    assert format_part(0, 0) == "0/0 B"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0:00"), (25, "0:25"), (59.6, "1:00"), (3723, "1:02:03"), (1e12, "> 99 h")],
)
def test_time_left_is_as_on_a_clock(seconds: float, words: str) -> None:
    """It is short, whatever the rate is."""
    assert format_clock(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(2.13, "2.1 s"), (59.96, "1:00"), (60, "1:00"), (205, "3:25")]
)
def test_time_taken_has_tenths_below_a_minute(seconds: float, words: str) -> None:
    """There is no `60.0 s`."""
    assert format_seconds(seconds) == words
