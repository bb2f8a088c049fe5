"""What a session sees of a mailbox, whoever keeps the mail.

A store opens a maildrop as an exclusive snapshot (RFC 1939 section 4): the messages that are there
now, in an order and with sizes that do not change, however the mailbox changes meanwhile. Nothing
is removed before `commit`. A store knows no protocol: it raises the errors below and the server
turns them into replies.

Errors:
    MaildropError
        MaildropBusy            somebody else holds the lease
        MaildropUnavailable     it cannot be opened now; trying again later may help
        MessageGone             the message vanished after the snapshot was taken
        MessageUnreadable       the message is there and cannot be read as it was announced
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mailkeep.maildrop.listing import Listing
from mailkeep.values import AccountId, Address, Index, Uidl


class MaildropError(Exception):
    """What went wrong, in words for the operator; never sent to a client."""


class MaildropBusy(MaildropError):
    """Somebody else holds the lease."""


class MaildropUnavailable(MaildropError):
    """The maildrop cannot be opened now; trying again later may help."""


class MessageGone(MaildropError):
    """The message vanished after the snapshot was taken."""


class MessageUnreadable(MaildropError):
    """The message is there and cannot be read, or is not what was announced."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What a commit did with each message it was asked to remove."""

    removed: tuple[Uidl, ...]
    """Gone, durably."""
    gone: tuple[Uidl, ...]
    """Were gone already: somebody else had removed them."""
    failed: tuple[Uidl, ...]
    """Still there, or not known to be gone durably."""


class Body(Protocol):
    """One message on its way out, in wire form, piece by piece."""

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the whole message in wire form, in hexadecimal digits, whatever TOP cuts off.

        Known when the last piece was returned, at the latest; often before. It is worked out once
        in a message's life and remembered. `None` before it is known, and where it cannot be found
        out (a message that changes, or breaks off, while it is read).
        """

    @property
    def is_dot_free(self) -> bool:
        """Whether it is known that no line of the message begins with a dot (see RFC 1939 section
        3): then nothing of what is returned has to be stuffed. False says nothing.
        """

    async def next_piece(self) -> bytes:
        """Return the next octets of the wire form (not stuffed), `b""` at the end.

        Raises:
            MessageUnreadable: reading failed, or more or fewer octets came than were announced.
                What was returned until then must not be ended as if it were whole.
        """

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""


class WholeMessage(NamedTuple):
    """One message in wire form, with nothing left to wait for (see `Maildrop.at_hand`)."""

    octets: bytes
    """All of it, not stuffed; few enough to go out in one write."""
    sha256: str | None
    """See `Body.sha256`."""
    dots: Sequence[int] | None
    """Where lines begin with a dot, counted in octets; None if that is not known."""

    @property
    def is_dot_free(self) -> bool:
        """See `Body.is_dot_free`."""
        return self.dots is not None and not self.dots


class Maildrop(Protocol):
    """One open maildrop: a snapshot, and the lease on it until `close`.

    A call may be begun outside of a task: until its first wait it must not ask for its task, as
    `asyncio.timeout` does.
    """

    @property
    def listing(self) -> Listing:
        """The messages, oldest first."""

    async def read(self, index: Index, *, body_lines: int | None = None) -> Body:
        """Open a message, so that a failure is known before anything was promised.

        Args:
            index: its place in the listing.
            body_lines: what TOP asks for: the header, the empty line and this many lines of the
                body (RFC 1939 section 7); `None` for the whole message.

        Raises:
            MessageGone: it vanished.
            MessageUnreadable: it cannot be opened.
        """

    def at_hand(self, index: Index) -> WholeMessage | None:
        """Return a message that can be had now: one that is small, known and in memory.

        It never waits and never raises. `None` says nothing of the message, not even that there is
        one: `read` does, and does not try again what was tried here. After `close` nothing is at
        hand.

        Args:
            index: its place in the listing.
        """

    def is_internationalised(self, index: Index) -> bool:
        """Tell whether a message was marked at its delivery as one that came with SMTPUTF8.

        Only such a message may be kept from a client that does not understand it (RFC 6856 section
        5); octets above 127 alone say nothing, since old mail has them too. Takes no time.
        """

    async def commit(self, deleted: Collection[Uidl]) -> Removal:
        """Remove exactly these messages and return when that is durable. Called at most once.

        What cannot be removed does not keep the rest from being removed. A crash in between may
        leave any part of `deleted` and never touches another message.

        Raises:
            MaildropUnavailable: the lease was lost, and nothing was removed.
        """

    async def close(self) -> None:
        """Release the lease. Never raises; safe to call twice."""


class MaildropStore(Protocol):
    """Where the maildrops of a site are kept."""

    async def open(self, account: AccountId, address: Address, *, timeout_s: float) -> Maildrop:
        """Take the lease and the snapshot.

        Cancelling this call releases the lease, at once or when the work under way ends.

        Args:
            account: whose lease.
            address: whose mail.
            timeout_s: seconds of work after which to give up; what was learnt is kept for the next
                try.

        Raises:
            MaildropBusy: somebody else holds the lease; nothing else was looked at.
            MaildropUnavailable: it cannot be opened now.
        """
