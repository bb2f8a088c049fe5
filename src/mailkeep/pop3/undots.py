"""The way back from a body on the wire: where it ends, and which dots are no part of it.

A resumable filter: what it returns depends on the octets only, not on where they were cut. A body
ends at CRLF "." CRLF and at nothing else (RFC 1939 section 3); a lone LF or CR ends no line, or a
sender could end his message early and speak for the server. Exactly one leading dot is taken off
every line that starts with one, also where the server did not double it (S-45).
"""

import re

from mailkeep.pop3.replies import TERMINATOR

_END = b"\r\n" + TERMINATOR
_LINE_STARTS_WITH_DOT = re.compile(rb"\r\n\.")
"""A search by `re` takes less time than one by `find` where lines are as long as in mail."""


class DotUnstuffer:
    """Reads one body."""

    __slots__ = ("_at_start",)

    def __init__(self) -> None:
        self._at_start = True

    def feed(self, octets: bytes, at: int = 0) -> tuple[bytes, int, bool]:
        """Return what is known of the body.

        Args:
            octets: all that came; it may go on with other answers behind the body.
            at: where in `octets` the body begins or goes on.

        Returns:
            The next octets of the body, the place in `octets` up to which they are consumed, and
            whether the body has ended. What is not consumed must come again, with more behind it.
        """
        if self._at_start:
            first = octets[at : at + len(TERMINATOR)]
            if first == TERMINATOR:
                return b"", at + len(TERMINATOR), True
            if TERMINATOR.startswith(first):
                return b"", at, False
            self._at_start = False
            at += first.startswith(b".")
        dot_line = _find_dot_line(octets, at)
        if dot_line < 0:
            known = len(octets) - _held_back(octets, at)
            return octets[at:known], known, False
        end = octets.find(_END, dot_line)
        known = end + 2 if end >= 0 else len(octets) - _held_back(octets, at)
        body = octets[at:dot_line] + octets[dot_line:known].replace(b"\r\n.", b"\r\n")
        return (body, end + len(_END), True) if end >= 0 else (body, known, False)


def _find_dot_line(octets: bytes, at: int) -> int:
    """Return the place of the first CRLF with a dot behind it, or -1.

    A piece of an attachment in base64 has no dot at all, and one octet is found ten times as fast
    as three: nothing before the first dot is looked at twice.
    """
    dot = octets.find(b".", at)
    if dot < 0:
        return -1
    found = _LINE_STARTS_WITH_DOT.search(octets, max(at, dot - 2))
    return found.start() if found else -1


def _held_back(octets: bytes, at: int) -> int:
    """Return how many octets at the end may be the beginning of the end of the body."""
    for count in range(len(_END) - 1, 0, -1):
        if octets.endswith(_END[:count], at):
            return count
    return 0
