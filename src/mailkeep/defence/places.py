"""Where an address is, and whether somebody can have come from there. Judging is pure.

The file is the operator's own, in MaxMind's format, and may be replaced at any time: it is opened
anew when it has changed. One that cannot be read leaves the last good one in use.

Known limits: such files place an address within some 50 km at best, and a company's whole network
at its headquarters; hence nothing under 500 km is travel.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import maxminddb

from mailkeep.defence.remembered import FAMILIAR_FOR_S, FamiliarRow
from mailkeep.defence.rules import DoorRules, OddAnswer
from mailkeep.defence.seam import Place, Turning
from mailkeep.values import IpAddress

EARTH_RADIUS_KM = 6371.0
"""The mean radius (IUGG)."""

NEAR_KM = 500.0
"""Less may be an error of the file."""

FASTEST_KM_PER_H = 900.0
"""An airliner."""

LOOK_AGAIN_S = 5.0
"""How often the file is looked at; operators replace it once a week."""

_SEVERITY = (OddAnswer.OFF, OddAnswer.LOG, OddAnswer.ALERT, OddAnswer.REFUSE)


@dataclass(frozen=True, slots=True)
class Oddity:
    """What is odd about where a login comes from."""

    kind: Turning
    """NEW_COUNTRY or FAST_TRAVEL."""
    answer: OddAnswer
    country_before: str | None


def judge_place(
    before: Sequence[FamiliarRow], here: Place | None, now_s: float, rules: DoorRules
) -> Oddity | None:
    """Tell what is odd about a login; the more severely answered of two oddities.

    Somebody who was never seen anywhere, or is nowhere known, is not odd.

    Args:
        before: where the account has been, the latest last; each has a place.
        here: where it is now.
        now_s: the time, as in `before`.
        rules: what is to be told and what refused.
    """
    if here is None or not before or before[-1].place is None:
        return None
    last = before[-1]
    country = last.place.country if last.place else None
    odd: list[Oddity] = []
    if _is_too_fast(last, here, now_s):
        odd.append(Oddity(Turning.FAST_TRAVEL, rules.fast_travel, country))
    if _is_new_country(before, here, now_s):
        odd.append(Oddity(Turning.NEW_COUNTRY, rules.new_country, country))
    told = [it for it in odd if it.answer is not OddAnswer.OFF]
    return max(told, key=lambda it: _SEVERITY.index(it.answer), default=None)


def distance_km(one: Place, other: Place) -> float | None:
    """Return the way along the surface between two places (haversine); None if one is not known."""
    if one.latitude is None or one.longitude is None:
        return None
    if other.latitude is None or other.longitude is None:
        return None
    north, south = math.radians(one.latitude), math.radians(other.latitude)
    turn = math.radians(one.longitude - other.longitude)
    half = math.sin((north - south) / 2) ** 2
    half += math.cos(north) * math.cos(south) * math.sin(turn / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))


def _is_too_fast(last: FamiliarRow, here: Place, now_s: float) -> bool:
    way_km = None if last.place is None else distance_km(last.place, here)
    if way_km is None or way_km <= NEAR_KM:
        return False
    hours = max(now_s - last.last_success_s, 1.0) / 3600
    return way_km / hours > FASTEST_KM_PER_H


def _is_new_country(before: Sequence[FamiliarRow], here: Place, now_s: float) -> bool:
    known = [it for it in before if it.place is not None and it.place.country is not None]
    recent = (it for it in known if now_s - it.last_success_s < FAMILIAR_FOR_S)
    countries = {it.place.country for it in recent if it.place is not None}
    return bool(known) and here.country is not None and here.country not in countries


class Places:
    """An operator's file of places."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: maxminddb.Reader | None = None
        self._seen: tuple[int, int, int] | None = None
        self._look_at_s = float("-inf")

    def refresh(self, now_s: float) -> str | None:
        """Open the file anew if it has changed; blocks for a look at the file.

        Args:
            now_s: monotonic; within `LOOK_AGAIN_S` of the last look nothing is done.

        Returns:
            What is wrong with the file, once for each change of it; None for nothing.
        """
        if now_s < self._look_at_s:
            return None
        self._look_at_s = now_s + LOOK_AGAIN_S
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._seen:
                return None
            self._seen = seen
            # A file that is mapped into memory must not be cut short under us: it is read whole.
            reader = maxminddb.open_database(self._path, maxminddb.MODE_MEMORY)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as cause:
            return self._problem(cause)
        self._reader = reader  # the old one may be in use in the loop: it goes when nobody has it
        return None

    def find(self, source: IpAddress) -> Place | None:
        """Return where an address is, as far as the file tells."""
        if self._reader is None:
            return None
        try:
            found = self._reader.get(source)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None  # an IPv6 address in a file of IPv4, or a file with a damaged place
        return _place_of(found) if isinstance(found, dict) else None

    def _problem(self, cause: Exception) -> str | None:
        if isinstance(cause, FileNotFoundError):
            if self._seen == (0, 0, 0):
                return None
            self._seen = (0, 0, 0)
        return f"the file of places {self._path} cannot be read: {cause}"


def _place_of(found: Mapping[str, Any]) -> Place | None:
    country = _table(found, "country").get("iso_code")
    location = _table(found, "location")
    place = Place(
        country=country if isinstance(country, str) else None,
        latitude=_number(location.get("latitude")),
        longitude=_number(location.get("longitude")),
    )
    return None if place == Place(None, None, None) else place


def _table(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
