"""What a fetch tells while it runs: frozen events, for a progress bar, plain lines or JSON.

Texts from a server are untrusted; whoever shows them makes them printable. Field names are those of
the JSON output (`docs/fetch-events.md`), so a name stays when it was published.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Why(Enum):
    """Why a message is treated as it is; the plan's reasons, in words that a user reads."""

    NEW = "new"
    AGAIN = "the last try did not finish"
    REUSED = "the server gave an old unique-id to another message"
    WHOLE_NOW = "only its header was stored before"
    STORED = "already stored"
    BEFORE_FIRST_RUN = "was there before the first run"
    TOO_LARGE = "larger than the limit"
    QUARANTINED = "failed too often"
    POLICY_DELETE = "stored, and delete is on"
    POLICY_AGE = "stored long enough ago"
    POLICY_NEWEST = "not among the newest"
    SUSPECT = "arrived shorter than announced, so it is not deleted"
    TWIN = "another message has the same unique-id, so it is not deleted"
    CLOCK = "the clock jumped, so nothing is deleted by age in this run"


@dataclass(frozen=True, slots=True)
class Connected:
    """TLS is up and the greeting came.

    Attributes:
        tls: "TLSv1.3", or None for clear text.
    """

    host: str
    port: int
    tls: str | None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The maildrop is open; `mechanism` says how the password went."""

    mechanism: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made: counts, and the octets that LIST announced."""

    messages: int
    fetch: int
    fetch_octets: int
    delete: int
    skip: int


@dataclass(frozen=True, slots=True)
class Progress:
    """More has arrived: totals of this run so far."""

    messages: int
    octets: int


@dataclass(frozen=True, slots=True)
class MessageStored:
    """A message is safe in all destinations."""

    uidl: bytes
    octets: int
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageAdopted:
    """A message was already here (a crash, a migration); it was not stored again."""

    uidl: bytes
    octets: int


@dataclass(frozen=True, slots=True)
class MessageFailed:
    """A message could not be fetched or stored; the others go on."""

    uidl: bytes
    reason_untrusted: str
    failures: int
    quarantined: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """QUIT was answered: so many messages are gone from the server."""

    messages: int


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a user should know and that ends nothing."""

    text_untrusted: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The account is done.

    Attributes:
        code: see `mailkeep.fetch.failures.FetchExit`.
        error_untrusted, hint: what went wrong, or None.
        unsettled: deleted, but QUIT was not answered; the next run finds out.
    """

    code: int
    fetched: int
    octets: int
    adopted: int
    failed: int
    deleted: int
    unsettled: int
    seconds: float
    error_untrusted: str | None = None
    hint: str | None = None


Event = (
    Connected
    | LoggedIn
    | Planned
    | Progress
    | MessageStored
    | MessageAdopted
    | MessageFailed
    | Deleted
    | Warned
    | Ended
)


class Reporter(Protocol):
    """Who is told."""

    def __call__(self, account: str, event: Event, /) -> None:
        """Take note of an event of an account; must be quick and never raise."""
