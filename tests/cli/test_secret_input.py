"""Which main passwords a command takes; nothing of one is ever said."""

import hashlib
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Run

LONG = "a horse that no list has heard of: Ὀδυσσεύς"


def add(mailkeep: Run, site: Path, password: bytes) -> tuple[int, str]:
    """Try to add alice; return the exit code and what was said, which nothing else was."""
    command = ("account", "add", "alice", "--password-stdin")
    done = mailkeep("--site", site, *command, stdin=password)
    assert done.out == ""
    return done.code, done.err


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("kzpquxvbnzrtwq", "it is shorter than 15 characters"),
        ("Passwordpassword1234", "hardly more than a common password"),
        ("qwertyuiop[]asdfghjkl", "neighbouring keys"),
        ("xyzzyxyzzyxyzzyxyzzy", "a few characters over and over"),
        ("alice.mail.example.com", "the account's own name"),
        ("a tab\tis a control character", "control"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason_and_without_itself(
    mailkeep: Run, site: Path, password: str, told: str
) -> None:
    """NIST SP 800-63B-4 section 3.1.1.2; exit 2 and a hint; no account is made."""
    code, said = add(mailkeep, site, password.encode())
    assert code == 2
    error, hint = said.splitlines()
    assert error.startswith("error: this can be no password: ")
    assert told in error
    assert hint.startswith("hint: take four or five words")
    assert password not in said
    assert mailkeep("--site", site, "account", "list", "--json").out == "[]\n"


@pytest.mark.parametrize("password", [LONG, "fifteen letters", LONG * 8, "x" * 30 + LONG])
def test_a_long_one_is_taken_whatever_it_is_made_of(
    mailkeep: Run, site: Path, password: str
) -> None:
    """No rules of composition; 64 characters and more are taken."""
    assert add(mailkeep, site, password.encode()) == (0, "added alice@mail.example.com\n")


def test_the_length_is_a_setting(mailkeep: Run, site: Path) -> None:
    """`minimum_length`, of new passwords only."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write("[login]\nminimum_length = 40\n")
    assert "shorter than 40 characters" in add(mailkeep, site, PASSWORD)[1]
    assert add(mailkeep, site, LONG.encode())[0] == 0


@pytest.mark.parametrize("form", ["plain", "hashes"])
def test_a_breached_password_is_refused(
    mailkeep: Run, site: Path, tmp_path: Path, form: str
) -> None:
    """An operator's own list in either form, for a new account and for another password."""
    breached = [LONG.encode(), b"some other password", b"a third one of those"]
    lines = (
        sorted(hashlib.sha1(it, usedforsecurity=False).hexdigest().upper() for it in breached)
        if form == "hashes"
        else [it.decode() for it in breached]
    )
    (tmp_path / "list").write_text("".join(f"{line}\n" for line in lines))
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write(f'[login]\nbreached_passwords = "{tmp_path}/list"\n')
    code, said = add(mailkeep, site, LONG.encode())
    assert code == 2
    assert "in the file of passwords that others know" in said
    assert "Ὀδυσσεύς" not in said
    assert add(mailkeep, site, PASSWORD)[0] == 0
    change = ("account", "password", "alice", "--password-stdin")
    assert mailkeep("--site", site, *change, stdin=LONG.encode()).code == 2


def test_a_list_that_cannot_be_searched_lets_no_password_through(
    mailkeep: Run, site: Path, tmp_path: Path
) -> None:
    """The operator wants it searched: exit 2 with what is wrong with the file."""
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write(f'[login]\nbreached_passwords = "{tmp_path}/none"\n')
    code, said = add(mailkeep, site, LONG.encode())
    assert code == 2
    assert f"error: {tmp_path}/none: cannot be read" in said
    assert "hint: " in said
    assert mailkeep("--site", site, "account", "list", "--json").out == "[]\n"


def test_a_path_of_the_list_starts_at_the_site(mailkeep: Run, site: Path) -> None:
    """As every other path in the settings."""
    (site / "list").write_text(f"{LONG}\n")
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write('[login]\nbreached_passwords = "list"\n')
    assert add(mailkeep, site, LONG.encode())[0] == 2
