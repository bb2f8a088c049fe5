"""The seam of a destination: where messages are put, and when they are safe there.

A message goes through `open` (a writer that takes its octets), and `commit` makes a batch of
finished writers durable at once, so that a disk is waited for once a batch. Only what `commit`
answered with `Stored` is safe.

Which message it is says its `Slot`: the token is derived from account, unique-id and generation
(see `mailkeep.fetch.names`), so that after a crash `find` tells what is already there. The caller
has journalled the token before the first octet is asked for.

Everything here blocks; it is called from one thread of the disk's, one call at a time. Only
`Writer.write` is called from the event loop: it must be quick (memory, page cache).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class DestinationUnavailable(Exception):
    """Nothing can be stored here now (disk full, permission, folder gone); the run ends.

    Attributes:
        hint: the next step, if one is known.
    """

    def __init__(self, text: str, *, hint: str | None = None) -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Slot:
    """Which message, for a destination that names files.

    Attributes:
        token: 33 characters, `K` and 32 lower-case hexadecimal digits; unique for account,
            unique-id, ordinal and generation, and the same after a crash.
        listed_at: when it was first listed, in seconds since 1970; journalled, so it stays.
        place: its place in the mailbox then, from 1; keeps the order within one second.
    """

    token: str
    listed_at: int
    place: int


@dataclass(frozen=True, slots=True)
class Found:
    """A message that is already in a destination, whole.

    Attributes:
        where: what a person would look for: a path.
        octets: of the message as it was received.
        sha256: of those octets, 32 octets long.
        header_sha256: see `mailkeep.fetch.received.Received`.
    """

    where: str
    octets: int
    sha256: bytes
    header_sha256: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """`commit` made it durable; `where` is what a person would look for."""

    where: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """This destination does not take this message now; others may be fine.

    Attributes:
        reason: for people; may hold untrusted text.
    """

    reason: str


class Writer(Protocol):
    """One message on its way in; nothing of it counts before `Destination.commit`."""

    def write(self, octets: bytes) -> None:
        """Take the next octets.

        Raises:
            DestinationUnavailable: they cannot be kept.
        """

    def abandon(self) -> None:
        """Remove every trace of the message. Never raises; safe to call twice."""


class Destination(Protocol):
    """A place for messages."""

    @property
    def name(self) -> str:
        """Its name in the journal and in reports, the same in every run: `maildir:/home/a/Mail`."""

    @property
    def is_exactly_once(self) -> bool:
        """Whether a crash can never double a message here (a pipe and LMTP cannot promise it)."""

    def prepare(self, *, is_known: bool) -> None:
        """Make what is missing of the place, durably, and see that it can be written.

        Args:
            is_known: the journal says that messages were stored here before, so a place that is
                missing or empty of its own marks has vanished (unmounted, moved) and is not made
                anew.

        Raises:
            DestinationUnavailable: it has vanished, or may not be written.
        """

    def recover(self, mark: int | None) -> list[str]:
        """Undo what a crashed run left half done.

        Args:
            mark: the last one journalled; see `begin_batch`.

        Returns:
            lines for people: what could not be undone. Usually none.

        Raises:
            DestinationUnavailable: it cannot be looked at.
        """

    def find(self, tokens: Collection[str]) -> Mapping[str, Found]:
        """Return those of these messages that are here, whole and durable.

        Raises:
            DestinationUnavailable: it cannot be looked at.
        """

    def iterate(self) -> Iterator[Found]:
        """Yield every message here, whoever stored it, for `state rebuild`.

        Raises:
            DestinationUnavailable: it cannot be read back (a pipe, LMTP).
        """

    def open(self, slot: Slot) -> Writer:
        """Begin a message.

        Raises:
            DestinationUnavailable: it cannot.
        """

    def begin_batch(self) -> int | None:
        """Get ready to commit, with a lock if there is one, and return what to journal before.

        An mbox returns its length: `recover` cuts it back to that. Others return None.

        Raises:
            DestinationUnavailable: somebody else holds the lock for too long.
        """

    def commit(self, batch: Sequence[Writer]) -> list[Stored | Refusal]:
        """Make these messages durable, in their order; one outcome each.

        Raises:
            DestinationUnavailable: nothing is known of any of the batch: all of it counts as not
                stored, and the run ends.
        """

    def end_batch(self) -> int | None:
        """Return the mark to journal together with the rows, and let the lock go. Never raises."""

    def close(self) -> None:
        """Let everything go. Never raises."""
