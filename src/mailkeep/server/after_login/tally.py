"""What a session did, counted for the log."""

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Counts of one session."""

    retrieved: int = 0
    """Messages that RETR sent whole."""
    topped: int = 0
    """Messages that TOP showed."""
    octets: int = 0
    """Octets of messages in wire form, before stuffing."""
    removed: int = 0
    """Messages that QUIT removed."""
