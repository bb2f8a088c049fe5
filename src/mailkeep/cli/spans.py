"""Moments and spans of time as they are written in arguments. Pure: the time is an argument."""

import re
from datetime import UTC, datetime, timedelta

from mailkeep.cli.failure import CommandFailed, ExitCode

_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DAY_S = 86_400

LONGEST_SPAN_S = 100 * 366 * _DAY_S
"""A hundred years: whoever means longer means for ever, and a calendar ends in the year 9999."""


def read_moment(text_untrusted: str) -> datetime:
    """Return the moment that an argument names: `2027-06-01`, `2027-06-01T12:00+02:00`.

    Without a zone it is UTC; a date is the moment at which that day begins.

    Raises:
        CommandFailed: it names none.
    """
    try:
        moment = datetime.fromisoformat(text_untrusted)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandFailed(
            f"{text_untrusted} is no date or time",
            hint="write 2027-06-01, or 2027-06-01T12:00+02:00; without a zone it is UTC",
            code=ExitCode.WRONG,
        ) from None


def read_later_moment(text_untrusted: str, *, now: datetime) -> datetime:
    """Return the moment that an argument names, which must be still to come.

    Raises:
        CommandFailed: it names none, or one that is over.
    """
    moment = read_moment(text_untrusted)
    if moment <= now:
        raise CommandFailed(
            f"{text_untrusted} is over",
            hint=f"name a later one, such as {now + timedelta(days=365):%Y-%m-%d}",
            code=ExitCode.WRONG,
        )
    return moment


def show_moment(moment: datetime) -> str:
    """Return a moment for people, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def read_span_s(text_untrusted: str) -> int:
    """Return the seconds that an argument names: `15m`, `12h`, `90d`.

    Raises:
        CommandFailed: it names none, or more than a hundred years.
    """
    span = _SPAN.fullmatch(text_untrusted)
    if span is None:
        raise CommandFailed(
            f"{text_untrusted} is no span of time",
            hint="write 15m, 12h or 90d",
            code=ExitCode.WRONG,
        )
    seconds = int(span[1]) * _UNIT_S[span[2]]
    if seconds > LONGEST_SPAN_S:
        raise CommandFailed(
            f"{text_untrusted} is longer than a hundred years",
            hint="leave it out if it shall never end",
            code=ExitCode.WRONG,
        )
    return seconds


def read_days(text_untrusted: str) -> int:
    """Return the whole days that an argument names: `90d`, `12w`.

    Raises:
        CommandFailed: it names none, or less than a day.
    """
    days = read_span_s(text_untrusted) // _DAY_S
    if not days:
        raise CommandFailed(
            f"{text_untrusted} is less than a day", hint="write 90d or 12w", code=ExitCode.WRONG
        )
    return days
