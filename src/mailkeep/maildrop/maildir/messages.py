"""The messages of one snapshot: opening their files, and what is learnt on the way.

Blocks, but for what is done `at_once`: for worker threads, several at once. A message is found
wherever its neighbours have moved it; its digest and marks are looked up by its file's stamp and
remembered when they were not known; a size that turns out wrong is counted, so that the next
session has it right.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mailkeep.maildrop.cached import NOT_CACHED, learn_promise, promises
from mailkeep.maildrop.maildir.digests import Digest, Found, KnownDigests, digests_path
from mailkeep.maildrop.maildir.folder import Folders, Maildir
from mailkeep.maildrop.maildir.listing_file import (
    forget_listing,
    listing_path,
    read_listing,
    write_listing,
)
from mailkeep.maildrop.maildir.reading import (
    PIECE_OCTETS,
    Known,
    Opened,
    Started,
    begin_at_once,
    find_out,
    read_at_once,
    start_reading,
    whole_message,
)
from mailkeep.maildrop.maildir.renewing import renew_snapshot
from mailkeep.maildrop.maildir.sizes import SizeIndex
from mailkeep.maildrop.maildir.snapshot import NOTHING, Snapshot, count_message, take_snapshot
from mailkeep.maildrop.maildir.stamps import stamp_of
from mailkeep.maildrop.seam import MessageGone, MessageUnreadable, WholeMessage
from mailkeep.values import AccountId, Index, Octets

SPENT_S = 0.02
"""How long a hop may go on reading ahead: on a disk that must seek the client waits for its own
message and a few more, not for fifty."""

_FILED_FOR = 50
"""The file is written when a fiftieth of the messages is new: a message a day in a maildrop of
100,000 does not write ten megabytes a day."""

ReadAhead = dict[Index, tuple[WholeMessage, Octets]]
"""Messages that were read to their end before anybody asked, and their sizes."""


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where what was found out about an account's messages is remembered.

    Made of the site's folder of indexes each time, because paths take much memory.
    """

    folder: Path
    account: AccountId

    @property
    def sizes(self) -> Path:
        """Sizes that had to be counted."""
        return self.folder / f"{self.account}.sizes"

    @property
    def digests(self) -> Path:
        """Digests, and what was found out with them."""
        return digests_path(self.folder, self.account)

    @property
    def listing(self) -> Path:
        """The snapshot of a big Maildir."""
        return listing_path(self.folder, self.account)


class Messages:
    """The messages of one snapshot.

    Args:
        maildir: where they are.
        snapshot: which they are.
        indexes: where more about them is remembered.
        unfiled: how many of them the file of the listing lacks.
        on_wrong_size: called when one is not as long as the snapshot says.
    """

    __slots__ = ("_on_wrong_size", "_unfiled", "digests", "indexes", "maildir", "snapshot")

    def __init__(
        self,
        maildir: Maildir,
        snapshot: Snapshot,
        indexes: Indexes,
        unfiled: int,
        on_wrong_size: Callable[[], None],
    ) -> None:
        self.maildir = maildir
        self.snapshot = snapshot
        self.indexes = indexes
        self.digests = KnownDigests(lambda: indexes.digests, snapshot.bases)
        self._unfiled = unfiled
        self._on_wrong_size = on_wrong_size

    @classmethod
    def recall(
        cls, maildir: Maildir, indexes: Indexes, on_wrong_size: Callable[[], None]
    ) -> "Messages":
        """Return what the file of the listing says, be it nothing; it need not be there still."""
        found = read_listing(indexes.listing)
        if found is None:
            return cls(maildir, NOTHING, indexes, 0, on_wrong_size)
        snapshot, maildir.places = found
        return cls(maildir, snapshot, indexes, 0, on_wrong_size)

    def look_again(self, go_on: Callable[[], bool]) -> "Messages":
        """Return the messages that are there now.

        Raises:
            NotInTime: `go_on` said no.
            OSError: the Maildir cannot be read.
        """
        self.maildir.reach = None  # the folders have changed, or are others
        with self.maildir.entered() as folders, SizeIndex(self.indexes.sizes) as sizes:
            snapshot = renew_snapshot(self.snapshot, folders, sizes, go_on)
            if snapshot is not None:
                changed = abs(len(snapshot.bases) - len(self.snapshot.bases)) + 1
                return self._with(snapshot, self._unfiled + changed)
            snapshot = take_snapshot(folders, sizes, go_on)
        if snapshot.names is None and self.snapshot.names is not None:
            forget_listing(self.indexes.listing)
        return self._with(snapshot, len(snapshot.bases))

    @property
    def is_worth_filing(self) -> bool:
        """Whether the file of the listing would spare the next process much."""
        snapshot = self.snapshot
        is_big = snapshot.names is not None and None not in snapshot.states
        return is_big and self._unfiled * _FILED_FOR > len(snapshot.bases)

    def file(self) -> None:
        """Write the file of the listing."""
        self._unfiled = 0
        write_listing(self.indexes.listing, self.snapshot, self.maildir.places)

    def _with(self, snapshot: Snapshot, unfiled: int) -> "Messages":
        return Messages(self.maildir, snapshot, self.indexes, unfiled, self._on_wrong_size)

    def start(
        self, index: Index, body_lines: int | None, ahead_octets: int
    ) -> tuple[WholeMessage | Started, ReadAhead]:
        """Begin to read a message, and read small ones behind it.

        Args:
            index: which.
            body_lines: what TOP asks for; `None` for the whole message.
            ahead_octets: how much behind it is worth to be read too.

        Raises:
            MessageGone: it vanished.
            MessageUnreadable: it cannot be read, or is not what was announced.
        """
        try:
            with self.maildir.entered() as folders:
                begun = self._start(folders, index, body_lines)
                return begun, self._read_ahead(folders, index, ahead_octets) if ahead_octets else {}
        except OSError as cause:
            raise MessageUnreadable(f"the folder cannot be opened: {cause}") from cause

    def _start(
        self, folders: Folders, index: Index, body_lines: int | None
    ) -> WholeMessage | Started:
        base = self.snapshot.bases[index]
        try:
            descriptor, status = folders.open_message(base)
        except FileNotFoundError as cause:
            raise MessageGone(f"{base!r} vanished") from cause
        except OSError as cause:
            raise MessageUnreadable(f"{base!r} cannot be opened: {cause}") from cause
        learn_promise(status.st_dev, descriptor)
        if promises(status.st_dev):
            folders.learn_reach(descriptor, status.st_dev)
        stamp = stamp_of(status)
        known = Known(
            self.snapshot.listing.octets(index),
            status.st_size,
            self.digests.find(index, stamp),
            partial(self._count_again, base),
            partial(self._learn, index, base, stamp),
        )
        return start_reading(descriptor, known, body_lines=body_lines)

    def at_hand(self, index: Index) -> WholeMessage | None:
        """Return a small message that the system has in memory, if it is as it is known to be.

        Never waits; called by the event loop. What is not so is found out by `start`.
        """
        opened = self._open_at_once(index, is_long=False)
        return opened and read_at_once(opened)

    def begin_at_once(self, index: Index) -> Started | None:
        """Return the first piece of a long message under the same conditions as `at_hand`."""
        opened = self._open_at_once(index, is_long=True)
        return opened and begin_at_once(opened, partial(self._count_again, opened.digest.base))

    def _open_at_once(self, index: Index, *, is_long: bool) -> Opened | None:
        """Open whatever has the name of a message of which enough is known."""
        reach = self.maildir.reach
        digest = self.digests.in_memory(index)
        if reach is None or digest is None:
            return None
        octets = self.snapshot.octets[index]
        if is_long != (octets >= PIECE_OCTETS):
            return None
        descriptor = reach.open_at_once(digest.base, self.maildir.places)
        return (
            None if descriptor == NOT_CACHED else Opened(descriptor, reach.device, octets, digest)
        )

    def _read_ahead(self, folders: Folders, index: Index, room_octets: int) -> ReadAhead:
        """Read small messages behind this one; what is wrong is told when it is asked for."""
        read: ReadAhead = {}
        until_s = time.monotonic() + SPENT_S
        for place in range(index + 1, len(self.snapshot.octets)):
            octets = self.snapshot.octets[place]
            room_octets -= octets
            if room_octets < 0 or octets >= PIECE_OCTETS or time.monotonic() > until_s:
                break
            message = self._read_short(folders, Index(place), octets)
            if message is None:
                break
            read[Index(place)] = message, Octets(octets)
        return read

    def _read_short(self, folders: Folders, index: Index, octets: int) -> WholeMessage | None:
        """Return a short message, if there is nothing to be told of it but its octets."""
        base = self.snapshot.bases[index]
        try:
            stored, stamp = folders.read_message(base, octets)  # its wire form is no shorter
        except OSError:
            return None
        digest = self.digests.find(index, stamp)
        if digest is None:
            return find_out(stored, octets, partial(self._learn, index, base, stamp))
        return whole_message(stored, octets, digest)

    def _learn(self, index: Index, base: bytes, stamp: bytes, found: Found) -> None:
        # A file that changes while it is read has another stamp then: this one finds nobody.
        self.digests.learn(index, Digest.found(base, stamp, found))

    def _count_again(self, base: bytes) -> None:
        """Remember what the name or the index had wrong, so that the next session has it right."""
        self._on_wrong_size()
        forget_listing(self.indexes.listing)
        with (
            contextlib.suppress(OSError),
            self.maildir.entered() as folders,
            SizeIndex(self.indexes.sizes) as index,
        ):
            index.remember([count_message(folders, base)])
