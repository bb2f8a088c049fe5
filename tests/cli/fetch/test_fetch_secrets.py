"""Where `mailkeep fetch` reads a secret: file, command, credential, netrc, standard input."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Done
from tests.cli.fetch.mailbox import Mailbox, mail, subjects
from tests.harness.site import PASSWORD

from mailkeep.fetch.failures import FetchExit
from mailkeep.testing.odd_server import Login, OddMailbox, running_odd_server

Give = Callable[[Mailbox], tuple[str, ...]]
"""Lays the password somewhere and returns the options that name the place."""


def write_secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def in_file(mailbox: Mailbox) -> tuple[str, ...]:
    path = write_secret(mailbox.home / "secret", f"{PASSWORD}\nsecond line\n")
    return ("--password-file", str(path))


def by_command(mailbox: Mailbox) -> tuple[str, ...]:
    path = write_secret(mailbox.home / "secret", f"{PASSWORD}\n")
    return ("--password-command", shlex.join(["cat", str(path)]))


def in_netrc(mailbox: Mailbox) -> tuple[str, ...]:
    entry = f'machine localhost login {mailbox.account} password "{PASSWORD}"\n'
    write_secret(mailbox.home / ".netrc", entry)
    return ("--netrc",)


def as_credential(mailbox: Mailbox) -> tuple[str, ...]:
    write_secret(mailbox.home / "credentials-alice", PASSWORD, 0o400)
    return ("--credential", "credentials-alice")


@pytest.fixture(autouse=True)
def credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(home))


def fetch(mailbox: Mailbox, *arguments: str) -> Done:
    """Fetch without a password on standard input."""
    to = ("--to", f"maildir:{mailbox.maildir}", "--ca", str(mailbox.site.ca))
    return mailbox.run("fetch", mailbox.url, *to, *arguments)


@pytest.mark.parametrize("give", [in_file, by_command, in_netrc, as_credential])
def test_a_secret_is_read_where_the_option_says(mailbox: Mailbox, give: Give) -> None:
    """The first line, without its end; it is asked for nobody else and shown nowhere."""
    mailbox.deliver(mail(1))
    done = fetch(mailbox, *give(mailbox))
    assert done.code == 0, done.err
    assert PASSWORD not in done.out + done.err
    assert subjects(mailbox.maildir) == ["1"]


@pytest.mark.parametrize(
    ("line", "give"),
    [
        ('password_file = "~/secret"', in_file),
        ('password_command = ["cat", "{home}/secret"]', by_command),
        ("netrc = true", in_netrc),
        ('credential = "credentials-alice"', as_credential),
    ],
)
def test_a_secret_is_read_where_the_settings_say(mailbox: Mailbox, line: str, give: Give) -> None:
    """The same places by the keys of `fetch.toml`."""
    give(mailbox)
    mailbox.deliver(mail(1))
    mailbox.write_settings(mailbox.table("alice", line.format(home=mailbox.home)))
    assert mailbox.run("fetch").code == 0
    assert subjects(mailbox.maildir) == ["1"]


@pytest.mark.parametrize("give", [in_file, in_netrc])
def test_a_file_that_others_can_read_is_refused(mailbox: Mailbox, give: Give) -> None:
    """Mode 0600 or nothing: exit code 2, the file is named, and how to mend it."""
    options = give(mailbox)
    name = ".netrc" if give is in_netrc else "secret"
    (mailbox.home / name).chmod(0o644)
    done = fetch(mailbox, *options)
    assert done.code == FetchExit.WRONG
    assert f"{mailbox.home / name} can be read by others (mode 0644)" in done.err
    assert f"hint: chmod 600 {mailbox.home / name}" in done.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/nothing/here", "here cannot be run: "),
        (f"{sys.executable} -c 'raise SystemExit(4)'", "ended with exit code 4"),
        ("true", "the command true printed is empty"),
    ],
)
def test_a_command_that_gives_no_password_is_code_2(
    mailbox: Mailbox, command: str, words: str
) -> None:
    """It is named, and what it ended with; nobody is logged in."""
    done = fetch(mailbox, "--password-command", command)
    assert (done.code, words in done.err) == (FetchExit.WRONG, True), done.err


def test_a_netrc_without_the_account_is_code_2(mailbox: Mailbox) -> None:
    """Host and user must match; the hint shows the line to write."""
    write_secret(mailbox.home / ".netrc", "machine localhost login somebody password x\n")
    done = fetch(mailbox, "--netrc")
    assert done.code == FetchExit.WRONG
    assert f"has no password for {mailbox.account} at localhost" in done.err
    assert f"machine localhost login {mailbox.account} password PASSWORD" in done.err


def test_a_credential_that_systemd_has_not_given_is_code_2(mailbox: Mailbox) -> None:
    """A service without `LoadCredential=` says so."""
    done = fetch(mailbox, "--credential", "missing")
    assert (done.code, "missing" in done.err) == (FetchExit.WRONG, True)


def test_a_token_is_printed_by_a_command(mailbox: Mailbox) -> None:
    """`--token-command`: OAUTHBEARER with what it prints (RFC 7628); a wrong one is code 4."""
    with running_odd_server(OddMailbox.of(b"Subject: one\r\n\r\n\r\n")) as server:
        url = f"pop3://alice@127.0.0.1:{server.port}"
        words = ("fetch", url, "--cleartext", "--to", f"maildir:{mailbox.maildir}")
        wrong = mailbox.run(*words, "--token-command", "echo wrong")
        assert wrong.code == FetchExit.TOKEN, wrong.err
        right = f"echo {Login().token.decode()}"
        assert mailbox.run(*words, "--token-command", right).code == 0
    assert subjects(mailbox.maildir) == ["one"]
