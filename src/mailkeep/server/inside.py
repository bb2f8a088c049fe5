"""Numbers that count for a whole site while several workers serve it: who is inside, by key.

Each worker tells now and then the keys whose number has changed, and hears what all others have
together. Pure: no I/O, no clock.

Known limit: what the others have is known only after a moment (`worker_side.SHARED_EVERY_S`), in
which every worker may let in as many as the limit allows: the overshoot is the limit times the
other workers, and lasts until those go.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Inside(Generic[Key]):
    """Counts for one worker; alone it is the whole site."""

    __slots__ = ("_changed", "_elsewhere", "_here")

    def __init__(self) -> None:
        self._here: Counter[Key] = Counter()
        self._elsewhere: dict[Key, int] = {}
        self._changed: set[Key] | None = None
        """None: nobody wants to know."""

    def __getitem__(self, key: Key) -> int:
        """Return how many are inside on the whole site."""
        return self._here[key] + self._elsewhere.get(key, 0)

    def enter(self, key: Key) -> None:
        """Count one in."""
        self._here[key] += 1
        if self._changed is not None:
            self._changed.add(key)

    def leave(self, key: Key) -> None:
        """Count one out."""
        self._here[key] -= 1
        if not self._here[key]:
            del self._here[key]
        if self._changed is not None:
            self._changed.add(key)

    def changes(self) -> dict[Key, int]:
        """Return the numbers here that have changed since the last call; the first begins it."""
        changed = self._here.keys() if self._changed is None else self._changed
        changes = {key: self._here[key] for key in changed}
        self._changed = set()
        return changes

    def note_elsewhere(self, numbers: Mapping[Key, int]) -> None:
        """Take note of what all others have together; keys that are not named stay."""
        for key, number in numbers.items():
            if number:
                self._elsewhere[key] = number
            else:
                self._elsewhere.pop(key, None)


class Sums(Generic[Key]):
    """What several workers have, each and together."""

    def __init__(self) -> None:
        self._of: dict[int, dict[Key, int]] = {}
        self._total: Counter[Key] = Counter()

    def note(self, worker: int, numbers: Mapping[Key, int]) -> dict[int, dict[Key, int]]:
        """Take note of what one worker has now.

        Returns:
            For every other worker, what its own others have now.
        """
        own = self._of[worker]
        for key, number in numbers.items():
            self._total[key] += number - own.get(key, 0)
            if number:
                own[key] = number
            else:
                own.pop(key, None)
        return self._told({*numbers}, worker)

    def forget(self, worker: int) -> dict[int, dict[Key, int]]:
        """Take note that a worker has gone, and with it all that it had; see `note`."""
        told = self.note(worker, dict.fromkeys(self._of[worker], 0))
        del self._of[worker]
        return told

    def begin(self, worker: int) -> dict[Key, int]:
        """Take note of a new worker, and return all that it has to know."""
        self._of[worker] = {}
        return dict(self._total)

    def _told(self, keys: set[Key], but: int) -> dict[int, dict[Key, int]]:
        told = {
            one: {key: self._total[key] - own.get(key, 0) for key in keys}
            for one, own in self._of.items()
            if one != but
        }
        for key in keys:
            if not self._total[key]:
                del self._total[key]
        return told
