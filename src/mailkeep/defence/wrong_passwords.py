"""Wrong passwords that were seen before, known by their seals. Pure: `now` is an argument.

Two questions: was this password wrong for this name already (a program with an old password, which
is no attack), and is it tried on many names (spraying, which no counter of one source sees)?

A seal is a keyed hash (`seals`); only eight octets of it are kept here: two that are alike by
accident are one in 2^64, and the cost of that is one failure that is not counted.
"""

from array import array
from dataclasses import dataclass, field

from mailkeep.defence.bounded import Bounded

REPEATED_KEPT = 10
REPEATED_FOR_S = 86_400.0
"""The last ten of a name for a day (Entra keeps three, Dovecot ten)."""

HOT_NAMES = 5
HOT_FOR_S = 3600.0
"""Wrong on more than five names within an hour: users share a password that they all mistype in
the same way far more seldom than attackers try one on all."""

_SHORT_OCTETS = 8


def _short(seal: bytes) -> int:
    return int.from_bytes(seal[:_SHORT_OCTETS])


class RepeatedPasswords:
    """The last wrong passwords of one name."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = array("Q")
        """Seal, second, seal, second: one array takes half the memory of two."""

    def note(self, seal: bytes, now_s: float) -> bool:
        """Remember a wrong password; tell whether it was known as wrong already."""
        short, was_known = _short(seal), False
        kept = array("Q")
        for place in range(0, len(self._kept), 2):
            seen, seen_s = self._kept[place], self._kept[place + 1]
            if seen == short:
                was_known = now_s - seen_s < REPEATED_FOR_S
            else:
                kept.extend((seen, seen_s))
        kept.extend((short, int(now_s)))
        self._kept = kept[-2 * REPEATED_KEPT :]
        return was_known


@dataclass(slots=True)
class _Tried:
    """On which names a password was wrong, from where; no more than it takes to be hot."""

    names: dict[str, tuple[float, str]] = field(default_factory=dict)
    hot_until_s: float = float("-inf")


class HotPasswords:
    """Passwords that are tried on many names."""

    def __init__(self, limit: int) -> None:
        self._tried: Bounded[int, _Tried] = Bounded(limit)
        self._some_until_s = float("-inf")
        """From when on none is hot, as far as is known now."""

    def __len__(self) -> int:
        return len(self._tried)

    def is_hot(self, seal: bytes | None, now_s: float) -> bool:
        """Tell whether a password is being tried on many names."""
        if seal is None or now_s >= self._some_until_s:
            return False
        tried = self._tried.get(_short(seal))
        return tried is not None and now_s < tried.hot_until_s

    def note(self, seal: bytes, name: str, prefix: str | None, now_s: float) -> frozenset[str]:
        """Take note of a wrong password.

        Args:
            seal: the password's.
            name: what it was tried on.
            prefix: who tried, if that is somebody who can be banned.
            now_s: the time.

        Returns:
            The prefixes that are to be banned for having tried it.
        """
        tried = self._tried.touched(_short(seal), _Tried)
        was_hot = now_s < tried.hot_until_s
        for old in [it for it, (seen_s, _) in tried.names.items() if now_s - seen_s >= HOT_FOR_S]:
            del tried.names[old]
        if len(tried.names) <= HOT_NAMES:
            tried.names[name] = (now_s, prefix or "")
        if len(tried.names) <= HOT_NAMES and not was_hot:
            return frozenset()
        tried.hot_until_s = now_s + HOT_FOR_S
        self._some_until_s = max(self._some_until_s, tried.hot_until_s)
        sources = {prefix or ""} if was_hot else {it for _, it in tried.names.values()}
        return frozenset(sources - {""})
