"""When to look into a mailbox again: pure."""

from dataclasses import dataclass

from mailkeep.fetch.failures import FetchExit

BACK_OFF_LIMIT_S = 3600.0
"""A server that is down is asked once an hour at least."""

REFUSED_LIMIT_S = 4 * 3600.0
"""After a refused login: repeated tries lock accounts, and only a person can mend it (S-24)."""

LOGIN_DELAY_LIMIT_S = 24 * 3600
"""What a server may ask for: one that asks for more would end the polling of its mailbox."""

JITTER = 0.1
"""A tenth to either side, so that a thousand clients do not come in the same second."""

_NOT_BEFORE_A_PERSON = frozenset(
    {FetchExit.LOGIN, FetchExit.TOKEN, FetchExit.WRONG, FetchExit.SUSPICIOUS, FetchExit.TLS}
)
_DOUBLINGS_LIMIT = 20


@dataclass(frozen=True, slots=True)
class Past:
    """How the last runs of an account ended.

    Attributes:
        code: of the last run.
        failures: how many runs in a row ended in a failure.
        login_delay_s: what the server's LOGIN-DELAY asks for (RFC 2449 section 6.5), or 0.
    """

    code: int
    failures: int
    login_delay_s: int = 0


def next_delay(every_s: float, past: Past, draw: float) -> float:
    """Return after how many seconds a mailbox is looked into again.

    Args:
        every_s: what the user wants.
        past: how the last runs ended.
        draw: a random number from 0 to 1, for the jitter.
    """
    delay = every_s
    if past.failures:
        refused = past.code in _NOT_BEFORE_A_PERSON
        limit = REFUSED_LIMIT_S if refused else BACK_OFF_LIMIT_S
        doublings = min(past.failures + (2 if refused else -1), _DOUBLINGS_LIMIT)
        delay = max(every_s, min(every_s * 2**doublings, limit))
    jittered = delay * (1 + JITTER * (2 * draw - 1))
    return max(jittered, min(past.login_delay_s, LOGIN_DELAY_LIMIT_S))
