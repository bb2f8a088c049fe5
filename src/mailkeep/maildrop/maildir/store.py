"""The store that serves Maildirs in place, and a session's view of one (see `MaildropStore`).

Responsible for the lease, for what runs in which thread, and for what a cancelled call leaves
behind: an opening stops at its next message and gives the lease back, a commit runs to its end and
keeps it until then. All that touches files is in the modules beside this one.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from mailkeep.maildrop.lease import Lease, Leases
from mailkeep.maildrop.listing import Listing
from mailkeep.maildrop.maildir.ahead import AHEAD_OCTETS, Ahead
from mailkeep.maildrop.maildir.digests import DigestIndex, SessionDigests, digests_path
from mailkeep.maildrop.maildir.folder import Folders, Maildir
from mailkeep.maildrop.maildir.names import UidlsOfNames, is_internationalised
from mailkeep.maildrop.maildir.paths import MaildirPaths
from mailkeep.maildrop.maildir.reading import FileBody, Known, MessageFile
from mailkeep.maildrop.maildir.removal import remove_messages
from mailkeep.maildrop.maildir.sizes import SizeIndex
from mailkeep.maildrop.maildir.snapshot import NotInTime, Snapshot, count_message, take_snapshot
from mailkeep.maildrop.maildir.stamps import stamp_of
from mailkeep.maildrop.seam import MaildropUnavailable, MessageGone, MessageUnreadable, Removal
from mailkeep.values import AccountId, Address, Index, InvalidAddress, Uidl

_Opened = tuple[MessageFile, bytes]
"""A message's file, and the first piece of it."""


class MaildirStore:
    """The Maildirs of a site.

    Args:
        paths: which address has which Maildir.
        leases: of this process.
        index: the folder for remembered sizes and digests, made when it is needed.
        opening: where maildrops are opened, which may take long.
        files: where messages are read and removed.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        paths: MaildirPaths,
        leases: Leases,
        index: Path,
        *,
        opening: Executor,
        files: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = paths
        self._leases = leases
        self._index = index
        self._opening = opening
        self._files = files
        self._clock = clock

    async def open(
        self, account: AccountId, address: Address, *, timeout_s: float
    ) -> "OpenMaildir":
        """Take the lease and the snapshot (see `MaildropStore.open`).

        The seconds include the wait for a thread.
        """
        deadline = self._clock() + timeout_s
        given_up = Event()

        def go_on() -> bool:
            return self._clock() < deadline and not given_up.is_set()

        index = _Indexes.of(self._index, account)
        lease = self._leases.acquire(account)
        try:
            work = self._opening.submit(self._look, address, index, go_on)
        except RuntimeError as cause:  # the system has no thread to spare
            lease.release()
            raise MaildropUnavailable(f"{address}: {cause}") from cause
        try:
            maildir, snapshot = await asyncio.wrap_future(work)
        except BaseException:
            given_up.set()
            work.add_done_callback(lambda _: lease.release())
            raise
        return OpenMaildir(maildir, snapshot, lease, index, self._files)

    def list_messages(self, account: AccountId, address: Address) -> Listing:
        """Return what a session that began now would see, and learn the sizes that it would need.

        It takes no lease: an operator who looks must not lock the owner out. Blocks.

        Raises:
            MaildropUnavailable: the maildrop cannot be read.
        """
        _, snapshot = self._look(address, _Indexes.of(self._index, account), lambda: True)
        return snapshot.listing

    def _look(
        self, address: Address, paths: "_Indexes", go_on: Callable[[], bool]
    ) -> tuple[Maildir, Snapshot]:
        try:
            maildir = Maildir(self._paths.of(address))
            with maildir.entered() as folders, SizeIndex(paths.sizes) as sizes:
                snapshot = take_snapshot(folders, sizes, go_on)
        except NotInTime as cause:
            raise MaildropUnavailable(f"{address}: not counted to the end yet") from cause
        except (OSError, InvalidAddress) as cause:
            raise MaildropUnavailable(f"{address}: {cause}") from cause
        with DigestIndex(paths.digests) as digests:
            digests.forget_what_is_gone(snapshot.bases)
        return maildir, snapshot


@dataclass(frozen=True, slots=True)
class _Indexes:
    """Where what was found out about an account's messages is remembered."""

    sizes: Path
    digests: Path

    @classmethod
    def of(cls, folder: Path, account: AccountId) -> "_Indexes":
        return cls(folder / f"{account}.sizes", digests_path(folder, account))


class OpenMaildir:
    """One open Maildir: a snapshot, and the lease on it until `close` (see `Maildrop`)."""

    def __init__(
        self, maildir: Maildir, snapshot: Snapshot, lease: Lease, indexes: _Indexes, files: Executor
    ) -> None:
        self._maildir = maildir
        self._bases = snapshot.bases
        self._lease = lease
        self._sizes = indexes.sizes
        self._digests = SessionDigests(indexes.digests, snapshot.bases)
        self._files = files
        self._ahead: Ahead[_Opened] = Ahead()
        self._commit: Future[Removal] | None = None
        self._closed = False
        self.listing = snapshot.listing

    async def read(self, index: Index, *, body_lines: int | None = None) -> FileBody:
        """Open a message and read its first piece, in one hop at most (see `Maildrop.read`)."""
        opened = None if body_lines is not None else self._ahead.asked(index)
        if opened is None:
            is_row = body_lines is None and self._ahead.is_row
            opened = await self._read_in_a_thread(index, body_lines, is_row=is_row)
        return FileBody(*opened, self._files)

    async def _read_in_a_thread(
        self, index: Index, body_lines: int | None, *, is_row: bool
    ) -> _Opened:
        work = self._files.submit(self._start_reading, index, body_lines, is_row=is_row)
        try:
            opened, ahead = await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            work.add_done_callback(_close_unused)
            raise
        if is_row and not self._closed:
            self._ahead.keep(ahead)
        return opened

    def is_internationalised(self, index: Index) -> bool:
        """Tell whether the message's name says so (see `Maildrop.is_internationalised`)."""
        return is_internationalised(self._bases[index])

    async def commit(self, deleted: Collection[Uidl]) -> Removal:
        """Remove exactly these messages (see `Maildrop.commit`).

        Once begun it runs to its end, even if this call is cancelled.
        """
        if self._closed:
            raise MaildropUnavailable("the lease was given back")
        if self._commit is not None:
            raise RuntimeError("a session commits once")
        self._commit = self._files.submit(self._remove, frozenset(deleted))
        return await asyncio.shield(asyncio.wrap_future(self._commit))

    async def close(self) -> None:
        """Give the lease back, after a commit that is still under way (see `Maildrop.close`).

        Digests that were worked out are written afterwards; nobody waits for that.
        """
        self._closed = True
        self._ahead.drop()
        if self._commit is not None:
            self._commit.add_done_callback(lambda _: self._lease.release())
            return
        self._lease.release()
        if self._digests.has_unwritten:
            with contextlib.suppress(RuntimeError):  # no thread to spare: they are only a memory
                self._files.submit(self._digests.write)

    def _start_reading(
        self, index: Index, body_lines: int | None, *, is_row: bool
    ) -> tuple[_Opened, dict[Index, _Opened]]:
        """Begin to read a message, and read small ones behind it in a row."""
        try:
            with self._maildir.entered() as folders:
                opened = self._start_reading_one(folders, index, body_lines)
                return opened, self._read_ahead(folders, index) if is_row else {}
        except OSError as cause:
            raise MessageUnreadable(f"the folder cannot be opened: {cause}") from cause

    def _start_reading_one(self, folders: Folders, index: Index, body_lines: int | None) -> _Opened:
        base = self._bases[index]
        try:
            descriptor = folders.open_message(base)
        except FileNotFoundError as cause:
            raise MessageGone(f"{base!r} vanished") from cause
        except OSError as cause:
            raise MessageUnreadable(f"{base!r} cannot be opened: {cause}") from cause
        file = MessageFile(descriptor, self._known(descriptor, index), body_lines=body_lines)
        return file, file.read_piece()

    def _read_ahead(self, folders: Folders, index: Index) -> dict[Index, _Opened]:
        """Read small messages behind this one; what is wrong is told when it is asked for."""
        read: dict[Index, _Opened] = {}
        room = AHEAD_OCTETS
        for place in map(Index, range(index + 1, len(self.listing))):
            room -= self.listing.octets(place)
            if room < 0:
                break
            try:
                file, piece = self._start_reading_one(folders, place, None)
            except (MessageGone, MessageUnreadable):
                break
            if not file.ended:
                file.close()
                break
            read[place] = file, piece
        return read

    def _known(self, descriptor: int, index: Index) -> Known:
        stamp = stamp_of(os.fstat(descriptor))
        return Known(
            announced=self.listing.octets(index),
            sha256=self._digests.find(index, stamp),
            on_wrong_size=lambda: self._count_again(self._bases[index]),
            # A file that changes while it is read has another stamp then: this one finds nobody.
            on_digest=lambda sha256: self._digests.learn(index, stamp, sha256),
        )

    def _count_again(self, base: bytes) -> None:
        """Remember what the name or the index had wrong, so that the next session has it right."""
        with (
            contextlib.suppress(OSError),
            self._maildir.entered() as folders,
            SizeIndex(self._sizes) as index,
        ):
            index.remember([count_message(folders, base)])

    def _remove(self, deleted: frozenset[Uidl]) -> Removal:
        uidls = UidlsOfNames(self._bases)
        places = map(Index, range(len(uidls)))
        asked = {uidl: self._bases[place] for place in places if (uidl := uidls[place]) in deleted}
        if unknown := deleted - asked.keys():
            raise ValueError(f"not in the listing: {unknown}")
        files = remove_messages(self._maildir, asked.values())
        removed = [base for base in asked.values() if base not in files.failed]
        with SizeIndex(self._sizes) as index:
            index.forget(removed)
        self._digests.forget(removed)
        gone = (u for u, base in asked.items() if base not in files.removed | files.failed)
        return Removal(
            removed=tuple(uidl for uidl, base in asked.items() if base in files.removed),
            gone=tuple(gone),
            failed=tuple(uidl for uidl, base in asked.items() if base in files.failed),
        )


def _close_unused(work: Future[tuple[_Opened, dict[Index, _Opened]]]) -> None:
    """Close what was opened for a caller who had gone; what was read ahead is closed already."""
    if not work.cancelled() and work.exception() is None:
        (file, _), _ = work.result()
        file.close()
