"""A table with an end: what was written to longest ago makes room for what is new.

Reading keeps nothing alive: who is only asked about does not push out who did something.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Bounded(Generic[Key, Value]):
    """At most so many keys, the one touched longest ago goes first."""

    __slots__ = ("_limit", "_rows")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def get(self, key: Key) -> Value | None:
        """Return what is kept under a key."""
        return self._rows.get(key)

    def put(self, key: Key, value: Value) -> Key | None:
        """Keep a value; return the key that made room for it."""
        self._rows[key] = value
        self._rows.move_to_end(key)
        if len(self._rows) <= self._limit:
            return None
        return self._rows.popitem(last=False)[0]

    def touched(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return what is kept under a key, made if there is nothing, as the youngest of all."""
        value = self._rows.get(key)
        if value is None:
            value = make()
        self.put(key, value)
        return value

    def remove(self, key: Key) -> None:
        """Forget a key, if it is there."""
        self._rows.pop(key, None)
