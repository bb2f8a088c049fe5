"""What `doctor` says: one line a finding, and how to mend what is wrong."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    """Works, and may not be what was meant."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """The same word each time: `settings`, `owner`, `folder`, `database`, ..."""
    level: Level
    text: str
    hint: str | None = None


def ok(check: str, text: str) -> Finding:
    """Return a finding about something that is as it should be."""
    return Finding(check, Level.OK, text)


def note(check: str, text: str, hint: str | None = None) -> Finding:
    """Return a finding that works and may not be what was meant."""
    return Finding(check, Level.NOTE, text, hint)


def wrong(check: str, text: str, hint: str | None = None) -> Finding:
    """Return a finding that has to be mended."""
    return Finding(check, Level.WRONG, text, hint)
