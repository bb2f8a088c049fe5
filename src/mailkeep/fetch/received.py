"""What is learned of a message while it arrives: its length and its hashes, piece by piece.

Two hashes: of all octets, and of the header alone, which TOP can ask for without the body. Both are
of octets as they came, unstuffed, nothing decoded.
"""

import hashlib
from dataclasses import dataclass

_EMPTY_LINE = b"\r\n\r\n"
_HEADER_LIMIT_OCTETS = 1 << 20
"""A header longer than this is hashed up to here: TOP and RETR are cut at the same place."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that has arrived whole.

    Attributes:
        octets: its length, unstuffed.
        sha256: of all its octets.
        header_sha256: of the octets up to and with the first empty line (all, where there is none).
    """

    octets: int
    sha256: bytes
    header_sha256: bytes


class Receiving:
    """Counts and hashes one message."""

    __slots__ = ("_hash", "_header", "_header_hash", "octets")

    def __init__(self) -> None:
        self.octets = 0
        self._hash = hashlib.sha256()
        self._header: bytes | None = b""  # None once its end was seen
        self._header_hash = b""

    def feed(self, octets: bytes) -> None:
        """Take the next octets."""
        self.octets += len(octets)
        self._hash.update(octets)
        if self._header is not None:
            self._look_for_the_end(self._header + octets)

    def finish(self) -> Received:
        """Return what was learned."""
        if self._header is not None:
            self._end_header(self._header)
        return Received(self.octets, self._hash.digest(), self._header_hash)

    def _look_for_the_end(self, text: bytes) -> None:
        if text.startswith(b"\r\n"):
            self._end_header(text[:2])
        elif (end := text.find(_EMPTY_LINE, 0, _HEADER_LIMIT_OCTETS)) >= 0:
            self._end_header(text[: end + len(_EMPTY_LINE)])
        elif len(text) >= _HEADER_LIMIT_OCTETS:
            self._end_header(text[:_HEADER_LIMIT_OCTETS])
        else:
            self._header = text

    def _end_header(self, header: bytes) -> None:
        self._header_hash = hashlib.sha256(header).digest()
        self._header = None


class HeaderPart:
    """Cuts off what stands behind a header: a server may answer TOP with all it has (S-49)."""

    __slots__ = ("_before", "_has_ended")

    def __init__(self) -> None:
        self._before = b"\r\n"  # an empty line at once ends a header of nothing
        self._has_ended = False

    def cut(self, octets: bytes) -> bytes:
        """Return what of the next octets belongs to the header, its empty line included."""
        if self._has_ended:
            return b""
        text = self._before + octets
        end = text.find(_EMPTY_LINE)
        self._has_ended = end >= 0
        kept = octets if end < 0 else octets[: end + len(_EMPTY_LINE) - len(self._before)]
        self._before = text[-3:]
        return kept


def receive_whole(octets: bytes) -> Received:
    """Return what is to know of a message that is all there."""
    receiving = Receiving()
    receiving.feed(octets)
    return receiving.finish()
