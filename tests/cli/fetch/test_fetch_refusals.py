"""`mailkeep fetch` that cannot go on: a line that says why, one with the next step, a code."""

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.fetch.mailbox import Mailbox, mail, stored, subjects
from tests.harness.programs import free_ports

from mailkeep.cli.entry import EXIT_INTERRUPTED
from mailkeep.fetch.failures import FetchExit

ARGUMENTS = {
    "no scheme": ("mail.example.com",),
    "no user": ("pop3s://mail.example.com", "--to", "mbox:m"),
    "no host": ("pop3s://alice@", "--to", "mbox:m"),
    "another protocol": ("imaps://alice@mail.example.com", "--to", "mbox:m"),
    "a password in it": ("pop3s://alice:hunter2@mail.example.com", "--to", "mbox:m"),
    "no port": ("pop3s://alice@mail.example.com:pop", "--to", "mbox:m"),
    "something behind the host": ("pop3s://alice@mail.example.com/INBOX", "--to", "mbox:m"),
    "a space in the host": ("pop3s://alice@mail example.com", "--to", "mbox:m"),
    "two URLs": ("pop3s://a@x.example", "pop3s://b@x.example", "--to", "mbox:m"),
    "no destination": ("pop3s://alice@mail.example.com",),
    "no terminal": ("pop3s://alice@mail.example.com", "--to", "mbox:m"),
    "two secrets": ("pop3s://a@x.example", "--to", "mbox:m", "--netrc", "--password-stdin"),
    "keep and delete": ("pop3s://a@x.example", "--to", "mbox:m", "--keep", "--delete"),
    "two ways to delete": (
        "pop3s://a@x.example", "--to", "mbox:m", "--delete", "--keep-newest", "1",
    ),
    "no time": ("pop3s://a@x.example", "--to", "mbox:m", "--delete-after", "soon"),
    "no interval": ("pop3s://a@x.example", "--to", "mbox:m", "--every", "5"),
    "no end": ("pop3s://a@x.example", "--to", "mbox:m", "--max-time", "1 hour", "--netrc"),
    "no first run": ("pop3s://a@x.example", "--to", "mbox:m", "--initial", "some"),
    "no size": ("pop3s://a@x.example", "--to", "mbox:m", "--larger-than", "big", "skip"),
    "nothing to do with it": ("pop3s://a@x.example", "--to", "mbox:m", "--larger-than", "1M", "no"),
    "half an option": ("pop3s://a@x.example", "--to", "mbox:m", "--larger-than", "20M"),
    "no pin": ("pop3s://a@x.example", "--to", "mbox:m", "--pin", "abc"),
    "TLS and none": ("pop3s://a@x.example", "--to", "mbox:m", "--cleartext"),
    "a quote is open": ("pop3s://a@x.example", "--to", "mbox:m", "--password-command", "pass 'x"),
    "clear text elsewhere": (
        "pop3://a@x.example", "--to", "mbox:m", "--cleartext", "--password-command", "echo x",
    ),
    "no settings": (),
    "an account without settings": ("private",),
    "an unknown option": ("--inital", "none"),
}  # fmt: skip


def test_wrong_usage_says_what_is_wrong_and_what_to_write(mailbox: Mailbox, snapshot: Path) -> None:
    """Exit code 2, an error line, mostly a hint; nothing is written and nobody is called."""
    told = []
    for name, arguments in ARGUMENTS.items():
        done = mailbox.run("fetch", *arguments)
        assert (done.code, done.out) == (2, ""), name
        assert done.err.startswith("error: "), name
        assert "hunter2" not in done.err, name
        shown = done.err.replace(str(mailbox.home), "/home/alice")
        told.append(f"# {name}\n$ mailkeep fetch {' '.join(arguments)}".rstrip() + f"\n{shown}")
    text = "\n".join(told)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.write_text(text)
    assert snapshot.read_text() == text
    assert not any((mailbox.home / name).exists() for name in ("Mail", "mbox:m", "m"))


@pytest.fixture
def snapshot() -> Path:
    return Path(__file__).with_name("snapshots") / "wrong usage.txt"


def test_a_wrong_password_is_code_3(mailbox: Mailbox) -> None:
    """The server's words are quoted; one try, and the hint warns of more."""
    done = mailbox.fetch(password="wrong")
    assert done.code == FetchExit.LOGIN
    error, hint = done.err.splitlines()
    assert error.startswith(f"error: {mailbox.account}@localhost: the server refuses the login: ")
    assert "may lock the account" in hint
    assert mailbox.fetch(password="correct horse battery").code == 0


def test_a_mechanism_that_the_server_lacks_is_not_replaced(mailbox: Mailbox) -> None:
    """`--auth` is the one or none."""
    done = mailbox.fetch("--auth", "cram-md5")
    assert done.code in {FetchExit.WRONG, FetchExit.LOGIN}
    assert "CRAM-MD5" in done.err


def test_nobody_listens_is_code_6(mailbox: Mailbox) -> None:
    """The address is named, so a wrong port is seen, and the reason in the system's words."""
    (port,) = free_ports(1)
    for host in ("127.0.0.1", "localhost"):  # one address, several
        url = f"pop3s://alice@{host}:{port.number}"
        done = mailbox.run("fetch", url, *mailbox.options(), stdin=b"x\n")
        assert done.code == FetchExit.NETWORK
        assert f"cannot connect to {host}:{port.number}: Connection refused\n" in done.err


def test_an_account_that_another_run_has_is_code_10(mailbox: Mailbox) -> None:
    """The process is named; the other run is not disturbed."""
    assert mailbox.fetch().code == 0
    mailbox.deliver(mail(1))
    with (mailbox.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        done = mailbox.fetch()
        assert done.code == FetchExit.LOCKED
        assert f"process {os.getpid()} fetches this account already" in done.err
    assert stored(mailbox.maildir) == {}
    assert mailbox.fetch().code == 0


@pytest.mark.parametrize("damage", ["garbage", "newer", "cut"])
def test_a_journal_that_cannot_be_used_is_code_11(mailbox: Mailbox, damage: str) -> None:
    """Nothing is fetched or deleted, and the file stays as it is; the hint says what helps."""
    mailbox.deliver(mail(1))
    assert mailbox.fetch().code == 0
    path = mailbox.state / "journal.db"
    with closing(sqlite3.connect(path)) as journal:
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if damage == "newer":
            journal.execute("PRAGMA user_version = 99")
    if damage == "garbage":
        path.write_bytes(b"not a database " * 1000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    before = path.read_bytes()
    mailbox.deliver(mail(2))
    done = mailbox.fetch("--delete")
    assert done.code == FetchExit.JOURNAL, done.err
    assert str(path) in done.err
    assert "hint: " in done.err
    assert path.read_bytes() == before
    assert subjects(mailbox.maildir) == ["1"]
    assert len(mailbox.remaining()) == 2


def test_a_state_folder_that_cannot_be_made_is_code_9(mailbox: Mailbox) -> None:
    """And `--state DIR` is the way out."""
    blocked = mailbox.home / "a file"
    blocked.touch()
    mailbox.deliver(mail(1))
    done = mailbox.fetch("--state", blocked / "state")
    assert (done.code, "--state DIR" in done.err) == (FetchExit.STORAGE, True)
    assert mailbox.fetch("--state", mailbox.home / "state").code == 0
    assert not mailbox.state.exists()


def test_an_interrupt_at_a_command_that_looks_is_code_130(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends `list` at once, without a trace on the screen."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mailkeep.cli.fetch.choosing.choose", interrupt)
    done = mailbox.look("list")
    assert (done.code, done.out, done.err) == (EXIT_INTERRUPTED, "", "")
