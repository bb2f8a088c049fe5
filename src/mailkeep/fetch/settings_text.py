"""The text of a settings file: from TOML to tables, or to one line that says what is wrong, where.

Known limit: line numbers come from a look at the lines' beginnings, because the TOML parser keeps
none. Inside inline tables and lists of several lines the number is that of what is around; the
place behind it is always right.
"""

import contextlib
import difflib
import re
import tomllib
from collections.abc import Iterator
from enum import Enum
from typing import TypeVar

import msgspec

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.settings_tables import AccountTable, OAuthTable, SettingsTable

Place = tuple[str, ...]
"""`("accounts", "private", "url")`."""
Table = TypeVar("Table", bound=msgspec.Struct)

_TABLES: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("above the first table", SettingsTable),
    ("under [accounts.NAME]", AccountTable),
    ("under [accounts.NAME.oauth]", OAuthTable),
)
_WORDS = {
    "array": "a list",
    "object": "a table",
    "str": "a text in quotes",
    "int": "a whole number",
    "float": "a number with a point",
    "bool": "true or false",
}
"""msgspec speaks of JSON; a user writes TOML."""

_SECRETS = frozenset({"pass", "passwd", "password", "secret", "token", "access_token"})
_NO_SECRETS = "no password stands in this file: use password_command or password_file"
_NO_OAUTH_SECRETS = "no secret stands in this file: use refresh_token_file and client_secret_file"
_EXAMPLES = {
    "url": 'add url = "pop3s://alice@mail.example.com"',
    "to": 'add to = "maildir:~/Mail/alice"',
}


class SettingsText:
    """A settings file that was read.

    Args:
        text: TOML.
        source: the file's name, for errors.
    """

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source

    def parse(self) -> dict[str, object]:
        """Return what TOML makes of it.

        Raises:
            WrongSettings: it is not TOML.
        """
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as cause:
            what, _, where = str(cause).partition(" (at ")
            line = where.removeprefix("line ").partition(",")[0]
        at = f"{self._source}:{line}" if line.isdigit() else self._source
        raise WrongSettings(f"{at}: not TOML: {what}", hint="https://toml.io shows how")

    def convert(self, raw: object, table: type[Table], place: Place) -> Table:
        """Return a table with its keys checked.

        Raises:
            WrongSettings: a key is unknown or missing, or a value is of another kind.
        """
        try:
            return msgspec.convert(raw, table)
        except msgspec.ValidationError as refusal:
            said = str(refusal)
        what, _, path = said.partition(" - at `$")
        inner = re.findall(r"\.([^.\[\]`]+)", path)
        raise self._explain(what, (*place, *inner), OAuthTable if inner == ["oauth"] else table)

    def wrong(self, place: Place, what: str, hint: str | None = None) -> WrongSettings:
        """Return an error that names the file, the line and the place."""
        line = line_of(self._text, place)
        at = f"{self._source}:{line}" if line else self._source
        return WrongSettings(f"{at}: {'.'.join(place)}: {what}", hint=hint)

    @contextlib.contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """Say of errors that rise in here where they come from."""
        try:
            yield
        except WrongSettings as cause:
            raise self.wrong(place, str(cause), cause.hint) from cause

    def _explain(self, what: str, place: Place, table: type[msgspec.Struct]) -> WrongSettings:
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
            return self.wrong((*place, unknown[1]), "unknown key", _nearest(unknown[1], table))
        if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
            name = missing[1]
            return self.wrong((*place, name), "this key is missing", _EXAMPLES.get(name))
        if choice := re.fullmatch(r"Invalid enum value '(.*)'", what, re.DOTALL):
            what = f'unknown choice "{choice[1]}"'
            return self.wrong(place, what, _choices(place[-1], table))
        plain = re.sub(r"`([a-z |]+)`", _in_plain_words, what)
        return self.wrong(place, plain[:1].lower() + plain[1:])


def _in_plain_words(kinds: re.Match[str]) -> str:
    names = [kind for kind in kinds[1].split(" | ") if kind != "null"]  # TOML has none
    return " or ".join(_WORDS.get(name, name) for name in names)


def _nearest(key: str, table: type[msgspec.Struct]) -> str:
    """Name the key that was probably meant, here or in another table."""
    if table is OAuthTable and key in {"client_secret", "refresh_token"} | _SECRETS:
        return _NO_OAUTH_SECRETS
    if key in _SECRETS:
        return _NO_SECRETS
    known = table.__struct_fields__
    if near := difflib.get_close_matches(key, known, n=1):
        return f"did you mean `{near[0]}`?"
    for where, other in _TABLES:
        if key in other.__struct_fields__:
            return f"`{key}` belongs {where}"
    return f"known here: {', '.join(known)}"


def _choices(key: str, table: type[msgspec.Struct]) -> str | None:
    """List what may stand at a key, if it is one of several words."""
    for field in msgspec.structs.fields(table):
        if field.name == key and isinstance(field.default, Enum):
            return "one of " + ", ".join(f'"{choice.value}"' for choice in type(field.default))
    return 'true, false or "beyond loopback"' if key == "insecure" else None


_HEADER = re.compile(r"\s*\[\[?([^\]#]+)\]")
_KEY = re.compile(
    r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)
_NAME = re.compile(r"([\w-]+)|\"([^\"]*)\"|'([^']*)'")


def line_of(text: str, place: Place) -> int | None:
    """Return the line, from 1, on which `place` or else the table around it stands."""
    table: Place = ()
    best: tuple[int, int | None] = (0, None)
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            found = table = _names(header[1])
        elif key := _KEY.match(line):
            found = (*table, *_names(key[1]))
        else:
            continue
        if place[: len(found)] == found and len(found) > best[0]:
            best = (len(found), number)
    return best[1]


def _names(dotted: str) -> Place:
    return tuple("".join(found) for found in _NAME.findall(dotted))
