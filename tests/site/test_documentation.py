"""docs/settings.md describes exactly the settings that there are, with their defaults."""

import enum
import re
from pathlib import Path

import msgspec
import pytest

from mailkeep.site import (
    DoorSettings,
    Limits,
    Listen,
    Log,
    Login,
    Maildrops,
    Oauth,
    Serve,
    Settings,
    Tls,
    parse_settings,
)

TEXT = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
TABLES: dict[str, type[msgspec.Struct]] = {
    "At the top": Settings,
    "`[[listen]]`": Listen,
    "`[tls]`": Tls,
    "`[maildrops]`": Maildrops,
    "`[serve]`": Serve,
    "`[login]`": Login,
    "`[oauth]`": Oauth,
    "`[door]`": DoorSettings,
    "`[log]`": Log,
    "`[limits]`": Limits,
}
TABLES_NAMED = {title.strip("`").replace("[[", "[").replace("]]", "]") for title in TABLES}
IN_WORDS = {
    ("Settings", "default_domain"): "the hostname",
    ("Listen", "allow"): "everybody",
    ("Listen", "cleartext_from"): "nobody",
    ("Listen", "proxy_from"): "nobody",
    ("DoorSettings", "allow"): "nobody",
    ("Oauth", "algorithms"): "RS256, ES256, EdDSA",
}
"""Defaults that a value would not explain."""


def documented(title: str) -> dict[str, str]:
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, re.MULTILINE))


def expected(struct: type[msgspec.Struct]) -> dict[str, str]:
    keys = {}
    for field in msgspec.structs.fields(struct):
        if struct is Settings and f"[{field.name}]" in TABLES_NAMED:
            continue  # a table of its own
        keys[field.name] = IN_WORDS.get((struct.__name__, field.name)) or printed(field.default)
    return keys


def printed(default: object) -> str:
    match default:
        case msgspec.NODEFAULT:
            return "must be set"
        case None | "":
            return "none"
        case bool():
            return str(default).lower()
        case int():
            return str(default)
        case enum.Enum():
            return f'`"{default.value}"`'
        case _:
            return f'`"{default}"`'


@pytest.mark.parametrize("title", TABLES)
def test_every_key_is_described_with_its_default(title: str) -> None:
    """The table of each section has the keys of the code, in its order."""
    assert list(documented(title).items()) == list(expected(TABLES[title]).items())


def test_the_example_can_be_used() -> None:
    """What people copy works."""
    example = TEXT.partition("```toml\n")[2].partition("```")[0]
    assert parse_settings(example, source="docs").limits.connections == 2000
