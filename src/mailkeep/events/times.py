"""Times of log and trail: microseconds since 1970, and their texts. Pure.

A text is that of RFC 3339, UTC and always with microseconds: lines then sort as texts.
"""

import functools
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""What times are counted from."""

_MICROSECOND = timedelta(microseconds=1)


def microseconds_of(at: datetime) -> int:
    """Return an aware time in microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(at_us: int) -> datetime:
    """Return a time, given in microseconds since 1970."""
    return _EPOCH + timedelta(0, 0, at_us)


def text_of(at_us: int) -> str:
    """Return the text of a time, given in microseconds since 1970."""
    second, rest_us = divmod(at_us, 1_000_000)
    return f"{_text_of_second(second)}.{rest_us:06}Z"


@functools.lru_cache
def _text_of_second(second: int) -> str:
    """Return what the times of a second share; to make it takes as long as ten of them."""
    return (_EPOCH + timedelta(0, second)).replace(tzinfo=None).isoformat()
