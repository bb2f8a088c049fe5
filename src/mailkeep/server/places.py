"""Who has one of a server's places, and who gives it up when all are taken. Pure: no I/O, no clock.

A flood of strangers must keep out neither those who are inside nor those who have been here before:
a share of the places is for sources with a good past, a prefix has so many and no more, and when
there is no place the guest who came first and has not logged in since gives up his.

Every question costs the same however many guests there are: floods ask the most.

Known limit: a stranger who logs in is a stranger no longer, so the share is not held against them.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from mailkeep.server.inside import Inside

GOOD_PAST_SHARE_PERCENT = 15
"""Of the places, what strangers never get: with 10,000 an office and its branches come in while the
rest is under a flood."""

Guest = TypeVar("Guest", bound=Hashable)


class NoPlace(Enum):
    """Why somebody gets no place."""

    PREFIX_IS_FULL = "too many connections from its prefix"
    SERVER_IS_FULL = "all connections are taken"


@dataclass(frozen=True, slots=True)
class Room(Generic[Guest]):
    """There is a place."""

    displaced: Guest | None
    """Who has to go for it; he has lost his place already."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a guest comes from."""

    prefix: str
    good_past: bool
    """Whether somebody has logged in from there, not long ago."""


class Places(Generic[Guest]):
    """The places of one server.

    Attributes:
        inside: how many guests there are from each prefix, on the whole site.
    """

    __slots__ = ("_capacity", "_guests", "_known", "_per_prefix", "_strangers", "inside")

    def __init__(self, capacity: int, per_prefix: int) -> None:
        """Begin empty.

        Args:
            capacity: how many places there are, at least one.
            per_prefix: how many of them a prefix may have; 0 for any number.
        """
        self._guests: dict[Guest, Origin] = {}
        self._strangers: OrderedDict[Guest, None] = OrderedDict()
        self._known: OrderedDict[Guest, None] = OrderedDict()
        self.inside: Inside[str] = Inside()
        self.resize(capacity, per_prefix)

    def resize(self, capacity: int, per_prefix: int) -> None:
        """Change both limits; guests who are over them stay."""
        self._capacity = capacity
        self._per_prefix = per_prefix

    def __len__(self) -> int:
        """Return how many places are taken."""
        return len(self._guests)

    @property
    def has_room(self) -> bool:
        """Whether there is a place for anybody, be it that of another."""
        return len(self._guests) < self._capacity or bool(self._strangers or self._known)

    def take(self, guest: Guest, origin: Origin) -> Room[Guest] | NoPlace:
        """Give a new guest a place, if he may have one."""
        if self._per_prefix and self.inside[origin.prefix] >= self._per_prefix:
            return NoPlace.PREFIX_IS_FULL
        displaced = None
        if not self._has_free(origin):
            displaced = self._first_to_go()
            if displaced is None:
                return NoPlace.SERVER_IS_FULL
            self.leave(displaced)
        self._guests[guest] = origin
        self.inside.enter(origin.prefix)
        (self._known if origin.good_past else self._strangers)[guest] = None
        return Room(displaced)

    def settle(self, guest: Guest) -> None:
        """Note that a guest has logged in: nobody gets his place any more."""
        self._strangers.pop(guest, None)
        self._known.pop(guest, None)

    def leave(self, guest: Guest) -> None:
        """Take a place back; nothing happens if he has none, or none any more."""
        origin = self._guests.pop(guest, None)
        if origin is None:
            return
        self.settle(guest)
        self.inside.leave(origin.prefix)

    def _has_free(self, origin: Origin) -> bool:
        if len(self._guests) >= self._capacity:
            return False
        return origin.good_past or len(self._strangers) < self._for_strangers

    @property
    def _for_strangers(self) -> int:
        """At least one: without that nobody could ever get a good past."""
        return self._capacity - self._capacity * GOOD_PAST_SHARE_PERCENT // 100

    def _first_to_go(self) -> Guest | None:
        """Return whose place a new guest gets: a stranger's, or else one's with a good past."""
        return next(iter(self._strangers or self._known), None)
