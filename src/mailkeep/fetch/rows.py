"""The rows of the journal as values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.received import Received


class State(IntEnum):
    """Where a message stands; the numbers are in the database."""

    STORED = 0
    FETCHING = 1
    DELETING = 2
    """DELE was answered and QUIT was not: unknown, settled by the next listing."""
    GONE = 3
    QUARANTINED = 4
    LEFT = 5
    HEADER = 6


HEADER_ONLY = "header only"
"""The note of a row that is being fetched: what a crash leaves of it is only the header."""
SUSPECT = "suspect"
"""A row's note: it arrived much shorter than announced, so it is not deleted (S-46)."""
RECHECK = -2
"""In the place of the announced octets: of no size that a server announces, so it is checked."""
IMPORTED = "imported"
"""A row's note: another program has fetched it, so it is proved safe nowhere here."""
MANGLED = "imported, - for /"
"""The same, and the other program wrote `-` for every `/` of the unique-id (getmail)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message in the journal; the columns are those of the table."""

    id: int
    key: MessageKey
    state: State
    place: int
    listed_at: int
    announced: int | None
    octets: int | None
    sha256: bytes | None
    header_sha256: bytes | None
    stored_at: int | None
    missing_since: int | None
    failures: int
    note: str


@dataclass(frozen=True, slots=True)
class Intent:
    """A message that will be asked for; `header_only` as in `plan.Wanted`."""

    key: MessageKey
    place: int
    announced: int | None
    header_only: bool = False


@dataclass(frozen=True, slots=True)
class Intended:
    """What the journal says of a message that may be asked for; see `Row`.

    An earlier try has set the time and the place, and they stay, because a file is named by them.

    Attributes:
        was_there: an earlier try has journalled it, and some destination may have it.
    """

    id: int
    listed_at: int
    place: int
    failures: int
    was_there: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message in a batch.

    Attributes:
        id: of its row.
        received: what came.
        held: the destinations that have it now, and where.
        state: STORED if all have it, HEADER if it is only the header, QUARANTINED if it was refused
            too often, else FETCHING.
        note: `SUSPECT`, a reason, or "".
        failed: whether this try counts as a failure.
    """

    id: int
    received: Received
    held: Mapping[str, str]
    state: State
    note: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Safe:
    """A message that is durable in every destination.

    Attributes:
        id: of its row.
        stored_at: seconds since 1970.
        note: see `Row`.
    """

    id: int
    stored_at: int
    note: str
