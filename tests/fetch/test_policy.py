"""Times, sizes and first runs as people write them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.failures import FetchExit, WrongSettings
from mailkeep.fetch.policy import Initial, Policy, parse_duration, parse_initial, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("30s", 30),
        ("5m", 300),
        ("12h", 43_200),
        ("14d", 1_209_600),
        ("2w", 1_209_600),
        ("007d", 604_800),
        ("999999999w", 999_999_999 * 604_800),
    ],
)
def test_a_time_has_a_number_and_a_unit(text: str, seconds: int) -> None:
    """Seconds, minutes, hours, days, weeks."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("0", 0),
        ("1", 1),
        ("500k", 512_000),
        ("20M", 20_971_520),
        ("20m", 20_971_520),
        ("1G", 1_073_741_824),
        ("1g", 1_073_741_824),
        ("999999999999", 999_999_999_999),
    ],
)
def test_a_size_is_octets_or_a_power_of_1024(text: str, octets: int) -> None:
    """As mail programs and disks count."""
    assert parse_size(text) == octets


@pytest.mark.parametrize(
    ("text", "initial", "amount"),
    [
        ("all", Initial.ALL, 0),
        ("none", Initial.NONE, 0),
        ("30d", Initial.NEWER, 2_592_000),
        ("1s", Initial.NEWER, 1),
        ("last:100", Initial.LAST, 100),
        ("last:0", Initial.LAST, 0),
    ],
)
def test_a_first_run_is_a_word_an_age_or_a_number(text: str, initial: Initial, amount: int) -> None:
    """`--initial all|none|30d|last:100`."""
    assert parse_initial(text) == (initial, amount)


NO_NUMBERS = ["", " ", "-1", "+1", "1.5", "1e3", "0x10", "\u0663", "1 000", "1_000", "\n"]


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (parse_duration, ["5", "m", "5 m", "5M", "5mm", "5m\n", "1h30m", "1y", "9" * 10 + "s"]),
        (parse_size, ["k", "5 k", "5kb", "5MB", "5T", "5k\n", "9" * 13, "5\u212a"]),
        (parse_initial, ["ALL", "All", "last", "last:", "last:x", "last:-1", "last:1\n", "30"]),
    ],
)
def test_anything_else_is_refused_with_an_example(
    parse: Callable[[str], object], texts: list[str]
) -> None:
    """A guess at what was meant could delete mail."""
    for text in (*NO_NUMBERS, *texts):
        with pytest.raises(WrongSettings) as refused:
            parse(text)
        assert refused.value.code is FetchExit.WRONG
        assert (refused.value.hint or "").startswith("write ")


@given(st.text(max_size=12))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """No other error comes out, and no negative amount."""
    for parse in (parse_duration, parse_size, lambda said: parse_initial(said)[1]):
        try:
            assert parse(text) >= 0
        except WrongSettings:
            continue


@pytest.mark.parametrize(
    ("policy", "deletes"),
    [
        (Policy(), False),
        (Policy(delete=True), True),
        (Policy(delete_after_s=0), True),
        (Policy(keep_newest=0), True),
        (Policy(larger_than=0), False),
        (Policy(initial=Initial.NONE), False),
    ],
)
def test_nothing_is_deleted_unless_it_was_said(policy: Policy, deletes: bool) -> None:
    """The default leaves everything on the server."""
    assert policy.deletes is deletes
