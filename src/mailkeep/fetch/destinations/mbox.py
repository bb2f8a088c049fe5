"""`mbox:FILE`: all messages in one file, in the mboxrd form, beside other mail programs.

What is written is in `mailkeep.fetch.destinations.mboxrd`. A batch is appended under both locks and
brought to disk; if that fails, the file is cut back to its length before. If the program was killed
meanwhile, the next run cuts off the message that was torn, and finds those that are whole by the
token in their separator. So no message is there twice, whoever else writes into the file.

Known limits: a program that looks at neither lock may write into the middle of a batch. Reading
sets the file's time of access.
"""

import contextlib
import os
import stat
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mailkeep.fetch.destinations.durable import (
    fsync_folder,
    fsync_way_down_to,
    make_folder,
    shown,
    storing,
    write_all,
)
from mailkeep.fetch.destinations.mbox_locks import LOCK_TIMEOUT_S, MboxLock
from mailkeep.fetch.destinations.mbox_reading import (
    Condition,
    Tail,
    entries,
    judge_tail,
    read_any,
    read_own,
)
from mailkeep.fetch.destinations.mboxrd import Quoter, Separator, end_of
from mailkeep.fetch.destinations.seam import (
    DestinationUnavailable,
    Found,
    Refusal,
    Slot,
    Stored,
    Writer,
)
from mailkeep.fetch.destinations.spool import Spool, SpooledMessage
from mailkeep.fetch.destinations.temporary import own_writers

_WRITTEN_AT_ONCE_OCTETS = 1 << 20


class MboxWriter(SpooledMessage):
    """A message on its way into an mbox."""

    __slots__ = ("crc", "last", "slot")

    def __init__(self, slot: Slot, spool: Spool) -> None:
        super().__init__(spool)
        self.slot = slot
        self.crc = 0
        self.last = b""

    def write(self, octets: bytes) -> None:
        """Take the next octets; see `Writer.write`."""
        super().write(octets)
        self.crc = zlib.crc32(octets, self.crc)
        self.last = octets[-1:] or self.last

    def as_stored(self) -> Iterator[bytes]:
        """Yield what goes into the file."""
        yield Separator(self.slot.token, self.octets, self.crc).line(self.slot.listed_at)
        quoter = Quoter()
        for piece in self.pieces():
            yield quoter.feed(piece)
        yield quoter.finish()
        yield end_of(self.last)


class MboxDestination:
    """An mbox; see `mailkeep.fetch.destinations.seam.Destination`.

    Args:
        path: the file, absolute.
        spool: a folder for messages that are not whole yet.
        lock_timeout_s: how long other programs are waited for.
    """

    is_exactly_once = True

    def __init__(self, path: Path, spool: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.name = f"mbox:{shown(path)}"
        self._path = path
        self._spool = Spool(spool)
        self._lock = MboxLock(path, timeout_s=lock_timeout_s)
        self._length: int | None = None  # while a batch is open

    def prepare(self, *, is_known: bool) -> None:
        """Make the file, or see that it is there; see `Destination.prepare`."""
        self._spool.prepare()
        with storing(self.name):
            if not self._path.exists():
                if is_known:
                    raise DestinationUnavailable(
                        f"{self.name} has vanished: messages were stored there before",
                        hint=f"is its disk mounted? To begin anew: touch '{shown(self._path)}'",
                    )
                self._make()
            is_file = stat.S_ISREG(self._path.stat().st_mode)
            may_lock = os.access(self._path.parent, os.W_OK | os.X_OK)
            if not is_file or not may_lock or not os.access(self._path, os.R_OK | os.W_OK):
                raise DestinationUnavailable(
                    f"{self.name}: cannot write",
                    hint="it must be a file that the user who fetches may read and write, in a "
                    "folder where they may make its lock file",
                )

    def recover(self, mark: int | None) -> list[str]:
        """Cut off a message that was torn behind the mark; see `Destination.recover`."""
        if mark is None:
            return []
        with self._locked() as (descriptor, size), storing(self.name):
            tail = judge_tail(descriptor, mark, size) if size > mark else Tail()
            if tail.cut_at is not None:
                os.ftruncate(descriptor, tail.cut_at)
                os.fsync(descriptor)
        return [
            f"{self.name}: a piece of a message that a crash has torn is left at octet {start}, "
            "since another program may have written behind it"
            for start in tail.pieces
        ]

    def find(self, tokens: Collection[str]) -> Mapping[str, Found]:
        """Return those that are here, whole; see `Destination.find`.

        Looks through all of the file: what was stored before the mark may be missing in a journal
        that was lost.
        """
        found: dict[str, Found] = {}
        wanted = frozenset(tokens)
        if not wanted:
            return found
        with self._locked() as (descriptor, size), storing(self.name):
            for entry in entries(descriptor, 0, size):
                if entry.separator and entry.separator.token in wanted:
                    condition, received, _ = read_own(descriptor, entry)
                    if condition is Condition.WHOLE:
                        found[entry.separator.token] = Found(
                            shown(self._path),
                            received.octets,
                            received.sha256,
                            received.header_sha256,
                        )
            if found:
                os.fsync(descriptor)  # a crash may have come before this was done
        return found

    def iterate(self) -> Iterator[Found]:
        """Yield every message in order; the file is locked meanwhile; see `Destination.iterate`."""
        with self._locked() as (descriptor, size), storing(self.name):
            for entry in entries(descriptor, 0, size):
                received = read_any(descriptor, entry)
                yield Found(
                    shown(self._path), received.octets, received.sha256, received.header_sha256
                )

    def open(self, slot: Slot) -> MboxWriter:
        """Begin a message; nothing is asked of the disk yet."""
        return MboxWriter(slot, self._spool)

    def begin_batch(self) -> int:
        """Lock the file and return its length; see `Destination.begin_batch`."""
        descriptor = self._lock.acquire()
        try:
            with storing(self.name):
                self._length = os.fstat(descriptor).st_size
        except DestinationUnavailable:
            self._lock.release()
            raise
        return self._length

    def commit(self, batch: Sequence[Writer]) -> list[Stored | Refusal]:
        """Append all in order, or nothing; see `Destination.commit`."""
        if self._length is None:
            raise RuntimeError("commit is called inside a batch")
        writers = own_writers(batch, MboxWriter)
        descriptor = self._lock.descriptor
        try:
            with storing(self.name):
                self._append(descriptor, writers)
                os.fsync(descriptor)
                self._length = os.fstat(descriptor).st_size
        except BaseException:
            with contextlib.suppress(OSError):  # else the next run does it
                os.ftruncate(descriptor, self._length)
                os.fsync(descriptor)
            raise
        finally:
            for writer in writers:
                writer.abandon()
        return [Stored(shown(self._path)) for _ in writers]

    def end_batch(self) -> int | None:
        """Return the length and let the locks go; see `Destination.end_batch`."""
        length, self._length = self._length, None
        self._lock.release()
        return length

    def close(self) -> None:
        """Let the locks go, if a batch was not ended."""
        self.end_batch()

    @contextmanager
    def _locked(self) -> Iterator[tuple[int, int]]:
        """Hold the file and give its descriptor and length; inside a batch it is held already."""
        if self._length is not None:
            yield self._lock.descriptor, self._length
            return
        descriptor = self._lock.acquire()
        try:
            yield descriptor, os.fstat(descriptor).st_size
        finally:
            self._lock.release()

    def _make(self) -> None:
        make_folder(self._path.parent)
        fsync_way_down_to(self._path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        os.close(os.open(self._path, flags, 0o600))
        fsync_folder(self._path.parent)

    def _append(self, descriptor: int, writers: Sequence[MboxWriter]) -> None:
        held = bytearray(_missing_end(descriptor))
        for writer in writers:
            for piece in writer.as_stored():
                held += piece
                if len(held) >= _WRITTEN_AT_ONCE_OCTETS:
                    write_all(descriptor, held)
                    held = bytearray()
        write_all(descriptor, held)


def _missing_end(descriptor: int) -> bytes:
    """Return what another program's last message lacks before the next separator."""
    size = os.fstat(descriptor).st_size
    last = os.pread(descriptor, 2, max(0, size - 2))
    if not last or last == b"\n\n" or (last == b"\n" and size == 1):
        return b""
    return b"\n" if last.endswith(b"\n") else b"\n\n"
