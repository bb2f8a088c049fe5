"""The mboxrd form: what stands between messages, and how a line that looks like it is quoted.

Pure: octets in, octets out. A message is

    From mailkeep-TOKEN.OCTETS.CRC@localhost Wed May  1 12:00:00 2024 LF
    its octets as they came, one `>` before every line that matches `>*From ` LF is a line's end
    LF, if the last octet was none; LF

so that reading it back gives the same octets again, whatever they were: OCTETS tells how long it
was, CRC (CRC-32, eight hexadecimal digits) whether all of it is there. Lines end as they came, with
CRLF; only the separator and the empty line have LF.

Known limit: programs that write mboxo or mboxcl do not quote in this way, and their messages are
read as mboxrd.
"""

import re
import time
from dataclasses import dataclass

_QUOTABLE = re.compile(rb"\n(>*From )")
_QUOTED = re.compile(rb"\n(>*)>From ")
_SEPARATOR = re.compile(
    rb"From mailkeep-(K[0-9a-f]{32})\.([0-9]{1,18})\.([0-9a-f]{8})@localhost [^\n]{1,40}\n"
)
_TEMPLATE_START = b"From mailkeep-K"
_BEGINNINGS = frozenset({b"", b"F", b"Fr", b"Fro", b"From"})


@dataclass(frozen=True, slots=True)
class Separator:
    """The line before a message of ours.

    Attributes:
        octets: of the message as it came.
        crc: CRC-32 of them.
    """

    token: str
    octets: int
    crc: int

    def line(self, listed_at: int) -> bytes:
        """Return the line; the date is asctime(3)'s, in UTC, whatever the locale."""
        date = time.asctime(time.gmtime(listed_at))
        return (
            f"From mailkeep-{self.token}.{self.octets}.{self.crc:08x}@localhost {date}\n".encode()
        )


def read_separator(line: bytes) -> Separator | None:
    """Return what a separator of ours says, or None for another's."""
    found = _SEPARATOR.fullmatch(line)
    return found and Separator(found[1].decode(), int(found[2]), int(found[3], 16))


def may_be_torn_separator(text: bytes) -> bool:
    """Tell whether a separator of ours may have been torn off to this."""
    return b"\n" not in text and (
        _TEMPLATE_START.startswith(text) or text.startswith(_TEMPLATE_START)
    )


def end_of(last_octet: bytes) -> bytes:
    """Return what follows a message in the file: its missing line end and the empty line.

    Args:
        last_octet: the message's last, or nothing for an empty one.
    """
    return b"\n" if last_octet in {b"", b"\n"} else b"\n\n"


class Quoter:
    """Quotes one message, piece by piece."""

    __slots__ = ("_at_start", "_held")

    def __init__(self) -> None:
        self._at_start = True  # of a line, or behind its `>`s
        self._held = b""  # of "From", until the next octet decides

    def feed(self, piece: bytes) -> bytes:
        """Return the next octets of the file."""
        text = self._held + piece
        if self._at_start:  # the `>` may stand before or behind those that are written already
            text = _QUOTABLE.sub(rb"\n>\1", b"\n" + text)[1:]
        else:
            text = _QUOTABLE.sub(rb"\n>\1", text)
        start = _line_start(text, at_start=self._at_start)
        self._at_start = start in _BEGINNINGS
        self._held = start if self._at_start and start is not None else b""
        return text[: len(text) - len(self._held)]

    def finish(self) -> bytes:
        """Return what was held back."""
        return self._held


class Unquoter:
    """Undoes `Quoter`, piece by piece."""

    __slots__ = ("_at_start", "_held")

    def __init__(self) -> None:
        self._at_start = True
        self._held = b""  # the last `>` of a line's beginning, and what follows of "From"

    def feed(self, piece: bytes) -> bytes:
        """Return the next octets of the message."""
        text = self._held + piece
        if self._at_start:
            text = _QUOTED.sub(rb"\n\1From ", b"\n" + text)[1:]
        else:
            text = _QUOTED.sub(rb"\n\1From ", text)
        start = _line_start(text, at_start=self._at_start)
        self._at_start = start in _BEGINNINGS
        self._held = b""
        if self._at_start and start is not None:
            ends_quoted = text[: len(text) - len(start)].endswith(b">")
            self._held = (b">" if ends_quoted else b"") + start
        return text[: len(text) - len(self._held)]

    def finish(self) -> bytes:
        """Return what was held back."""
        return self._held


def _line_start(text: bytes, *, at_start: bool) -> bytes | None:
    """Return the last line of a text without its `>`s; None if its beginning is long gone."""
    line_end = text.rfind(b"\n")
    if line_end < 0 and not at_start:
        return None
    return text[line_end + 1 :].lstrip(b">")
