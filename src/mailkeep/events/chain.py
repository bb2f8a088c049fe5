"""Appending to the audit trail's chain of files, and finding its end again after a crash.

The chain is the truth about what happened. A group of records is written and made durable
together; only then is it confirmed. A group that failed is taken back before it is tried again, so
nothing is there twice. Files are full at 64 MiB and the chain goes on in the next.

It must not know threads, queues or the database. Known limit: a file that somebody else shortens
while this program has it open is noticed by `verifying` only.
"""

import contextlib
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailkeep.events.checkpoints import (
    CHECKPOINT_EVENTS,
    CHECKPOINT_S,
    Checkpoint,
    checkpoint_in,
    checkpoint_line,
    is_checkpoint,
    open_key,
)
from mailkeep.events.records import (
    NOTHING_BEFORE,
    Line,
    NoRecord,
    Writable,
    chained,
    digest,
    parse_line,
    record_in,
)
from mailkeep.events.runs import Happened, entries_of
from mailkeep.events.trail_files import RawLine, file_of, lines_backwards, numbered_files

FILE_LIMIT_OCTETS = 64 << 20
"""A file that still opens in an editor and is copied away in one go: some 200,000 events."""

WITNESS_NAME = "checkpoints"
"""Copies of all checkpoints: small enough to be copied to another machine every minute."""

_MODE = 0o600
_FOLDER_MODE = 0o700


class TrailHeld(Exception):
    """Another program writes this trail; there is one chain and one writer."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a chain ends; what is behind `size_octets` in the last file is not confirmed.

    Attributes:
        number: of the last file.
        size_octets: of it.
        seq: of the last event; 0 if there is none.
        head: SHA-256 of the last line.
        events_unsigned: since the last checkpoint.
        checkpoint: SHA-256 of the last checkpoint's line.
    """

    number: int = 1
    size_octets: int = 0
    seq: int = 0
    head: str = NOTHING_BEFORE
    events_unsigned: int = 0
    checkpoint: str = NOTHING_BEFORE


class Chain:
    """A chain that is open for appending. Make one with `open_chain`; used by one thread."""

    def __init__(self, folder: Path, lock: int, key: Ed25519PrivateKey, end: End) -> None:
        self.folder = folder
        self._lock = lock
        self._key = key
        self._end = end
        self._file: int | None = None
        self._unsigned_since: datetime | None = None
        self._uncopied: list[bytes] = []

    @property
    def end(self) -> End:
        """Where it ends; everything before is durable."""
        return self._end

    def checkpoint_due_in_s(self, now: datetime) -> float | None:
        """Return in how many seconds a checkpoint is due; None when there is nothing to sign."""
        if not self._end.events_unsigned:
            return None
        since = self._unsigned_since or now
        if self._end.events_unsigned >= CHECKPOINT_EVENTS:
            return 0.0
        return max(0.0, CHECKPOINT_S - (now - since).total_seconds())

    def append(self, group: Sequence[Happened]) -> list[Writable]:
        """Write a group of events, each or each run of them a line, and make it durable.

        Returns:
            What was written, line by line, for the table.

        Raises:
            OSError: it could not be written; nothing is confirmed, and the call may be repeated.
        """
        entries = entries_of(group, self._end.seq)
        lines, head = chained(entries, self._end.head)
        events = sum([entry.count for entry in entries])
        after = replace(
            self._end,
            seq=self._end.seq + events,
            head=head,
            events_unsigned=self._end.events_unsigned + events,
        )
        self._write(lines, after)
        if entries and self._unsigned_since is None:
            self._unsigned_since = entries[0].at
        return entries

    def sign(self, now: datetime) -> None:
        """Write a checkpoint, if anything happened since the last one.

        Raises:
            OSError: it could not be written; the call may be repeated.
        """
        if not self._end.events_unsigned:
            return
        said = Checkpoint(self._end.seq, self._end.head, self._end.checkpoint)
        line = checkpoint_line(self._key, now, said)
        link = digest(line)
        self._write([line], replace(self._end, head=link, checkpoint=link, events_unsigned=0))
        self._unsigned_since = None
        self._uncopied.append(line)
        self._copy_checkpoints()

    def close(self) -> None:
        """Let another program write. Safe to call twice."""
        self._close_file()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _write(self, lines: Sequence[bytes], after: End) -> None:
        """Append lines durably; `after` is where the chain then ends, but for the place."""
        octets = b"".join(line + b"\n" for line in lines)
        try:
            descriptor = self._open_file()
            _write_all(descriptor, octets)
            os.fsync(descriptor)
        except OSError:
            self._close_file()  # what arrived of it is cut off when the file is opened again
            raise
        size_octets = self._end.size_octets + len(octets)
        self._end = replace(after, number=self._end.number, size_octets=size_octets)

    def _open_file(self) -> int:
        """Return the file to append to, ending where the chain does."""
        if self._end.size_octets >= FILE_LIMIT_OCTETS:
            self._go_on_in_next_file()
        if self._file is None:
            self._file = _open_for_appending(file_of(self.folder, self._end.number))
            size_octets = os.fstat(self._file).st_size
            if size_octets < self._end.size_octets:  # somebody shortened it: leave it as it is
                self._go_on_in_next_file()
                return self._open_file()
            if size_octets > self._end.size_octets:
                os.ftruncate(self._file, self._end.size_octets)
            _fsync_folder(self.folder)
        return self._file

    def _go_on_in_next_file(self) -> None:
        self._close_file()
        self._end = replace(self._end, number=self._end.number + 1, size_octets=0)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _copy_checkpoints(self) -> None:
        """Add to the witness; what it lacks for now it gets with the next checkpoint."""
        with contextlib.suppress(OSError):
            _append_whole(self.folder / WITNESS_NAME, self._uncopied)
            self._uncopied.clear()


def open_chain(folder: Path) -> tuple[Chain, int]:
    """Open the chain in a folder, which is made when it is missing.

    Returns:
        The chain, and how many octets of a torn last line will be cut off.

    Raises:
        TrailHeld: another program has it open.
        OSError: it cannot be read or written.
        BadKey: the signing key cannot be used.
    """
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    lock = _lock(folder)
    try:
        key = open_key(folder)
        end, torn_octets = find_end(folder)
        _mend_witness(folder / WITNESS_NAME)
    except BaseException:
        os.close(lock)
        raise
    return Chain(folder, lock, key, end), torn_octets


def find_end(folder: Path) -> tuple[End, int]:
    """Find where the chain in a folder ends.

    A last line without its end was never confirmed and does not count. A whole line that is no
    record is damage: it stays where it is, for `verifying` to name, and the chain goes on behind
    it in a new file.

    Returns:
        The end, and how many octets of a torn line stand behind it.

    Raises:
        OSError: the files cannot be read.
    """
    files = numbered_files(folder)
    if not files:
        return End(), 0
    number, newest = files[-1]
    last = next((line for line in lines_backwards(newest) if line.is_whole), None)
    size_octets = last.end if last else 0
    torn_octets = newest.stat().st_size - size_octets
    end = _end_from(files)
    if last and _record_line(last) is None:
        return replace(end, number=number + 1), torn_octets
    return replace(end, number=number, size_octets=size_octets), torn_octets


def _end_from(files: Sequence[tuple[int, Path]]) -> End:
    """Return the last event, the last line and the last checkpoint that are records."""
    seq, head, events_unsigned = 0, NOTHING_BEFORE, 0
    for _, path in reversed(files):
        for raw in lines_backwards(path):
            line = _record_line(raw) if raw.is_whole else None
            if line is None:
                continue
            if head == NOTHING_BEFORE:
                head = digest(raw.octets)
            if is_checkpoint(line):
                seq = seq or checkpoint_in(line).seq
                return End(0, 0, seq, head, events_unsigned, digest(raw.octets))
            record = record_in(line)
            seq = seq or record.seq + record.count - 1
            events_unsigned += record.count
    return End(0, 0, seq, head, events_unsigned)


def _record_line(raw: RawLine) -> Line | None:
    try:
        line = parse_line(raw.octets)
        if is_checkpoint(line):
            checkpoint_in(line)
        else:
            record_in(line)
    except NoRecord:
        return None
    return line


def _mend_witness(path: Path) -> None:
    """Cut off a torn last line: what is appended must stand on a line of its own."""
    if not path.exists():
        return
    last = next((line for line in lines_backwards(path) if line.is_whole), None)
    os.truncate(path, last.end if last else 0)


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as cause:
        os.close(descriptor)
        raise TrailHeld(f"another program writes the audit trail in {folder}") from cause
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _open_for_appending(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)


def _append_whole(path: Path, lines: Sequence[bytes]) -> None:
    descriptor = _open_for_appending(path)
    size_octets = os.fstat(descriptor).st_size
    try:
        _write_all(descriptor, b"".join(line + b"\n" for line in lines))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size_octets)
        raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, octets: bytes) -> None:
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
