"""Making the next snapshot of a big Maildir out of the last one.

One message that came must not cost the reading and sorting of all that were there: a folder that
looks as it did is not read, of one that does not the names are compared, and only what is new is
asked for its size. Whatever is not plain is left to a new snapshot. Blocks: for worker threads.

As with a maildrop that has not changed, the size of a message that was there before is believed
until it is read.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir.changes import (
    Difference,
    Names,
    compare,
    joined,
    moved,
    of_both,
    parted,
)
from mailkeep.maildrop.maildir.folder import FOLDERS, Folders
from mailkeep.maildrop.maildir.names import base_of, order_of
from mailkeep.maildrop.maildir.sizes import SizeIndex
from mailkeep.maildrop.maildir.snapshot import BIG, Sizing, Snapshot
from mailkeep.maildrop.maildir.states import FolderState, States
from mailkeep.values import Index

_MOST = 1_000
"""More changes than that are not worth it: each new file is looked at."""

_FEW_OCTETS = 1 << 14
"""Of names: to order so many takes less than to move those of 100,000 messages."""


_NOTHING = Difference([], [])


class _Edit(NamedTuple):
    """One step on the way from some messages to others."""

    place: int
    """Of a message, as they were."""
    base: bytes | None
    """Which comes before it; `None` if it goes."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A folder as it is now."""

    names: bytes | memoryview
    difference: Difference
    state: FolderState | None


@dataclass(frozen=True, slots=True)
class _Changes:
    """What has changed in both folders."""

    names: Names
    """Now."""
    difference: Difference
    states: States
    gone: set[bytes]
    """Base names of files that are gone."""
    come: dict[bytes, int]
    """Base names of files that have come, and where in the names they begin."""

    @classmethod
    def of(cls, before: Names, new: _Seen, cur: _Seen) -> "_Changes":
        """Put together what has changed in the two folders."""
        names = Names.of_folders(new.names, cur.names)
        difference = of_both(before, names, new.difference, cur.difference)
        return cls(
            names,
            difference,
            (new.state, cur.state),
            {base_of(name) for _, name in difference.gone},
            {base_of(name): start for start, name in difference.come},
        )


def renew_snapshot(
    before: Snapshot, folders: Folders, index: SizeIndex, go_on: Callable[[], bool]
) -> Snapshot | None:
    """Return the messages that are there now, or `None` if that takes a look at everything.

    Args:
        before: what was there.
        folders: where the messages are.
        index: what was counted before; what is counted now goes there too.
        go_on: asked again and again while there is something to count.

    Raises:
        NotInTime: `go_on` said no.
        OSError: the Maildir cannot be read.
    """
    names = before.names
    if names is None or len(folders.descriptors) < len(FOLDERS):
        return None
    new = _look(folders, FOLDERS[0], names.new, before.states[0])
    cur = _look(folders, FOLDERS[1], names.cur, before.states[1]) if new else None
    if new is None or cur is None:
        return None
    return _changed(before, _Changes.of(names, new, cur), Sizing(folders, index, go_on))


def _look(
    folders: Folders, folder: bytes, before: memoryview, state: FolderState | None
) -> _Seen | None:
    """Return how a folder is now; `None` if too many of its names are others."""
    if state is not None and state == folders.state(folder):
        return _Seen(before, _NOTHING, state)
    names = folders.names(folder)
    was, now = bytes(before), joined(names)
    difference = compare(was, now)
    if len(difference.gone) + len(difference.come) > _MOST:
        return None
    come = {place.name for place in difference.come}
    strangers = {name for name in come if not folders.is_message(folder, name)}
    if strangers:
        now = joined(name for name in names if name not in strangers)
        difference = compare(was, now)
    for name in come - strangers:
        folders.note_place(folder, name)
    return _Seen(now, difference, folders.read_states[folder])


def _changed(before: Snapshot, changes: _Changes, sizing: Sizing) -> Snapshot | None:
    vanished = changes.gone - changes.come.keys()
    added = sorted(changes.come.keys() - changes.gone, key=order_of)
    if len(changes.come) < len(changes.difference.come):
        return None  # a message in two files
    if vanished and None in changes.states:
        # A folder that is changing may not show every name: nobody's mail is said to be gone
        # before it was looked for with patience.
        return None
    octets, missing = sizing.of_all(added)
    if missing or not sizing.is_sure or len(before.bases) - len(vanished) + len(added) < BIG:
        return None
    return _edited(before, changes, dict(zip(added, octets, strict=True)))


def _edited(before: Snapshot, changes: _Changes, sizes: dict[bytes, int]) -> Snapshot | None:
    """Return the snapshot after these changes; `None` if it was not what it should be.

    Args:
        before: the snapshot.
        changes: in the folders.
        sizes: of the messages that were not there.
    """
    edits = _edits(before.bases, changes)
    if edits is None:
        return None
    old = {base: before.octets[place] for place, base in edits if base in changes.gone}
    return Snapshot.of(
        _bases_now(before.bases, changes, edits),
        _column_now(before.octets, edits, old | sizes),
        changes.states,
        changes.names,
    )


def _edits(bases: PackedStrings, changes: _Changes) -> list[_Edit] | None:
    """Return how the messages change, by place; `None` if a message is in two files.

    What has only moved goes and comes.
    """
    edits = []
    for base in sorted(changes.gone | changes.come.keys(), key=order_of):
        place, is_there = _find(bases, base)
        if is_there != (base in changes.gone):
            return None
        if base in changes.come:
            edits.append(_Edit(place, base))
        if is_there:
            edits.append(_Edit(place, None))
    return edits


def _bases_now(before: PackedStrings, changes: _Changes, edits: list[_Edit]) -> PackedStrings:
    """Return the base names after these edits, lying in the names that are there now."""
    first = _first_moved(before, changes.difference)
    starts = before.starts[:first] + moved(before.starts[first:], changes.difference)
    lengths = {base: len(base) for base in changes.come}
    return PackedStrings.within(
        changes.names.joined,
        _column_now(starts, edits, changes.come),
        _column_now(before.lengths, edits, lengths),
    )


def _first_moved(bases: PackedStrings, difference: Difference) -> int:
    """Return a place before which no message has a name that moves, if it is quickly found."""
    start = min((place.start for place in chain(*difference)), default=len(bases.joined))
    if len(bases.joined) - start > _FEW_OCTETS:
        return 0
    first = min(map(base_of, parted(bases.joined[start:])), key=order_of, default=None)
    return len(bases) if first is None else _find(bases, first)[0]


def _column_now(
    column: "array[int]", edits: Iterable[_Edit], come: Mapping[bytes, int]
) -> "array[int]":
    """Return what a column says of the messages after these edits.

    Args:
        column: what it said of those before.
        edits: by place, rising; what comes before a message stands before its going.
        come: what it says of those that come.
    """
    now = array(column.typecode)
    start = 0
    for place, base in edits:
        now.extend(column[start:place])
        start = place + 1 if base is None else place
        if base is not None:
            now.append(come[base])
    now.extend(column[start:])
    return now


def _find(bases: PackedStrings, base: bytes) -> tuple[int, bool]:
    """Return where a name is, or would have to be, and whether it is there."""
    places = range(len(bases))
    place = bisect_left(places, order_of(base), key=lambda at: order_of(bases[Index(at)]))
    return place, place < len(bases) and bases[Index(place)] == base
