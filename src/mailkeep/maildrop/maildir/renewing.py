"""Making the next snapshot of a big Maildir out of the last one.

One message that came must not cost the reading and sorting of all that were there: a folder that
looks as it did is not read, of one that does not the names are compared, and only what is new is
asked for its size. Whatever is not plain is left to a new snapshot. Blocks: for worker threads.

As with a maildrop that has not changed, the size of a message that was there before is believed
until it is read.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mailkeep.maildrop.listing import Edit, PackedStrings
from mailkeep.maildrop.maildir.changes import compare, joined
from mailkeep.maildrop.maildir.folder import FOLDERS, Folders
from mailkeep.maildrop.maildir.names import base_of, order_of
from mailkeep.maildrop.maildir.sizes import SizeIndex
from mailkeep.maildrop.maildir.snapshot import BIG, Sizing, Snapshot
from mailkeep.maildrop.maildir.states import FolderState
from mailkeep.values import Index

_MOST = 1_000
"""More changes than that are not worth it: each new file is looked at."""


@dataclass(slots=True)
class _Changes:
    """What has changed in both folders."""

    names: list[bytes] = field(default_factory=list)
    """All names now, of one folder after the other."""
    states: list[FolderState | None] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    """Base names of files that are gone."""
    come: list[bytes] = field(default_factory=list)
    """Base names of files that have come."""

    def keep(self, names: bytes, state: FolderState | None) -> None:
        """Take note of a folder as it is now."""
        self.names.append(names)
        self.states.append(state)


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
    if before.names is None or len(folders.descriptors) < len(FOLDERS):
        return None
    changes = _Changes()
    for folder, names, state in zip(FOLDERS, before.names, before.states, strict=True):
        if state is not None and state == folders.state(folder):
            changes.keep(names, state)
        elif not _read(folders, folder, names, changes):
            return None
    return _changed(before, changes, Sizing(folders, index, go_on))


def _read(folders: Folders, folder: bytes, before: bytes, changes: _Changes) -> bool:
    """Compare the names in a folder; False if too many are others."""
    names = folders.names(folder)
    now = joined(names)
    gone, come = compare(before, now)
    if len(gone) + len(come) > _MOST:
        return False
    strangers = {name for name in come if not folders.is_message(folder, name)}
    if strangers:
        come -= strangers
        now = joined(name for name in names if name not in strangers)
    for name in come:
        folders.note_place(folder, name)
    changes.keep(now, folders.read_states[folder])
    changes.gone += map(base_of, gone)
    changes.come += map(base_of, come)
    return True


def _changed(before: Snapshot, changes: _Changes, sizing: Sizing) -> Snapshot | None:
    vanished = set(changes.gone) - set(changes.come)
    added = sorted(set(changes.come) - set(changes.gone), key=order_of)
    if len(set(changes.come)) < len(changes.come):
        return None  # a message in two files
    if vanished and None in changes.states:
        # A folder that is changing may not show every name: nobody's mail is said to be gone
        # before it was looked for with patience.
        return None
    octets, missing = sizing.of_all(added)
    if missing or not sizing.is_sure:
        return None
    return _merged(before, changes, vanished, dict(zip(added, octets, strict=True)))


def _merged(
    before: Snapshot, changes: _Changes, vanished: set[bytes], added: dict[bytes, int]
) -> Snapshot | None:
    if len(before.bases) - len(vanished) + len(added) < BIG:
        return None
    edits = _edits(before.bases, vanished, added)
    if edits is None:
        return None
    names, states = changes.names, changes.states
    octets = _edited(before.octets, edits, added)
    return Snapshot.of(
        before.bases.edited(edits), octets, (states[0], states[1]), (names[0], names[1])
    )


def _edits(
    bases: PackedStrings, vanished: Iterable[bytes], added: Iterable[bytes]
) -> list[Edit] | None:
    """Return how the names change, by place; `None` if they are not what they should be.

    Args:
        bases: the names before, in order.
        vanished: some of them.
        added: others, in order.
    """
    edits = []
    for base in added:
        place, is_there = _find(bases, base)
        if is_there:
            return None  # a message in two files
        edits.append(Edit(place, base))
    for base in vanished:
        place, is_there = _find(bases, base)
        if not is_there:
            return None
        edits.append(Edit(place, None))
    return sorted(edits, key=lambda edit: (edit.place, edit.string is None))


def _find(bases: PackedStrings, base: bytes) -> tuple[int, bool]:
    """Return where a name is, or would have to be, and whether it is there."""
    places = range(len(bases))
    place = bisect_left(places, order_of(base), key=lambda at: order_of(bases[Index(at)]))
    return place, place < len(bases) and bases[Index(place)] == base


def _edited(octets: "array[int]", edits: Iterable[Edit], added: dict[bytes, int]) -> "array[int]":
    """Return the sizes of the names after these edits, as `PackedStrings.edited` does of names."""
    sizes = array("Q")
    start = 0
    for place, base in edits:
        sizes.extend(octets[start:place])
        start = place + 1 if base is None else place
        if base is not None:
            sizes.append(added[base])
    sizes.extend(octets[start:])
    return sizes
