"""What a worker knows of sources without asking the door: the answers of the last minutes. Pure.

Nobody may wait for the door before a connection is made, so it is judged by what is known here.

Known limit: a source that has not connected for some minutes is taken for one that is neither
banned nor known until the answer is there.
"""

from mailkeep.defence.bounded import Bounded
from mailkeep.defence.prefixes import prefixes_of
from mailkeep.server import door_wire as wire
from mailkeep.values import IpAddress

REFUSED_FOR_S = 1.0
"""How long a ban is believed without asking again: one that is lifted is over within a second."""

PAST_FOR_S = 600.0
"""How long a good past is believed without asking again; it lasts 30 days, and each connection
asks."""

LOOKED_FOR_S = 60.0
"""How long it is believed that a source may connect; a ban is told at once."""

REMEMBERED = 10_000
"""Sources of each kind, about 3 MB in all; as many as there may be connections."""

LOOKS_LIMIT = 1_000
"""Questions about sources under way; in a flood, more of them would only tell that it is one."""


class KnownSources:
    """What is known of sources without asking."""

    def __init__(self) -> None:
        self._refused: Bounded[IpAddress, float] = Bounded(REMEMBERED)
        self._admitted: Bounded[IpAddress, float] = Bounded(REMEMBERED)
        self._banned: Bounded[str, float] = Bounded(REMEMBERED)
        self._good_past: Bounded[str, float] = Bounded(REMEMBERED)
        self._looks: set[IpAddress] = set()

    def is_refused(self, source: IpAddress, now_s: float) -> bool:
        """Tell whether a source was refused, or its prefix banned, a moment ago."""
        if not (self._refused or self._banned):  # most of the time nobody was
            return False
        return any(
            refused_s is not None and now_s - refused_s < REFUSED_FOR_S
            for refused_s in (self._refused.get(source), self._banned_s(source))
        )

    def is_admitted(self, source: IpAddress, now_s: float) -> bool:
        """Tell whether it is known that a source may connect."""
        admitted_s = self._admitted.get(source)
        if admitted_s is None or now_s - admitted_s >= LOOKED_FOR_S:
            return False
        banned_s = self._banned_s(source)
        return banned_s is None or banned_s < admitted_s

    def note_banned(self, prefix: str, now_s: float) -> None:
        """Remember that a narrow prefix was banned."""
        self._banned.put(prefix, now_s)

    def forget_admitted(self) -> None:
        """Ask again about everybody."""
        self._admitted = Bounded(REMEMBERED)

    def _banned_s(self, source: IpAddress) -> float | None:
        return self._banned.get(prefixes_of(source).narrow) if len(self._banned) else None

    def has_good_past(self, source: IpAddress, now_s: float) -> bool:
        """Tell whether a source's prefix had a good past some minutes ago."""
        known_s = self._good_past.get(prefixes_of(source).narrow)
        return known_s is not None and now_s - known_s < PAST_FOR_S

    def note_past(self, source: IpAddress | None, now_s: float, *, is_good: bool) -> None:
        """Remember what is known of a source's past."""
        if source is None:
            return
        narrow = prefixes_of(source).narrow
        if is_good:
            self._good_past.put(narrow, now_s)
        else:
            self._good_past.remove(narrow)

    def begin_look(self, source: IpAddress) -> bool:
        """Tell whether a source should be asked about, and take note that it is."""
        if source in self._looks or len(self._looks) >= LOOKS_LIMIT:
            return False
        self._looks.add(source)
        return True

    def end_look(self, source: IpAddress, looked: wire.Looked | None, now_s: float) -> None:
        """Remember the answer, if there is one."""
        self._looks.discard(source)
        if looked is None:
            return
        self.note_past(source, now_s, is_good=looked.good_past)
        if looked.lasts:
            self._admitted.put(source, now_s)
        if looked.admits:
            self._refused.remove(source)
        else:
            self._refused.put(source, now_s)
