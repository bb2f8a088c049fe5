"""Reading an mbox back: where its messages are, whether ours are whole, and what a crash has torn.

Works on an open descriptor under the lock of `mailkeep.fetch.destinations.mbox_locks`, in constant
memory. It changes nothing: where to cut it only says.
"""

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from mailkeep.fetch.destinations.mboxrd import (
    Separator,
    Unquoter,
    end_of,
    may_be_torn_separator,
    read_separator,
)
from mailkeep.fetch.destinations.temporary import PIECE_OCTETS
from mailkeep.fetch.received import Received, Receiving

_LINE_LIMIT_OCTETS = 4096
"""For a separator of anybody's: ours have 110."""

_FROM = b"\nFrom "
_ANY_SEPARATOR = re.compile(
    rb"From [^\n]{1,300}(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct"
    rb"|Nov|Dec) "
)
_OVERLAP_OCTETS = 400


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in the file.

    Attributes:
        start: where its separator begins.
        body: where its octets begin.
        end: where the next message begins, or the end of the file.
        separator: what ours says; None for another program's.
        line: the separator's octets.
    """

    start: int
    body: int
    end: int
    separator: Separator | None
    line: bytes


class Condition(Enum):
    """What has become of a message of ours."""

    WHOLE = "as it was written"
    SHORT = "its end is missing"
    CHANGED = "another program has changed it"


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands behind the mark.

    Attributes:
        cut_at: where to cut off what a crash has torn, or None.
        pieces: where torn messages begin that cannot be cut off, as another's mail follows.
    """

    cut_at: int | None = None
    pieces: tuple[int, ...] = ()


def entries(descriptor: int, start: int, end: int) -> Iterator[Entry]:
    """Yield the messages of a part of the file.

    Raises:
        OSError: it cannot be read.
    """
    previous: int | None = None
    for offset in _separators(descriptor, start, end):
        if previous is not None:
            yield _entry(descriptor, previous, offset)
        previous = offset
    if previous is not None:
        yield _entry(descriptor, previous, end)


def read_own(descriptor: int, entry: Entry) -> tuple[Condition, Received, bytes]:
    """Read a message of ours.

    Returns:
        its condition, what is to know of it if it is whole, and the first octets behind it that do
        not belong to it.

    Raises:
        OSError: it cannot be read.
    """
    if entry.separator is None:
        raise ValueError("another program's message")
    left, crc, receiving, last, rest = entry.separator.octets, 0, Receiving(), b"", b""
    for text in _unquoted(descriptor, entry.body, entry.end):
        content = text[:left]
        left -= len(content)
        crc = zlib.crc32(content, crc)
        receiving.feed(content)
        last = content[-1:] or last
        rest = (rest + text[len(content) :])[:8]
    end = end_of(last)
    received = receiving.finish()
    if left or (rest != end and end.startswith(rest)):
        return Condition.SHORT, received, b""
    if crc != entry.separator.crc or not rest.startswith(end):
        return Condition.CHANGED, received, b""
    return (Condition.WHOLE if rest == end else Condition.CHANGED), received, rest[len(end) :]


def read_any(descriptor: int, entry: Entry) -> Received:
    """Read a message, whoever wrote it, without the empty line at its end.

    Raises:
        OSError: it cannot be read.
    """
    if entry.separator:
        condition, received, _ = read_own(descriptor, entry)
        if condition is Condition.WHOLE:
            return received
    last = os.pread(descriptor, 4, max(entry.body, entry.end - 4))
    end = entry.end
    if last.endswith(b"\r\n\r\n"):
        end -= 2
    elif last.endswith(b"\n\n") or entry.end - entry.body == 1:
        end -= 1
    receiving = Receiving()
    for text in _unquoted(descriptor, entry.body, end):
        receiving.feed(text)
    return receiving.finish()


def judge_tail(descriptor: int, mark: int, size: int) -> Tail:
    """Tell what a run that crashed has torn behind the mark.

    Whole messages stay, ours and others': `find` tells the next run which of them it has. Nothing
    is cut that might be another program's: if anything of theirs can be seen behind a torn message,
    or the file has been rewritten since the mark was taken, all stays.

    Raises:
        OSError: it cannot be read.
    """
    first = next(_separators(descriptor, mark, size), size)
    between = os.pread(descriptor, min(first - mark, 200), mark)
    torn = between.lstrip(b"\n")
    if first - mark > len(between) or between.count(b"\n") > 2:  # see end_of
        return Tail()
    if torn:
        is_ours = first == size and may_be_torn_separator(torn)
        return Tail(cut_at=size - len(torn) if is_ours else None)
    pieces: list[int] = []
    cut_at: int | None = None
    for entry in entries(descriptor, first, size):
        if cut_at is not None:
            pieces.append(cut_at)
        cut_at = _torn_from(descriptor, entry)
    if cut_at is not None and _may_hold_foreign_mail(descriptor, cut_at, size):
        pieces.append(cut_at)
        cut_at = None
    return Tail(cut_at, tuple(pieces))


def _torn_from(descriptor: int, entry: Entry) -> int | None:
    """Return where a message of ours was torn, None if it was not or is another's."""
    if may_be_torn_separator(entry.line):
        return entry.start
    if entry.separator is None:
        return None
    condition, _, rest = read_own(descriptor, entry)
    if condition is Condition.SHORT:
        return entry.start
    if rest and may_be_torn_separator(rest):
        return entry.end - len(rest)
    return None


def _may_hold_foreign_mail(descriptor: int, start: int, end: int) -> bool:
    """Tell whether another program may have written behind a torn message of ours.

    It may have continued in the torn line; or a mail program has shortened the message, and then
    it ends with an empty line, as those write it.
    """
    if os.pread(descriptor, 2, max(start, end - 2)) == b"\n\n":
        return True
    offset, text = start + 1, b""
    while offset < end and (piece := os.pread(descriptor, min(PIECE_OCTETS, end - offset), offset)):
        text = text[-_OVERLAP_OCTETS:] + piece
        offset += len(piece)
        if _ANY_SEPARATOR.search(text):
            return True
    return False


def _separators(descriptor: int, start: int, end: int) -> Iterator[int]:
    """Yield where a line begins with `From `."""
    text = b"\n" if start == 0 else os.pread(descriptor, 1, start - 1)
    offset = start
    while offset < end and (piece := os.pread(descriptor, min(PIECE_OCTETS, end - offset), offset)):
        text += piece
        offset += len(piece)
        found = text.find(_FROM)
        while found >= 0:
            yield offset - len(text) + found + 1
            found = text.find(_FROM, found + 1)
        text = text[1 - len(_FROM) :]


def _entry(descriptor: int, start: int, end: int) -> Entry:
    text = os.pread(descriptor, min(_LINE_LIMIT_OCTETS, end - start), start)
    line = text[: text.find(b"\n") + 1] or text
    return Entry(start, start + len(line), end, read_separator(line), line)


def _unquoted(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    unquoter, offset = Unquoter(), start
    while offset < end and (piece := os.pread(descriptor, min(PIECE_OCTETS, end - offset), offset)):
        offset += len(piece)
        yield unquoter.feed(piece)
    yield unquoter.finish()
