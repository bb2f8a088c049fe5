"""docs/fetch-settings.md describes exactly the settings that there are, with their defaults."""

import re
from enum import Enum
from pathlib import Path

import msgspec
import pytest

from mailkeep.fetch.settings import SUBCOMMANDS, parse_settings
from mailkeep.fetch.settings_tables import AccountTable, OAuthTable, SettingsTable

TEXT = (Path(__file__).parents[2] / "docs" / "fetch-settings.md").read_text()
TABLES: dict[str, type[msgspec.Struct]] = {
    "At the top": SettingsTable,
    "`[accounts.NAME]`": AccountTable,
    "`[accounts.NAME.oauth]`": OAuthTable,
}
IN_WORDS = {
    "state": '`"~/.local/state/mailkeep/fetch"`',
    "keep": "`true`, unless one of the next three is set",
    "delete_after": "never",
    "keep_newest": "no such rule",
    "larger_than": "no such rule",
    "every": "once",
    "auth": "the best that both sides have",
    "ca": "the system's",
    "client_key": "in `client_certificate`",
    "hides_read_mail": "`true` for Gmail",
    "scope": "what was consented to",
}
"""Where nothing is said and `none` would not explain what happens then."""


def documented(title: str) -> dict[str, str]:
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, re.MULTILINE))


def expected(struct: type[msgspec.Struct]) -> dict[str, str]:
    fields = msgspec.structs.fields(struct)
    return {field.name: printed(field) for field in fields if field.name != "oauth"}


def printed(field: msgspec.structs.FieldInfo) -> str:
    match field.default:
        case None:
            return IN_WORDS.get(field.name, "none")
        case msgspec.NODEFAULT:
            return "must be set" if field.default_factory is msgspec.NODEFAULT else "none"
        case bool(default):
            return f"`{str(default).lower()}`"
        case int(default):
            return f"`{default}`"
        case Enum() as default:
            return f'`"{default.value}"`'
        case default:
            return f'`"{default}"`'


@pytest.mark.parametrize("title", TABLES)
def test_every_key_is_described_with_its_default(title: str) -> None:
    """The table of each section has the keys of the code, in its order."""
    assert list(documented(title).items()) == list(expected(TABLES[title]).items())


def test_every_key_has_its_default_in_words_only_where_it_has_none() -> None:
    """A default that comes into the code makes the words here wrong, and this test fails."""
    unset = {
        field.name
        for struct in TABLES.values()
        for field in msgspec.structs.fields(struct)
        if field.default is None
    }
    assert set(IN_WORDS) <= unset


def test_the_example_can_be_used() -> None:
    """What people copy works."""
    example = TEXT.partition("```toml\n")[2].partition("```")[0]
    settings = parse_settings(example, source="docs")
    assert [job.label for job in settings.jobs] == ["private", "work"]
    assert settings.disabled == ("old",)


def test_every_name_that_is_taken_is_listed() -> None:
    """Who calls an account `status` finds the reason."""
    listed = TEXT.partition("`mailkeep fetch` (`run`")[2].partition(")")[0]
    assert {"run", *re.findall(r"`(\w+)`", listed)} == SUBCOMMANDS
