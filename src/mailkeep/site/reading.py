"""From the text of `mailkeep.toml` to settings, or to one line that says what is wrong and where.

Known limit: line numbers come from a look at the lines' beginnings, not from the TOML parser, which
keeps none. Inside inline tables and texts of several lines the number may be missing or be that of
the table; the place in brackets is always right.
"""

import enum
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from mailkeep.site.door_settings import DoorSettings
from mailkeep.site.endpoint import Endpoint, Networks
from mailkeep.site.errors import InvalidSetting, SettingsError
from mailkeep.site.login_settings import Login, Oauth
from mailkeep.site.settings import Limits, Listen, Log, Maildrops, Serve, Settings, Tls

Place = tuple[str | int, ...]
"""`("listen", 0, "service")` is the service of the first listener."""

_TABLES: dict[str, type[msgspec.Struct]] = {
    "": Settings,
    "listen": Listen,
    "tls": Tls,
    "maildrops": Maildrops,
    "serve": Serve,
    "login": Login,
    "oauth": Oauth,
    "door": DoorSettings,
    "log": Log,
    "limits": Limits,
}

_WORDS = {
    " | null`": "`",
    "`array`": "a list",
    "`object`": "a table",
    "`str`": "a text in quotes",
    "`int`": "a whole number",
    "`float`": "a number with a point",
    "`bool`": "true or false",
}
"""msgspec speaks of JSON; an operator writes TOML."""

_EXAMPLES = {
    "hostname": 'add hostname = "mail.example.com"',
    "service": 'add service = "pop3s"',
    "address": 'add address = "0.0.0.0:995"',
    "issuer": 'add issuer = "https://id.example.com", as the provider names itself',
    "audience": 'add audience = "...", what the provider writes into tokens for this server',
}
"""For the keys that have no default."""


def parse_settings(text: str, *, source: str) -> Settings:
    """Return what the text of a settings file says.

    Args:
        text: TOML.
        source: the file's name, for errors.

    Raises:
        SettingsError: it cannot be used.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        what, _, where = str(cause).partition(" (at ")
        line = where.removeprefix("line ").partition(",")[0]
        at = f"{source}:{line}" if line.isdigit() else source
        raise SettingsError(f"{at}: not TOML: {what}", hint="https://toml.io shows how") from None
    try:
        return msgspec.convert(raw, Settings, dec_hook=_convert)
    except msgspec.ValidationError as refusal:
        raise _explain(refusal, text=text, source=source) from None


def _convert(kind: type[Any], value: object) -> object:
    """Make what TOML has no type for; nobody has checked the value before."""
    match value:
        case str() if kind is Path:
            return _path(value)
        case str() if kind is Endpoint:
            return Endpoint.parse(value)
        case list() if kind is Networks and all(isinstance(item, str) for item in value):
            return Networks(value)
        case _ if kind is Networks:
            raise InvalidSetting("expected a list of texts in quotes")
        case _:
            raise InvalidSetting("expected a text in quotes")


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise InvalidSetting(f'"{text}" is not a path')
    return Path(text)


def _explain(refusal: msgspec.ValidationError, *, text: str, source: str) -> SettingsError:
    """Turn what msgspec says into the file, the line, the place and the next step."""
    what, _, path = str(refusal).partition(" - at `$")
    place, hint = _place(path), None
    if isinstance(cause := refusal.__cause__, InvalidSetting):
        place, hint = (*place, *_place(f".{cause.key}")), cause.hint
    elif unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        what, hint = "unknown key", _nearest(unknown[1], place)
        place = (*place, unknown[1])
    elif missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        what, hint = "this key is missing", _EXAMPLES.get(missing[1])
        place = (*place, missing[1])
    elif choice := re.fullmatch(r"Invalid enum value '(.*)'", what, re.DOTALL):
        what, hint = f'unknown choice "{choice[1]}"', _choices(place)
    elif len(place) == 1 and place[0] in _TABLES:
        hint = f"a table begins with a line {_header(str(place[0]))}"
    for jargon, plain in _WORDS.items():
        what = what.replace(jargon, plain)
    line = line_of(text, place)
    at = f"{source}:{line}" if line else source
    return SettingsError(f"{at}: {_printed(place)}: {what[:1].lower()}{what[1:]}", hint=hint)


def _place(path: str) -> Place:
    """Read `.listen[0].service`."""
    steps = re.findall(r"\.([^.\[\]`]+)|\[([0-9]+)\]", path)
    return tuple(int(number) if number else name for name, number in steps)


def _printed(place: Place) -> str:
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in place).removeprefix(".")


def _table(place: Place) -> type[msgspec.Struct]:
    """Return the struct of the table that `place` is, or is in."""
    return _TABLES.get(str(place[0]) if place else "", Settings)


def _nearest(key: str, place: Place) -> str:
    """Name the key that was probably meant, here or in another table."""
    import difflib

    known = _table(place).__struct_fields__
    if near := difflib.get_close_matches(key, known, n=1):
        return f"did you mean `{near[0]}`?"
    for table, struct in _TABLES.items():
        if key in struct.__struct_fields__:
            return f"`{key}` belongs " + (
                f"under {_header(table)}" if table else "above the first table"
            )
    return f"known here: {', '.join(known)}"


def _header(table: str) -> str:
    return f"[[{table}]]" if table == "listen" else f"[{table}]"


def _choices(place: Place) -> str | None:
    """List what may stand at `place`, if it is one of several words."""
    for field in msgspec.structs.fields(_table(place)):
        if field.name == place[-1] and issubclass(field.type, enum.Enum):
            return "one of " + ", ".join(f'"{choice.value}"' for choice in field.type)
    return None


_HEADER = re.compile(r"\s*\[(\[)?\s*([\w-]+)\s*\]")
_KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*[=.]")


def line_of(text: str, place: Place) -> int | None:
    """Return the line, from 1, on which `place` or else the table around it stands."""
    counts: dict[str, int] = {}
    table: Place = ()
    best: tuple[int, int | None] = (0, None)
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            name = header[2]
            counts[name] = counts.get(name, -1) + 1
            table = (name, counts[name]) if header[1] else (name,)
            found: Place = table if len(place) > 1 else (name,)
        elif key := _KEY.match(line):
            found = (*table, key[1])
        else:
            continue
        if place[: len(found)] == found and len(found) > best[0]:
            best = (len(found), number)
    return best[1]
