"""Whether right credentials let somebody in: the whole table."""

from dataclasses import replace

import pytest

from mailkeep.defence import Turning
from mailkeep.defence.places import Oddity
from mailkeep.defence.rules import OddAnswer
from mailkeep.defence.welcomes import RightCredentials, decide_refusal

LOGIN = RightCredentials(
    is_sure=False,
    is_hot=False,
    by_main_password=True,
    is_familiar=False,
    guesses=0,
    odd=None,
    since_last_login_s=None,
)
REFUSED = Oddity(Turning.FAST_TRAVEL, OddAnswer.REFUSE, "DE")
TOLD = Oddity(Turning.FAST_TRAVEL, OddAnswer.ALERT, "DE")


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"is_hot": True}, Turning.HOT_PASSWORD),
        ({"is_hot": True, "is_familiar": True}, Turning.HOT_PASSWORD),
        ({"is_hot": True, "is_sure": True}, None),
        ({"guesses": 99}, None),
        ({"guesses": 100}, Turning.GUESSED_AT),
        ({"guesses": 100, "is_familiar": True}, None),
        ({"guesses": 100, "by_main_password": False}, None),
        ({"odd": TOLD}, None),
        ({"odd": REFUSED}, Turning.FAST_TRAVEL),
        ({"odd": REFUSED, "is_familiar": True, "is_sure": True}, Turning.FAST_TRAVEL),
        ({"since_last_login_s": 59.9}, Turning.LOGIN_DELAY),
        ({"since_last_login_s": 60.0}, None),
        ({"since_last_login_s": 1.0, "guesses": 100}, Turning.GUESSED_AT),
        ({"since_last_login_s": 1.0, "odd": REFUSED}, Turning.FAST_TRAVEL),
    ],
)
def test_the_table_of_refusals(changes: dict[str, object], refusal: Turning | None) -> None:
    """One line a rule; what may be told on the wire comes last."""
    login = replace(LOGIN, **changes)  # type: ignore[arg-type]  # a table of fields
    assert decide_refusal(login, login_delay_s=60) == refusal


def test_without_a_login_delay_nobody_is_too_soon() -> None:
    """As it is unless set."""
    assert decide_refusal(replace(LOGIN, since_last_login_s=0.0), login_delay_s=0) is None
