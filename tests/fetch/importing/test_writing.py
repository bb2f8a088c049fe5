"""The text of `fetch.toml`: what a parser of TOML and Mailkeep's own settings make of it."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.importing.found import ImportedAccount, Value
from mailkeep.fetch.importing.writing import settings_text, toml_key, toml_value
from mailkeep.fetch.settings import parse_settings

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = TEXTS | st.integers(0, 10**9) | st.booleans() | st.lists(TEXTS)


def account(label: str = "a", user: str = "joe", **changes: Value) -> ImportedAccount:
    url = f"pop3s://{user}@mail.example.com"
    return ImportedAccount(label, url, ("maildir:~/Mail",), {"keep": True, **changes}, (), ())


def inactive(one: ImportedAccount, *, to: tuple[str, ...]) -> ImportedAccount:
    return ImportedAccount(one.label, one.url, to, one.settings, (), (), is_active=False)


@given(TEXTS, VALUES)
def test_every_value_comes_back(key: str, value: Value) -> None:
    """TOML 1.0.0, "String", "Keys": whatever is written is read again as it was."""
    assert tomllib.loads(f"{toml_key(key)} = {toml_value(value)}\n") == {key: value}


@given(st.lists(st.text(), min_size=1), st.text())
def test_a_note_is_a_comment_whatever_is_in_it(notes: list[str], label: str) -> None:
    """TOML 1.0.0, "Comment": no control character; a note never becomes a setting."""
    one = ImportedAccount(label, account().url, ("mbox:/a",), {"keep": True}, tuple(notes), ())
    text = settings_text([one])
    (job,) = parse_settings(text, source="fetch.toml").jobs
    assert job.destinations == ("mbox:/a",)
    assert not job.policy.deletes


def test_what_is_written_is_what_a_fetch_does() -> None:
    """Every key that an import sets is one that `fetch.toml` has."""
    one = account(
        password_command=["sh", "-c", 'echo "$X" \\'],
        larger_than="20M",
        larger="headers",
        every="5m",
        timeout=90,
        auth="SCRAM-SHA-256",
        ca="/ca.pem",
        pins=["ab" * 32],
        client_certificate="/c.pem",
        client_key="/k.pem",
        minimum="TLSv1.3",
        recipient="joe@example.com",
    )
    (job,) = parse_settings(settings_text([one]), source="fetch.toml").jobs
    assert job.label == "a"
    assert job.account.tls.pins == (b"\xab" * 32,)
    assert job.policy.larger_than == 20 << 20
    assert job.every_s == 300


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("Jürgen & Co", "J-rgen-Co"),
        ("--", "account"),
        ("list", "list-2"),
        ("joe@pop.example", "joe@pop.example"),
        ("x" * 99, "x" * 60),
        ('"]\n[accounts.b', "accounts.b"),
    ],
)
def test_a_label_is_one_that_can_be_called(label: str, written: str) -> None:
    """`mailkeep fetch LABEL`: no other command, no option, nothing that ends the table's name."""
    (job,) = parse_settings(settings_text([account(label)]), source="fetch.toml").jobs
    assert job.label == written


def test_two_accounts_of_one_name_are_both_there() -> None:
    """TOML 1.0.0, "Table": a table is defined once."""
    text = settings_text([account("a", "joe"), account("a", "ann"), account("a-2", "eve")])
    labels = [job.label for job in parse_settings(text, source="fetch.toml").jobs]
    assert labels == ["a", "a-2", "a-2-2"]


def test_a_mailbox_that_two_programs_fetched_is_fetched_once() -> None:
    """One account, one journal: the second is a comment that names the first."""
    text = settings_text([account("a"), account("b")])
    assert [job.label for job in parse_settings(text, source="fetch.toml").jobs] == ["a"]
    assert "the same mailbox as a" in text


def test_what_was_not_fetched_is_not_fetched() -> None:
    """An account that is not active is switched off, or a comment if it has no destination."""
    off = inactive(account("off", "ann"), to=("mbox:/a",))
    bare = inactive(account("bare", "eve"), to=())
    settings = parse_settings(settings_text([account(), off, bare]), source="fetch.toml")
    assert [job.label for job in settings.jobs] == ["a"]
    assert settings.disabled == ("off",)
