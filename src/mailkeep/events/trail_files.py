"""The files of the audit trail: what they are called, reading their lines from either end.

It knows lines and not what they say. Nothing is held but a line: a trail may be many gigabytes.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LINE_LIMIT_OCTETS = 1 << 20
"""Longer than any event: a trace is cut long before. Whatever is longer is no record."""

_BLOCK_OCTETS = 1 << 16
_NAME = re.compile(r"([0-9]{6,})\.jsonl")


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line of a file.

    Attributes:
        octets: without the line's end.
        offset: where it begins.
        is_whole: the line's end is there; without it a crash tore it, or it is being written.
    """

    octets: bytes
    offset: int
    is_whole: bool

    @property
    def end(self) -> int:
        """Where the next line begins."""
        return self.offset + len(self.octets) + self.is_whole


def file_of(folder: Path, number: int) -> Path:
    """Return the path of a file by its number, from 1."""
    return folder / f"{number:06}.jsonl"


def numbered_files(folder: Path) -> list[tuple[int, Path]]:
    """Return the files that are there with their numbers, oldest first.

    Raises:
        OSError: the folder cannot be read.
    """
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in named if match)


def lines_of(path: Path, *, offset: int = 0) -> Iterator[RawLine]:
    """Yield a file's lines from the first to the last, which may be torn.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        file.seek(offset)
        while octets := file.readline(LINE_LIMIT_OCTETS):
            is_whole = octets.endswith(b"\n")
            yield RawLine(octets.removesuffix(b"\n"), offset, is_whole)
            offset += len(octets)


def lines_backwards(path: Path) -> Iterator[RawLine]:
    """Yield a file's lines from the last, which may be torn, to the first.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest, is_whole = b"", False
        while position:
            length = min(_BLOCK_OCTETS, position)
            position -= length
            file.seek(position)
            rest, *later = (file.read(length) + rest).split(b"\n")
            offset = position + len(rest) + 1 + sum(len(line) + 1 for line in later)
            for line in reversed(later):
                offset -= len(line) + 1
                if line or is_whole:
                    yield RawLine(line, offset, is_whole)
                is_whole = True
        if rest or is_whole:
            yield RawLine(rest, 0, is_whole)
