"""A store that keeps mail in memory: for tests, for trials, and as the shortest true example.

It keeps every promise of the seam but durability. Everything happens on the event loop and nothing
waits, so it must not hold more than fits.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count

from mailkeep.maildrop.listing import Listing
from mailkeep.maildrop.seam import (
    MaildropBusy,
    MaildropUnavailable,
    MessageGone,
    Removal,
    WholeMessage,
)
from mailkeep.message import TopCut
from mailkeep.message import wire_form as wire_form  # noqa: PLC0414  # who fills it compares
from mailkeep.values import AccountId, Address, Index, Octets, Uidl

PIECE_OCTETS = 1 << 16
"""So that a message of some hundred KiB goes out in several pieces, as from a disk."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it was delivered."""

    wire: bytes
    sha256: str
    internationalised: bool


class MemoryStore:
    """The mail of any number of accounts; other programs' hands are `put` and `remove`."""

    def __init__(self) -> None:
        self._stored: defaultdict[AccountId, dict[Uidl, Stored]] = defaultdict(dict)
        self._leased: set[AccountId] = set()
        self._numbers = count(1)

    def put(self, account: AccountId, stored: bytes, *, is_internationalised: bool = False) -> Uidl:
        """Deliver a message, whoever has the maildrop open, and return its unique-id."""
        uidl = Uidl(b"m%d" % next(self._numbers))
        wire = wire_form(stored)
        sha256 = hashlib.sha256(wire).hexdigest()
        self._stored[account][uidl] = Stored(wire, sha256, is_internationalised)
        return uidl

    def remove(self, account: AccountId, uidl: Uidl) -> None:
        """Remove a message as a neighbour would, whoever has the maildrop open.

        Raises:
            KeyError: there is no such message.
        """
        del self._stored[account][uidl]

    def uidls(self, account: AccountId) -> list[Uidl]:
        """Return what is there now, oldest first."""
        return list(self._stored[account])

    async def open(
        self,
        account: AccountId,
        address: Address,  # noqa: ARG002  # a store on disk finds the mail by it
        *,
        timeout_s: float,  # noqa: ARG002  # nothing here takes time
    ) -> "OpenMemory":
        """Take the lease and the snapshot (see `MaildropStore.open`)."""
        if account in self._leased:
            raise MaildropBusy(f"account {account} has a session")
        self._leased.add(account)
        return OpenMemory(account, self._stored[account], self._leased)


class OpenMemory:
    """One open maildrop (see `Maildrop`)."""

    def __init__(
        self, account: AccountId, stored: dict[Uidl, Stored], leased: set[AccountId]
    ) -> None:
        self._account = account
        self._stored = stored
        self._leased = leased
        self._closed = False
        self._committed = False
        self.listing = Listing(
            (uidl, Octets(len(message.wire))) for uidl, message in stored.items()
        )
        self._internationalised = {
            Index(place)
            for place, message in enumerate(stored.values())
            if message.internationalised
        }

    async def read(self, index: Index, *, body_lines: int | None = None) -> "MemoryBody":
        """Open a message (see `Maildrop.read`)."""
        stored = self._stored.get(self.listing.uidl(index))
        if stored is None:
            raise MessageGone(f"message {index} vanished")
        wire = stored.wire
        sent = wire if body_lines is None else TopCut(body_lines).feed(wire)
        return MemoryBody(sent, stored.sha256)

    def at_hand(self, index: Index) -> WholeMessage | None:
        """Return a message that goes out in one piece (see `Maildrop.at_hand`)."""
        if self._closed or not 0 <= index < len(self.listing):
            return None
        stored = self._stored.get(self.listing.uidl(index))
        if stored is None or len(stored.wire) > PIECE_OCTETS:
            return None
        return WholeMessage(stored.wire, stored.sha256, dots=None)

    def is_internationalised(self, index: Index) -> bool:
        """Tell what was said at delivery (see `Maildrop.is_internationalised`)."""
        self.listing.octets(index)  # an index that is none is an IndexError
        return index in self._internationalised

    async def commit(self, deleted: Collection[Uidl]) -> Removal:
        """Remove exactly these messages (see `Maildrop.commit`)."""
        if self._closed:
            raise MaildropUnavailable("the lease was given back")
        if self._committed:
            raise RuntimeError("a session commits once")
        self._committed = True
        places = map(Index, range(len(self.listing)))
        asked = [uidl for uidl in map(self.listing.uidl, places) if uidl in deleted]
        if unknown := set(deleted) - set(asked):
            raise ValueError(f"not in the listing: {unknown}")
        removed = tuple(uidl for uidl in asked if self._stored.pop(uidl, None) is not None)
        gone = tuple(uidl for uidl in asked if uidl not in removed)
        return Removal(removed=removed, gone=gone, failed=())

    async def close(self) -> None:
        """Give the lease back (see `Maildrop.close`)."""
        if not self._closed:
            self._closed = True
            self._leased.discard(self._account)


class MemoryBody:
    """A message on its way out (see `Body`)."""

    def __init__(self, wire: bytes, sha256: str) -> None:
        self._wire = wire
        self._sent = 0
        self.sha256: str | None = sha256
        """Of the whole message, whatever of it is sent."""
        self.is_dot_free = False
        """Nobody looked."""

    async def next_piece(self) -> bytes:
        """Return the next octets, `b""` at the end (see `Body.next_piece`)."""
        piece = self._wire[self._sent : self._sent + PIECE_OCTETS]
        self._sent += len(piece)
        return piece

    def close(self) -> None:
        """Let go of the message."""
        self._wire = b""
