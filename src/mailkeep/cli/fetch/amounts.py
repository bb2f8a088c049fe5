"""Octets, counts and durations in words for people. Pure."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_KILO = 1000
"""As disks and network speeds are sold; the settings' `20M` is of 1024, as tools read it."""
_MOST_OCTETS = 999 * _KILO**6
"""A hostile server may announce 10^30; what is above is shown as this."""
_LONGEST_S = 99 * 3600
_MINUTE_S = 59.95  # which is rounded to 60.0


def format_octets(octets: int) -> str:
    """Return `512 B`, `3.4 MB`."""
    unit = _unit(octets)
    return f"{_in_unit(octets, unit)} {_UNITS[unit]}"


def format_part(done: int, total: int) -> str:
    """Return `0.4/3.4 MB`: both in the unit of the whole."""
    unit = _unit(total)
    return f"{_in_unit(done, unit)}/{_in_unit(total, unit)} {_UNITS[unit]}"


def format_clock(seconds: float) -> str:
    """Return `0:25` or `1:02:03`, for a time that is left."""
    if seconds > _LONGEST_S:
        return "> 99 h"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_seconds(seconds: float) -> str:
    """Return `2.1 s`, or `3:25` from a minute on, for a time that something took."""
    return f"{seconds:.1f} s" if seconds < _MINUTE_S else format_clock(seconds)


def format_count(count: int, what: str) -> str:
    """Return `1 message`, `2 messages`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _unit(octets: int) -> int:
    unit, limit = 0, _KILO
    while octets >= limit and unit + 1 < len(_UNITS):
        unit, limit = unit + 1, limit * _KILO
    return unit


def _in_unit(octets: int, unit: int) -> str:
    shown = min(octets, _MOST_OCTETS)
    return f"{shown / _KILO**unit:.1f}" if unit else str(shown)
