"""Lines out of a stream of octets, with a limit.

A line ends with LF, with or without CR before it, here and nowhere else: two layers that disagree
about where a line ends are how commands get smuggled past STLS.
"""


class LineTooLong(Exception):
    """The line passed its limit before it ended."""


class LineBuffer:
    """What has arrived and has not been read yet.

    It grows with every `receive`; whoever feeds it stops feeding while lines wait to be answered.
    """

    __slots__ = ("_at", "_octets", "_searched")

    def __init__(self) -> None:
        self._octets = b""
        self._at = 0
        """Where the waiting line begins; what is before it was read. Lines that came together are
        taken out without moving those behind them."""
        self._searched = 0

    def __len__(self) -> int:
        return len(self._octets) - self._at

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left, not even half a line."""
        return not self._octets

    def receive(self, octets: bytes) -> None:
        """Take what the peer sent."""
        if not self._octets:
            self._octets = octets
            return
        self._octets = self._octets[self._at :] + octets
        self._searched -= self._at
        self._at = 0

    def starts_with(self, keyword: bytes) -> bool:
        """Tell whether the waiting line begins with `keyword` (upper case), in any case."""
        return self._octets[self._at : self._at + len(keyword)].upper() == keyword

    def next_line(self, limit: int) -> bytes | None:
        """Return the next line without its ending, or None while it is incomplete.

        Args:
            limit: octets that the line may have, its ending included.

        Raises:
            LineTooLong: it has more. The stream cannot be read on.
        """
        octets, start = self._octets, self._at
        end = octets.find(b"\n", self._searched, start + limit)
        if end < 0:
            if len(self) >= limit:
                raise LineTooLong
            self._octets = octets[start:]  # an idle session keeps no lines that were read
            self._at, self._searched = 0, len(self._octets)
            return None
        behind = end + 1
        if behind == len(octets):
            self._octets = b""
            behind = 0
        self._at = self._searched = behind
        return octets[start:end].removesuffix(b"\r")
