"""The store that serves Maildirs in place, and a session's view of one (see `MaildropStore`).

Responsible for the lease, for what runs in which thread, and for what a cancelled call leaves
behind: an opening stops at its next message and gives the lease back, a commit runs to its end and
keeps it until then. All that touches files is in the modules beside this one.
"""

import contextlib
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from mailkeep.maildrop.hops import Threads, outcome
from mailkeep.maildrop.lease import Lease, Leases
from mailkeep.maildrop.listing import Listing
from mailkeep.maildrop.maildir.ahead import Ahead, Room
from mailkeep.maildrop.maildir.digests import DigestIndex
from mailkeep.maildrop.maildir.folder import Maildir
from mailkeep.maildrop.maildir.messages import Indexes, Messages, ReadAhead
from mailkeep.maildrop.maildir.names import is_internationalised
from mailkeep.maildrop.maildir.paths import MaildirPaths
from mailkeep.maildrop.maildir.reading import FileBody, Started, WholeBody
from mailkeep.maildrop.maildir.removal import RemovedFiles, remove_messages
from mailkeep.maildrop.maildir.sizes import SizeIndex
from mailkeep.maildrop.maildir.snapshot import NotInTime
from mailkeep.maildrop.maildir.warm import Key, Warm, is_surely_there_still, is_there_still
from mailkeep.maildrop.seam import Body, MaildropUnavailable, Removal, WholeMessage
from mailkeep.values import AccountId, Address, Index, InvalidAddress, Uidl

OPENING_THREADS = 4
"""Maildrops that may be listed at once; one that has to be counted does not stop the others."""

FILE_THREADS = 8
"""Messages that may be read or removed at once: the disk's business, not the processor's."""


class MaildirStore:
    """The Maildirs of a site.

    Args:
        paths: which address has which Maildir.
        leases: of this process.
        index: the folder for remembered sizes and digests, made when it is needed.
        opening: where maildrops are opened, which may take long; threads of its own unless said.
        files: where messages are read and removed; threads of its own unless said.
        clock: seconds that only go forward.
        now_ns: the time of day, as the file system has it.
    """

    def __init__(
        self,
        paths: MaildirPaths,
        leases: Leases,
        index: Path,
        *,
        opening: Executor | None = None,
        files: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._paths = paths
        self._leases = leases
        self._index = index
        self._opening = opening or Threads(OPENING_THREADS, "opening")
        self._files = files or Threads(FILE_THREADS, "files")
        self._clock = clock
        self._now_ns = now_ns
        self._warm = Warm()
        self._shared = _Shared(self._warm, self._files, Room())

    async def open(
        self, account: AccountId, address: Address, *, timeout_s: float
    ) -> "OpenMaildir":
        """Take the lease and the snapshot (see `MaildropStore.open`).

        The seconds include the wait for a thread.
        """
        key = account, address
        lease = self._leases.acquire(account)
        seen = self._warm.find(key)
        if seen is None or not is_surely_there_still(seen):
            seen = await self._look_in_a_thread(key, lease, self._clock() + timeout_s)
        return OpenMaildir(self._shared, key, seen, lease)

    async def _look_in_a_thread(self, key: Key, lease: Lease, deadline_s: float) -> Messages:
        """Return what is there, or give the lease back when no thread needs it any more."""
        given_up = Event()

        def go_on() -> bool:
            return self._clock() < deadline_s and not given_up.is_set()

        try:
            work = self._opening.submit(self._look, key, go_on)
        except RuntimeError as cause:  # the system has no thread to spare
            lease.release()
            raise MaildropUnavailable(f"{key[1]}: {cause}") from cause
        try:
            seen = await outcome(work)
        except BaseException:
            given_up.set()
            work.add_done_callback(lambda _: lease.release())
            raise
        if seen.is_worth_filing:
            with contextlib.suppress(RuntimeError):  # no thread to spare: it is only a memory
                self._opening.submit(seen.file)
        return seen

    def list_messages(self, account: AccountId, address: Address) -> Listing:
        """Return what a session that began now would see, and learn the sizes that it would need.

        It takes no lease: an operator who looks must not lock the owner out. Blocks.

        Raises:
            MaildropUnavailable: the maildrop cannot be read.
        """
        seen = self._look_through((account, address), None, lambda: True)
        if seen.is_worth_filing:
            seen.file()
        return seen.snapshot.listing

    def _look(self, key: Key, go_on: Callable[[], bool]) -> Messages:
        """Return what is there: what was there before, if the folders look as they did."""
        before = self._warm.find(key)
        if before is not None and is_there_still(before):
            return before
        seen = self._look_through(key, before, go_on)
        self._warm.keep(key, seen)
        return seen

    def _look_through(
        self, key: Key, before: Messages | None, go_on: Callable[[], bool]
    ) -> Messages:
        _, address = key
        try:
            if before is None:
                before = self._recall(key)
                if is_there_still(before):
                    return before
            seen = before.look_again(go_on)
        except NotInTime as cause:
            raise MaildropUnavailable(f"{address}: not counted to the end yet") from cause
        except (OSError, InvalidAddress) as cause:
            raise MaildropUnavailable(f"{address}: {cause}") from cause
        with DigestIndex(seen.indexes.digests) as index:
            index.forget_what_is_gone(seen.snapshot.bases)
        return seen

    def _recall(self, key: Key) -> Messages:
        account, address = key
        maildir = Maildir(self._paths.of(address), now_ns=self._now_ns)
        indexes = Indexes(self._index, account)
        return Messages.recall(maildir, indexes, partial(self._warm.drop, key))


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the sessions of a store have in common."""

    warm: Warm
    files: Executor
    ahead: Room


class OpenMaildir:
    """One open Maildir: a snapshot, and the lease on it until `close` (see `Maildrop`)."""

    __slots__ = (
        "_ahead",
        "_closed",
        "_commit",
        "_key",
        "_lease",
        "_messages",
        "_not_at_hand",
        "_shared",
        "listing",
    )

    def __init__(self, shared: _Shared, key: Key, messages: Messages, lease: Lease) -> None:
        self._shared = shared
        self._key = key
        self._messages = messages
        self._lease = lease
        self._ahead: Ahead[WholeMessage] = Ahead(shared.ahead)
        self._not_at_hand: Index | None = None  # it was asked for, and is read next
        self._commit: Future[Removal] | None = None
        self._closed = False
        self.listing = messages.snapshot.listing

    async def read(self, index: Index, *, body_lines: int | None = None) -> Body:
        """Open a message and read its first piece, in one hop at most (see `Maildrop.read`)."""
        if body_lines is not None:
            return await self._read_in_a_thread(index, body_lines, 0)
        if index != self._not_at_hand:
            message = self.at_hand(index)
            if message is not None:
                return WholeBody(message)
        self._not_at_hand = None
        begun = None if self._closed else self._messages.begin_at_once(index)
        if begun is not None:
            return FileBody(*begun, self._shared.files)
        return await self._read_in_a_thread(index, None, self._ahead.worth_octets)

    def at_hand(self, index: Index) -> WholeMessage | None:
        """Return what was read ahead, or is as it was and cached (see `Maildrop.at_hand`)."""
        if self._closed:
            return None
        message = self._ahead.asked(index)
        if message is None:
            message = self._messages.at_hand(index)
            if message is None:
                self._not_at_hand = index
        return message

    async def _read_in_a_thread(
        self, index: Index, body_lines: int | None, ahead_octets: int
    ) -> Body:
        work = self._shared.files.submit(self._messages.start, index, body_lines, ahead_octets)
        try:
            begun, ahead = await outcome(work)
        except BaseException:
            work.add_done_callback(_close_unused)
            raise
        if ahead and not self._closed:
            self._ahead.keep(ahead)
        if isinstance(begun, WholeMessage):
            return WholeBody(begun)
        return FileBody(*begun, self._shared.files)

    def is_internationalised(self, index: Index) -> bool:
        """Tell whether the message's name says so (see `Maildrop.is_internationalised`)."""
        return is_internationalised(self._messages.snapshot.bases[index])

    async def commit(self, deleted: Collection[Uidl]) -> Removal:
        """Remove exactly these messages (see `Maildrop.commit`).

        Once begun it runs to its end, even if this call is cancelled.
        """
        if self._closed:
            raise MaildropUnavailable("the lease was given back")
        if self._commit is not None:
            raise RuntimeError("a session commits once")
        self._commit = self._shared.files.submit(self._remove, frozenset(deleted))
        return await outcome(self._commit, is_for_caller=False)

    async def close(self) -> None:
        """Give the lease back, after a commit that is still under way (see `Maildrop.close`).

        Digests that were worked out are written afterwards; nobody waits for that.
        """
        if self._closed:
            return
        self._closed = True
        self._ahead.drop()
        if self._commit is not None:
            self._commit.add_done_callback(lambda _: self._lease.release())
            return
        self._lease.release()
        self._shared.warm.weigh(self._key, self._messages)
        if self._messages.digests.has_unwritten:
            with contextlib.suppress(RuntimeError):  # no thread to spare: they are only a memory
                self._shared.files.submit(self._messages.digests.write)

    def _remove(self, deleted: frozenset[Uidl]) -> Removal:
        messages = self._messages
        pairs = zip(self.listing.uidls(), messages.snapshot.bases.all(), strict=True)
        asked = {Uidl(uidl): base for uidl, base in pairs if uidl in deleted}
        if unknown := deleted - asked.keys():
            raise ValueError(f"not in the listing: {unknown}")
        files = remove_messages(messages.maildir, asked.values())
        vanished = frozenset(asked.values()) - files.failed
        with SizeIndex(messages.indexes.sizes) as index:
            index.forget(vanished)
        messages.digests.forget(vanished)
        return _removal(asked, files)


def _removal(asked: dict[Uidl, bytes], files: RemovedFiles) -> Removal:
    """Return what became of messages, given by unique-id and base name, in their order."""
    removed: list[Uidl] = []
    gone: list[Uidl] = []
    failed: list[Uidl] = []
    for uidl, base in asked.items():
        fate = removed if base in files.removed else failed if base in files.failed else gone
        fate.append(uidl)
    return Removal(tuple(removed), tuple(gone), tuple(failed))


def _close_unused(work: Future[tuple[WholeMessage | Started, ReadAhead]]) -> None:
    """Close what was opened for a caller who had gone; what was read to its end is closed."""
    if not work.cancelled() and work.exception() is None:
        begun, _ = work.result()
        if not isinstance(begun, WholeMessage):
            begun[0].close()
