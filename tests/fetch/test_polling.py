"""When a mailbox is looked into again: jitter, back-off, and what the server asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.polling import (
    BACK_OFF_LIMIT_S,
    LOGIN_DELAY_LIMIT_S,
    REFUSED_LIMIT_S,
    Past,
    next_delay,
)

MIDDLE = 0.5
"""A draw that leaves a delay as it is."""


@pytest.mark.parametrize(
    ("code", "failures", "delay"),
    [
        (FetchExit.DONE, 0, 300),
        (FetchExit.PARTIAL, 0, 300),
        (FetchExit.NETWORK, 1, 300),
        (FetchExit.NETWORK, 2, 600),
        (FetchExit.NETWORK, 3, 1200),
        (FetchExit.BUSY, 4, 2400),
        (FetchExit.PROTOCOL, 5, BACK_OFF_LIMIT_S),
        (FetchExit.STORAGE, 1000, BACK_OFF_LIMIT_S),
        (FetchExit.LOCKED, 10**9, BACK_OFF_LIMIT_S),
        (FetchExit.LOGIN, 1, 2400),
        (FetchExit.LOGIN, 2, 4800),
        (FetchExit.TOKEN, 3, 9600),
        (FetchExit.TLS, 4, REFUSED_LIMIT_S),
        (FetchExit.SUSPICIOUS, 10**9, REFUSED_LIMIT_S),
        (FetchExit.WRONG, 99, REFUSED_LIMIT_S),
    ],
)
def test_failures_in_a_row_double_the_wait_up_to_a_limit(
    code: FetchExit, failures: int, delay: float
) -> None:
    """S-22, S-24: what a person must mend is tried eight times as seldom from the first on."""
    assert next_delay(300, Past(code, failures), MIDDLE) == delay


@pytest.mark.parametrize("code", [FetchExit.NETWORK, FetchExit.LOGIN])
def test_a_failure_never_shortens_the_wait(code: FetchExit) -> None:
    """A user who looks once a day is not served better by a limit of an hour."""
    assert next_delay(86_400, Past(code, 9), MIDDLE) == 86_400


@pytest.mark.parametrize(
    ("login_delay_s", "delay"),
    [
        (0, 300),
        (60, 300),
        (900, 900),
        (10**9, LOGIN_DELAY_LIMIT_S),
        (10**400, LOGIN_DELAY_LIMIT_S),
    ],
)
def test_what_the_server_asks_for_is_the_least_up_to_a_day(login_delay_s: int, delay: int) -> None:
    """S-23, RFC 2449 section 6.5; a number that no clock can count to ends no polling."""
    assert next_delay(300, Past(FetchExit.DONE, 0, login_delay_s), MIDDLE) == delay


def test_jitter_never_comes_before_what_the_server_asks_for() -> None:
    """RFC 2449 section 6.5: a login before the delay is refused."""
    assert next_delay(300, Past(FetchExit.DONE, 0, 300), 0.0) == 300


@given(
    st.floats(1, 10**6),
    st.sampled_from(FetchExit),
    st.integers(0, 10**6),
    st.floats(0, 1),
)
def test_jitter_is_a_tenth_to_either_side(
    every_s: float, code: FetchExit, failures: int, draw: float
) -> None:
    """A thousand clients that were started at once do not come in the same second for ever."""
    middle = next_delay(every_s, Past(code, failures), MIDDLE)
    assert middle >= every_s * 0.999
    assert 0.899 * middle <= next_delay(every_s, Past(code, failures), draw) <= 1.101 * middle
