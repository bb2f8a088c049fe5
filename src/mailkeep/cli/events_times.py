"""Reading the times that `mailkeep events` takes: a time, a date, or how long ago.

Pure: the time now is an argument. What has no time zone is in UTC, as all times that are shown.
"""

import re
from datetime import UTC, datetime, timedelta

from mailkeep.cli.failure import CommandFailed, ExitCode

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]{1,9}) ?([smhdw])(?: ago)?")


def read_time(text: str, *, now: datetime) -> datetime:
    """Return the time that an option names.

    Args:
        text: `2026-11-22T08:44`, `2026-11-22`, `90m`, `12h ago`, `30d`.
        now: with a time zone.

    Raises:
        CommandFailed: it is no time.
    """
    if ago := _AGO.fullmatch(text.strip()):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as cause:
        raise CommandFailed(
            f"{text} is no time",
            hint="write 2026-11-22, 2026-11-22T08:44, 90m, 12h or 30d (ago)",
            code=ExitCode.WRONG,
        ) from cause
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def show_time(at: datetime | None) -> str:
    """Return a time for people: UTC, to the second."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
