"""What a worker may do without asking: let in again who the door has let in a moment ago. Pure.

A permission is for a name, a prefix and the very proof that was right there: the same password by
its seal, or a proof that cannot be guessed. So no guess is ever looked at by permission. The door
takes permissions back when anything about one of the three fails anywhere, and all of them when
bans, an account or the connection to the door change.
"""

from collections import OrderedDict
from dataclasses import dataclass

from mailkeep.defence import Attempt
from mailkeep.defence.counters import name_key
from mailkeep.defence.prefixes import prefixes_of

PERMITTED_FOR_S = 600.0
"""Without a word from the door; most programs look for mail every five minutes or sooner."""

REPORTED_EVERY_S = 60.0
"""How often somebody's coming again is reported: familiarity lasts 30 days."""

PERMISSIONS_LIMIT = 10_000
"""About 1 KB each; who has none is asked about."""

_Key = tuple[str, str, bool]


@dataclass(slots=True)
class Permission:
    """One permission."""

    seal: bytes | None
    until_s: float
    reported_s: float
    is_taken_back: bool = False

    def covers(self, now_s: float) -> bool:
        """Tell whether it is good: neither taken back nor too old."""
        return not self.is_taken_back and now_s < self.until_s

    def is_to_be_reported(self, now_s: float) -> bool:
        """Tell whether the door should hear of it again."""
        return now_s - self.reported_s >= REPORTED_EVERY_S


class Permissions:
    """Those of one worker."""

    def __init__(self, limit: int = PERMISSIONS_LIMIT) -> None:
        self._limit = limit
        self._rows: OrderedDict[_Key, Permission] = OrderedDict()
        self._about: dict[str | bytes, set[_Key]] = {}
        """By name, by prefix and by seal; no two of these are alike."""

    def __len__(self) -> int:
        return len(self._rows)

    def lend(self, attempt: Attempt, now_s: float) -> None:
        """Take note that the same may come again; what cannot be known again may not."""
        if not attempt.is_sure and attempt.password_seal is None:
            return
        key = _key(attempt)
        before = self._rows.get(key)
        if before is not None and before.seal == attempt.password_seal:
            before.until_s, before.reported_s = now_s + PERMITTED_FOR_S, now_s
            self._rows.move_to_end(key)
            return
        self._drop(key)
        self._rows[key] = Permission(attempt.password_seal, now_s + PERMITTED_FOR_S, now_s)
        for about in _about(key, attempt.password_seal):
            self._about.setdefault(about, set()).add(key)
        if len(self._rows) > self._limit:
            self._drop(next(iter(self._rows)))

    def find(self, attempt: Attempt, now_s: float) -> Permission | None:
        """Return the permission that covers an attempt."""
        permission = self._rows.get(_key(attempt))
        if permission is None or permission.seal != attempt.password_seal:
            return None
        return permission if permission.covers(now_s) else None

    def take_back(self, about: str | bytes) -> None:
        """Forget those about a name (`name_key`), a narrow prefix or a seal."""
        for key in tuple(self._about.get(about, ())):
            self._drop(key)

    def take_all_back(self) -> None:
        """Forget all."""
        for permission in self._rows.values():
            permission.is_taken_back = True
        self._rows.clear()
        self._about.clear()

    def drop(self, attempt: Attempt) -> None:
        """Forget the one that covered an attempt."""
        self._drop(_key(attempt))

    def _drop(self, key: _Key) -> None:
        permission = self._rows.pop(key, None)
        if permission is None:
            return
        permission.is_taken_back = True
        for about in _about(key, permission.seal):
            keys = self._about[about]
            keys.discard(key)
            if not keys:
                del self._about[about]


def _key(attempt: Attempt) -> _Key:
    return name_key(attempt.name), prefixes_of(attempt.source).narrow, attempt.is_sure


def _about(key: _Key, seal: bytes | None) -> tuple[str | bytes, ...]:
    name, prefix, _ = key
    return (name, prefix) if seal is None else (name, prefix, seal)
