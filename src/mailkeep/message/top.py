"""The cut that TOP makes: the header, the empty line and the first lines of the body.

It works on the wire form, in chunks cut anywhere, and keeps two octets between them. There every
LF ends a line and has its CR, so an empty line after another line is exactly LF CR LF.

Source: RFC 1939 section 7. What it leaves open: a message without an empty line is all header, one
that starts with an empty line has no header, and more lines than the body has are the whole body.
"""

from enum import Enum

_EMPTY_LINE = b"\n\r\n"


class _Part(Enum):
    HEADER = "the empty line has not come yet"
    BODY = "lines are counted"
    DONE = "all that was asked for has come"


class TopCut:
    """A resumable filter from the wire form of a message to what TOP sends of it.

    Args:
        body_lines: how many lines of the body, from 0.

    Raises:
        ValueError: it is less than 0.
    """

    __slots__ = ("_last_octets", "_lines_left", "_part")

    def __init__(self, body_lines: int) -> None:
        if body_lines < 0:
            raise ValueError(f"TOP cannot send {body_lines} lines")
        self._part = _Part.HEADER
        self._last_octets = b"\n"  # as if a line had ended: an empty first line ends the header
        self._lines_left = body_lines

    @property
    def done(self) -> bool:
        """Whether nothing more will be returned, so that reading may stop."""
        return self._part is _Part.DONE

    def feed(self, chunk: bytes) -> bytes:
        """Return the part of `chunk` that TOP sends."""
        match self._part:
            case _Part.HEADER:
                return self._feed_header(chunk)
            case _Part.BODY:
                return self._feed_body(chunk)
            case _Part.DONE:
                return b""

    def _feed_header(self, chunk: bytes) -> bytes:
        kept = len(self._last_octets)
        text = self._last_octets + chunk
        found = text.find(_EMPTY_LINE)
        if found < 0:
            self._last_octets = text[-2:]
            return chunk
        header_octets = found + len(_EMPTY_LINE) - kept
        self._part = _Part.BODY if self._lines_left else _Part.DONE
        return chunk[:header_octets] + self.feed(chunk[header_octets:])

    def _feed_body(self, chunk: bytes) -> bytes:
        lines = chunk.count(b"\n")
        if lines < self._lines_left:
            self._lines_left -= lines
            return chunk
        end = 0
        for _ in range(self._lines_left):
            end = chunk.index(b"\n", end) + 1
        self._part = _Part.DONE
        return chunk[:end]
