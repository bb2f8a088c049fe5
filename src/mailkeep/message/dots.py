"""Whether a line of a message begins with a dot: such a message cannot go out as it is.

RFC 1939 section 3 doubles that dot. Nearly no message has one, so it is worth to find out once and
to remember it. Works on the wire form, in chunks cut anywhere. What is done about it is the
protocol's.
"""

import re

_LINE_STARTS_WITH_DOT = re.compile(rb"\n\.")
"""A search by `re` takes a third of the time of `in` on a megabyte without a match."""


class DotSearch:
    """A resumable search."""

    __slots__ = ("_at_line_start", "found")

    def __init__(self) -> None:
        self._at_line_start = True
        self.found = False
        """Whether a line began with a dot."""

    def feed(self, wire: bytes) -> None:
        """Look through the next octets of the wire form."""
        if not wire or self.found:
            return
        starts_with_dot = self._at_line_start and wire.startswith(b".")
        self.found = starts_with_dot or _LINE_STARTS_WITH_DOT.search(wire) is not None
        self._at_line_start = wire.endswith(b"\n")
