"""The snapshot of a big Maildir in a file, for a process that has not seen it yet.

Right or made again, never trusted blindly: a checksum covers every octet behind the mark at the
start, the numbers must agree with each other, and whoever reads it compares the folders' states
with those that it was made of. What is wrong with it is no error: there is no snapshot then. It is
not brought to disk on purpose; after a power cut the checksum tells.

It holds what a session needs at once, as it lies in memory: nothing is worked out while reading,
10 ms for 100,000 messages. Blocks: for worker threads.
"""

import contextlib
import os
import struct
import sys
import zlib
from array import array
from pathlib import Path
from threading import get_ident

from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir.changes import Names
from mailkeep.maildrop.maildir.folder import FOLDERS
from mailkeep.maildrop.maildir.snapshot import Snapshot
from mailkeep.maildrop.maildir.states import FolderState, States

Places = tuple[tuple[bytes, bytes], ...]
"""Folder and flags of messages, the likeliest first."""

_MARK = b"mailkeep listing 2 " + sys.byteorder[:1].encode() + b"\n"
"""What kind of file it is, and of which version: another one is made again."""

_HEAD = struct.Struct("=Q4QQ4QQQQQ")
"""Whether `new` is known, and its state; the same of `cur`; how many messages; and the octets of
the names in `cur`, of those in `new`, and of the places."""

_SEAL = struct.Struct("=I")


def listing_path(index: Path, account: int) -> Path:
    """Return where the snapshot of an account's Maildir is, in the site's folder of indexes."""
    return index / f"{account}.listing"


def write_listing(path: Path, snapshot: Snapshot, places: Places) -> None:
    """Keep a snapshot, if the disk takes it.

    Args:
        path: of the file.
        snapshot: with the names of its files.
        places: where messages were.
    """
    columns = _encode(snapshot, places)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{get_ident()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.touch(mode=0o600)
        with temporary.open("wb") as file:
            file.writelines(columns)
        temporary.replace(path)
    except OSError:  # a disk that takes no more keeps none of it
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_listing(path: Path) -> tuple[Snapshot, Places] | None:
    """Return what was kept, which need not be there still; `None` if there is nothing right."""
    try:
        octets = path.read_bytes()
    except OSError:
        return None
    return _decode(octets)


def forget_listing(path: Path) -> None:
    """Remove the file of a Maildir that is no longer big."""
    with contextlib.suppress(OSError):
        path.unlink()


def _encode(snapshot: Snapshot, places: Places) -> "list[bytes | memoryview]":
    """Return what the file holds, the columns as they are: copying them would stop the others.

    To sum and to write each of them is done without Python's lock, and the session whose opening
    found them is about to ask for more.
    """
    bases, cur_octets = snapshot.bases, snapshot.names.cur_octets if snapshot.names else 0
    placed = b"".join(b"%b/%b\0" % place for place in places)
    states = (part for state in snapshot.states for part in _packed(state))
    lengths = (cur_octets, len(bases.joined) - cur_octets, len(placed))
    columns = (
        _HEAD.pack(*states, len(bases), *lengths),
        memoryview(bases.starts).cast("B"),
        memoryview(bases.lengths).cast("B"),
        memoryview(snapshot.octets).cast("B"),
        bases.joined,
        placed,
    )
    checksum = 0
    for column in columns:
        checksum = zlib.crc32(column, checksum)
    return [_MARK, _SEAL.pack(checksum), *columns]


def _packed(state: FolderState | None) -> tuple[int, ...]:
    return (0, 0, 0, 0, 0) if state is None else (1, *(part & (1 << 64) - 1 for part in state))


def _decode(octets: bytes) -> tuple[Snapshot, Places] | None:
    start = len(_MARK) + _SEAL.size
    body = memoryview(octets)[start:]
    if not octets.startswith(_MARK) or len(body) < _HEAD.size:
        return None
    (seal,) = _SEAL.unpack_from(octets, len(_MARK))
    if zlib.crc32(body) != seal:
        return None
    head = _HEAD.unpack_from(body)
    count, *lengths = head[10:]
    return _cut(body[_HEAD.size :], count, lengths, (_state(head[:5]), _state(head[5:10])))


def _state(packed: tuple[int, ...]) -> FolderState | None:
    known, device, inode, modified_ns, changed_ns = packed
    return FolderState(device, inode, _signed(modified_ns), _signed(changed_ns)) if known else None


def _signed(value: int) -> int:
    """Undo what packing did to a time before 1970."""
    return value - (1 << 64) if value >> 63 else value


def _cut(
    columns: memoryview, count: int, lengths: list[int], states: States
) -> tuple[Snapshot, Places] | None:
    """Cut the columns apart, if they have the lengths that they should have."""
    starts, base_lengths, octets = array("I"), array("H"), array("Q")
    cur_octets, new_octets, placed_octets = lengths
    sizes = [column.itemsize * count for column in (starts, base_lengths, octets)]
    sizes += [cur_octets + new_octets, placed_octets]
    if sum(sizes) != len(columns):
        return None
    parts, start = [], 0
    for size in sizes:
        parts.append(columns[start : start + size])
        start += size
    for column, part in zip((starts, base_lengths, octets), parts, strict=False):
        column.frombytes(part)
    joined, placed = map(bytes, parts[3:])
    if joined.count(b"/") != count or max(starts, default=-1) >= len(joined):
        return None
    bases = PackedStrings.within(joined, starts, base_lengths)
    return Snapshot.of(bases, octets, states, Names(joined, cur_octets)), _places(placed)


def _places(placed: bytes) -> Places:
    parted = (place.partition(b"/") for place in placed.split(b"\0")[:-1])
    return tuple((folder, flags) for folder, _, flags in parted if folder in FOLDERS)
