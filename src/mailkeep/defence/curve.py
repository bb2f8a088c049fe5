"""How long a guess waits, by how many failed before it. Pure; chance is an argument.

Dovecot's curve: two seconds cost a person nothing and a guesser everything; fifteen are what a mail
program waits without giving up. Dovecot forgets after 29 s, which a patient guesser waits for; here
it is half an hour.
"""

CURVE_S = (0.0, 2.0, 4.0, 8.0, 15.0)
"""The wait before the next guess after 0, 1, 2, 3, and 4 or more failures."""

JITTER = 0.25
"""At most so much of a wait is added by chance: programs that were refused together come back
apart, and nobody reads the count of failures off a clock."""

SITE_LIMIT_S = 4.0
"""All that an attack on the whole site may cost somebody who has not been here before."""

REPEATED_S = 2.0
"""The pace of wrong passwords that are known already: they raise nothing, and yet each costs a
password hash. Without jitter: the owner's other programs wait for it."""

MIDDLE_FACTOR = 3
WIDE_FACTOR = 9
"""So many times as many failures are one step there (mox: three and nine times the limits)."""

ACCOUNT_FACTOR = 3
"""An owner on a journey mistypes once or twice without slowing down the next stranger, himself."""

SITE_FACTOR = 300
"""A step for each 300 failures in half an hour: a site of a thousand people makes as many."""


def delay_s(failures: int, *, factor: int = 1) -> float:
    """Return the wait after so many failures, without chance.

    Args:
        failures: how many are remembered.
        factor: how many of them are one step of the curve.
    """
    return CURVE_S[step(failures, factor=factor)]


def step(failures: int, *, factor: int = 1) -> int:
    """Return how far along the curve so many failures are: 0 for none, 4 at most.

    Args:
        failures: how many are remembered.
        factor: how many of them are one step.
    """
    return min(failures // factor, len(CURVE_S) - 1)


def jittered_s(delay: float, chance: float) -> float:
    """Return a wait with its share of chance.

    Args:
        delay: in seconds.
        chance: 0 to 1.
    """
    return delay * (1 + JITTER * chance)
