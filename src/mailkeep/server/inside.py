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

    __slots__ = ("_elsewhere", "_here", "_told", "_touched")

    def __init__(self) -> None:
        self._here: dict[Key, int] = {}
        self._elsewhere: dict[Key, int] = {}
        self._told: dict[Key, int] = {}
        """The numbers here as `changes` has returned them."""
        self._touched: set[Key] | None = None
        """Whose number may have changed since; None: nobody wants to know."""

    def __getitem__(self, key: Key) -> int:
        """Return how many are inside on the whole site."""
        return self._here.get(key, 0) + self._elsewhere.get(key, 0)

    def enter(self, key: Key) -> None:
        """Count one in."""
        self._here[key] = self._here.get(key, 0) + 1
        if self._touched is not None:
            self._touched.add(key)

    def leave(self, key: Key) -> None:
        """Count one out."""
        number = self._here[key] - 1
        if number:
            self._here[key] = number
        else:
            del self._here[key]
        if self._touched is not None:
            self._touched.add(key)

    def changes(self) -> dict[Key, int]:
        """Return the numbers here that are others than at the last call; the first begins it.

        Who has come and gone since, as most do who only look for mail, is no change.
        """
        here, told = self._here, self._told
        touched = here.keys() if self._touched is None else self._touched
        changes = {
            key: number for key in touched if (number := here.get(key, 0)) != told.get(key, 0)
        }
        self._touched = set()
        _note(told, changes)
        return changes

    def note_elsewhere(self, numbers: Mapping[Key, int]) -> None:
        """Take note of what all others have together; keys that are not named stay."""
        _note(self._elsewhere, numbers)


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
        _note(own, numbers)
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


def _note(known: dict[Key, int], numbers: Mapping[Key, int]) -> None:
    """Take over numbers; 0 is not kept."""
    for key, number in numbers.items():
        if number:
            known[key] = number
        else:
            known.pop(key, None)
