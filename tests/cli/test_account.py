"""`mailkeep account`, end to end on a real site."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Run


def test_the_life_of_an_account(mailkeep: Run, site: Path) -> None:
    """Added, shown, disabled, enabled, given a new password, removed."""
    at = ("--site", site, "account")
    assert mailkeep(*at, "add", "alice", "--password-stdin", stdin=PASSWORD + b"\n").code == 0
    shown = json.loads(mailkeep(*at, "show", "alice", "--json").out)
    assert shown["address"] == "alice@mail.example.com"
    assert shown["state"] == "enabled"
    assert shown["maildrop"] == str(site / "mail" / "mail.example.com" / "alice")
    assert mailkeep(*at, "disable", "Alice@Mail.Example.com").code == 0
    listed = json.loads(mailkeep(*at, "list", "--json").out)
    assert [it["state"] for it in listed] == ["disabled"]
    assert mailkeep(*at, "enable", "alice").code == 0
    assert (
        mailkeep(
            *at, "password", "alice", "--password-stdin", stdin=b"another horse, another staple"
        ).code
        == 0
    )
    changed = json.loads(mailkeep(*at, "show", "alice", "--json").out)
    assert changed["password_changed"] > shown["password_changed"]
    assert mailkeep(*at, "remove", "alice", "--yes").code == 0
    assert json.loads(mailkeep(*at, "list", "--json").out) == []


def test_json_has_the_promised_names(mailkeep: Run, site: Path) -> None:
    """`--json` is stable: scripts are written against it."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    listed = json.loads(mailkeep("--site", site, "account", "list", "--json").out)
    assert listed[0].keys() == {
        *("address", "state", "created", "password_changed"),
        *("main_password", "expires", "last_used"),
    }
    shown = json.loads(mailkeep("--site", site, "account", "show", "alice", "--json").out)
    assert shown.keys() == listed[0].keys() | {
        *("failed_guesses", "main_password_locked", "maildrop")
    }


def test_data_goes_to_standard_output_and_talk_to_standard_error(mailkeep: Run, site: Path) -> None:
    """`mailkeep account list | wc -l` counts accounts and one line of headings."""
    done = mailkeep("--site", site, "account", "add", "bob", "--password-stdin", stdin=PASSWORD)
    assert (done.out, done.err) == ("", "added bob@mail.example.com\n")
    done = mailkeep("--site", site, "account", "list")
    assert done.err == ""
    assert [line.split()[0] for line in done.out.splitlines()] == [
        "ADDRESS",
        "bob@mail.example.com",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "alice", "--password-stdin"), "the account alice@mail.example.com exists already"),
        (("show", "bob"), "there is no account bob@mail.example.com"),
        (("password", "bob", "--password-stdin"), "there is no account bob"),
        (("disable", "bob"), "there is no account bob"),
        (("enable", "bob"), "there is no account bob"),
        (("remove", "bob", "--yes"), "there is no account bob"),
    ],
)
def test_what_cannot_be_done_is_said_with_1(
    mailkeep: Run, site: Path, arguments: tuple[str, ...], told: str
) -> None:
    """The thing asked about failed: exit 1, one line, a hint, nothing on standard output."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    done = mailkeep("--site", site, "account", *arguments, stdin=PASSWORD)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[0].startswith(f"error: {told}")
    assert "hint: mailkeep account list" in done.err


@pytest.mark.parametrize(
    ("password", "told"),
    [
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"xxx-xxx", "shorter than 15 characters"),
        (b"a\nb\n", "more than one line"),
        (b"a\x00b\n", "control"),
        (b"\xff\n", "not UTF-8"),
        (b"x" * 100_000, "more than one line"),
    ],
)
def test_what_can_be_no_password_is_refused_and_not_repeated(
    mailkeep: Run, site: Path, password: bytes, told: str
) -> None:
    """RFC 8265 section 4.2; a password is never printed."""
    done = mailkeep("--site", site, "account", "add", "a", "--password-stdin", stdin=password)
    assert done.code == (1 if "more than" in told else 2)
    assert told in done.err
    assert "xxx" not in done.err
    assert mailkeep("--site", site, "account", "list", "--json").out == "[]\n"


@pytest.mark.parametrize("name", ["", "@", "../etc", "a/b", ".hidden", "a b", "a\0b", "a@b@c"])
def test_what_can_be_no_address_is_wrong_usage(mailkeep: Run, site: Path, name: str) -> None:
    """A name could be a path; it is refused before one is built, in one line."""
    done = mailkeep("--site", site, "account", "add", name, "--password-stdin", stdin=PASSWORD)
    assert done.code == 2
    assert len(done.err.splitlines()) == 2


def test_without_a_terminal_nobody_is_asked(mailkeep: Run, site: Path) -> None:
    """A script that forgot an option does not hang and does not guess."""
    done = mailkeep("--site", site, "account", "add", "alice")
    assert done.code == 2
    assert "hint: --password-stdin" in done.err
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    done = mailkeep("--site", site, "account", "remove", "alice")
    assert done.code == 2
    assert "hint: --yes" in done.err
    assert "alice" in mailkeep("--site", site, "account", "list").out


def deliver(mailkeep: Run, site: Path) -> Path:
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    letter = site.parent / "letter"
    letter.write_bytes(b"Subject: x\n\nx\n")
    assert mailkeep("--site", site, "deliver", "alice", letter).code == 0
    return site / "mail" / "mail.example.com" / "alice"


def test_removing_an_account_keeps_its_mail(mailkeep: Run, site: Path) -> None:
    """Mail is lost only by DELE, or by saying so."""
    maildir = deliver(mailkeep, site)
    done = mailkeep("--site", site, "account", "remove", "alice", "--yes")
    assert f"its mail stays in {maildir}" in done.err
    assert len(list((maildir / "new").iterdir())) == 1


def test_with_mail_removes_the_maildir_and_nothing_beside_it(mailkeep: Run, site: Path) -> None:
    """A path that names a home must not take the home along."""
    maildir = deliver(mailkeep, site)
    (maildir / "thesis.tex").touch()
    done = mailkeep("--site", site, "account", "remove", "alice", "--yes", "--with-mail")
    assert done.code == 0
    assert [path.name for path in maildir.iterdir()] == ["thesis.tex"]
    (maildir / "thesis.tex").unlink()
    maildir = deliver(mailkeep, site)
    mailkeep("--site", site, "account", "remove", "alice", "--yes", "--with-mail")
    assert not maildir.exists()


def test_with_mail_removes_a_maildir_on_another_disk(mailkeep: Run, site: Path) -> None:
    """An account's folder may be a link; what is gone is not said to be still there."""
    maildir = deliver(mailkeep, site)
    elsewhere = maildir.rename(site.parent / "other-disk")
    maildir.symlink_to(elsewhere)
    done = mailkeep("--site", site, "account", "remove", "alice", "--yes", "--with-mail")
    assert (done.code, done.err.splitlines()[-1]) == (0, f"removed {maildir}")
    assert not maildir.is_symlink()
    assert not elsewhere.exists()


def test_an_account_that_would_share_a_maildrop_is_refused(mailkeep: Run, site: Path) -> None:
    """Alice of one domain must not read the mail of alice of another."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write('[maildrops]\npath = "mail/{local}"\n')
    add = ("--site", site, "account", "add", "--password-stdin")
    assert mailkeep(*add, "alice", stdin=PASSWORD).code == 0
    done = mailkeep(*add, "alice@example.org", stdin=PASSWORD)
    assert done.code == 2
    assert "would share the maildrop" in done.err


def test_a_broken_database_is_an_error_with_a_hint(mailkeep: Run, site: Path) -> None:
    """No trace, nothing changed."""
    (site / "mailkeep.db").write_bytes(b"no database" * 1000)
    done = mailkeep("--site", site, "account", "list")
    assert done.code == 1
    assert done.err.startswith("error: database ")
    assert "hint: " in done.err
