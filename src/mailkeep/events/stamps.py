"""Times as texts for log and trail, many of one second: RFC 3339, UTC, always with microseconds.

Lines then sort as texts. It must not know a clock.
"""

from datetime import UTC, datetime

_SECOND_US = 1_000_000


class Stamps:
    """Writes times; what those of one second share is made once. For one thread at a time."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, at_us: int) -> str:
        """Return a time's text.

        Args:
            at_us: in microseconds since 1970.
        """
        second, rest_us = divmod(at_us, _SECOND_US)
        if second != self._second:
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._text}.{rest_us:06}Z"
