"""Making the next snapshot of a big Maildir out of the last one.

One message that came must not cost the reading and sorting of all that were there: a folder that
looks as it did is not read, of one that does not the names are compared, and only what is new is
asked for its size. Whatever is not plain is left to a new snapshot. Blocks: for worker threads.

As with a maildrop that has not changed, the size of a message that was there before is believed
until it is read.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from mailkeep.maildrop.maildir.changes import compare, joined
from mailkeep.maildrop.maildir.folder import FOLDERS, Folders
from mailkeep.maildrop.maildir.names import base_of, order_of
from mailkeep.maildrop.maildir.sizes import SizeIndex
from mailkeep.maildrop.maildir.snapshot import BIG, Sizing, Snapshot, ordered
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
    new, cur = changes.names
    states = changes.states[0], changes.states[1]
    last = before.bases[Index(len(before.bases) - 1)]
    if not vanished and all(order_of(base) > order_of(last) for base in added):
        bases = before.bases.extended(added)
        return Snapshot.of(bases, before.octets + array("Q", added.values()), states, (new, cur))
    sizes = dict(zip(before.bases.all(), before.octets, strict=True))
    if not sizes.keys().isdisjoint(added) or len(sizes) - len(vanished) + len(added) < BIG:
        return None
    for base in vanished:
        del sizes[base]
    sizes |= added
    bases = ordered(list(sizes))
    octets = array("Q", [sizes[base] for base in bases.all()])
    return Snapshot.of(bases, octets, states, (new, cur))
