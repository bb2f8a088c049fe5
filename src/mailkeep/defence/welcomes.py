"""Whether right credentials let somebody in. Pure."""

from dataclasses import dataclass

from mailkeep.defence.places import Oddity
from mailkeep.defence.rules import OddAnswer
from mailkeep.defence.seam import Turning

GUESSES_LIMIT = 100
"""Failures of strangers on an account after which its main password is refused from them
(NIST SP 800-63B-4 section 3.2.2: no more than 100)."""


@dataclass(slots=True)
class RightCredentials:
    """What is known about a login whose credentials are right."""

    is_sure: bool
    is_hot: bool
    """The password is being tried on many accounts."""
    by_main_password: bool
    is_familiar: bool
    guesses: int
    """Failures of strangers since the owner last changed or confirmed the main password."""
    odd: Oddity | None
    since_last_login_s: float | None
    """None: not known, or long ago."""


def decide_refusal(login: RightCredentials, login_delay_s: float) -> Turning | None:
    """Return why a login is refused; None to let it in.

    LOGIN_DELAY comes last: it alone is told to the client, and only who would be let in may hear
    that the password is right (RFC 2449 section 8.1.1).

    Args:
        login: the login.
        login_delay_s: between two logins of an account; 0 for none.
    """
    if login.is_hot and not login.is_sure:
        return Turning.HOT_PASSWORD
    if login.by_main_password and login.guesses >= GUESSES_LIMIT and not login.is_familiar:
        return Turning.GUESSED_AT
    if login.odd is not None and login.odd.answer is OddAnswer.REFUSE:
        return login.odd.kind
    since_s = login.since_last_login_s
    if since_s is not None and since_s < login_delay_s:
        return Turning.LOGIN_DELAY
    return None
