"""Where fetched messages go: Maildir, mbox, a folder of files, a pipe, LMTP."""

from mailkeep.fetch.destinations.parsing import parse_destination
from mailkeep.fetch.destinations.seam import (
    Destination,
    DestinationUnavailable,
    Found,
    Refusal,
    Slot,
    Stored,
    Writer,
)

__all__ = [
    "Destination",
    "DestinationUnavailable",
    "Found",
    "Refusal",
    "Slot",
    "Stored",
    "Writer",
    "parse_destination",
]
