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

    __slots__ = ("_octets", "_searched")

    def __init__(self) -> None:
        self._octets = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        return len(self._octets)

    def receive(self, octets: bytes) -> None:
        """Take what the peer sent."""
        self._octets += octets

    def starts_with(self, keyword: bytes) -> bool:
        """Tell whether the waiting line begins with `keyword` (upper case), in any case."""
        return self._octets[: len(keyword)].upper() == keyword

    def next_line(self, limit: int) -> bytes | None:
        """Return the next line without its ending, or None while it is incomplete.

        Args:
            limit: octets that the line may have, its ending included.

        Raises:
            LineTooLong: it has more. The stream cannot be read on.
        """
        end = self._octets.find(b"\n", self._searched, limit)
        if end < 0:
            if len(self._octets) >= limit:
                raise LineTooLong
            self._searched = len(self._octets)
            return None
        line = bytes(self._octets[:end])
        del self._octets[: end + 1]
        self._searched = 0
        return line.removesuffix(b"\r")
