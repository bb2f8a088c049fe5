"""The text of a `fetch.toml` for imported accounts: one table an account, its notes as comments.

It is written by hand, because Python reads TOML and does not write it (TOML 1.0.0). An account that
is not active is switched off, so that nothing is fetched that was not before; one that could not
stand as it is, because it has no destination, is written as a comment.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence

from mailkeep.fetch.importing.found import ImportedAccount, Value
from mailkeep.fetch.settings import SUBCOMMANDS

_WIDTH = 100
_LABEL_LIMIT = 60
"""`mailkeep.fetch.settings` takes 64; this leaves room for `-2`."""
_NOT_IN_A_LABEL = re.compile(r"[^A-Za-z0-9_.@-]+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHORT = {
    "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\",
}  # fmt: skip
_MUST_BE_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\\ud800-\udfff]')
_NOT_IN_A_COMMENT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def settings_text(accounts: Sequence[ImportedAccount]) -> str:
    """Return the text of a `fetch.toml` with these accounts, each `[accounts.LABEL]`.

    A label that `fetch.toml` would not take, or that is there already, is changed until it can
    stand. A mailbox that comes twice is a comment the second time.
    """
    labels: dict[str, str] = {}
    tables = []
    for account in accounts:
        name = account.account.name
        twin = labels.get(name)
        label = _own_label(account.label, set(labels.values()))
        if twin is None:
            labels[name] = label
        tables.append(_table(account, label, twin))
    return "\n".join(tables)


def _own_label(wanted: str, used: set[str]) -> str:
    plain = _NOT_IN_A_LABEL.sub("-", wanted).lstrip("-")[:_LABEL_LIMIT] or "account"
    label, number = plain, 1
    while label in used or label in SUBCOMMANDS:
        number += 1
        label = f"{plain}-{number}"
    return label


def _table(account: ImportedAccount, label: str, twin: str | None) -> str:
    lines = [f"[accounts.{toml_key(label)}]", f"url = {toml_value(account.url)}"]
    if account.to:
        lines.append(f"to = {toml_value(list(account.to))}")
    lines += _settings(account.settings)
    notes = list(account.notes)
    if twin is not None:
        notes.append(f"the same mailbox as {twin} above")
    if twin is not None or not account.to:
        lines = [f"# {line}" for line in lines]
    elif not account.is_active:
        lines.append("enabled = false")
    comments = [line for note in notes for line in comment(note)]
    return "\n".join([*comments, *lines]) + "\n"


def _settings(settings: Mapping[str, Value]) -> list[str]:
    return [f"{toml_key(key)} = {toml_value(value)}" for key, value in settings.items()]


def comment(text: str) -> list[str]:
    """Return a note as lines of comment, without anything that could end one."""
    printable = _NOT_IN_A_COMMENT.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    lines = textwrap.wrap(printable, _WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return [f"# {'- ' if number == 0 else '  '}{line}" for number, line in enumerate(lines)]


def toml_key(text: str) -> str:
    """Return a key, quoted where it must be."""
    return text if _BARE_KEY.fullmatch(text) else toml_value(text)


def toml_value(value: Value) -> str:
    """Return a value: a basic string, an integer, a boolean or an array of strings."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return f'"{_MUST_BE_ESCAPED.sub(_escape, value)}"'
        case _:
            return f"[{', '.join(toml_value(part) for part in value)}]"


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if "\ud800" <= character <= "\udfff":  # half a pair is no character, and TOML has no escape
        return "\\uFFFD"
    return _SHORT.get(character, f"\\u{ord(character):04x}")
