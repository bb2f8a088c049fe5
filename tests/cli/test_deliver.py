"""`mailkeep deliver` as an MTA runs it: a process, a pipe, an exit code.

Exit 0 only when the message is safe; whatever may pass or can be mended is 75 and nothing else,
because Postfix returns mail to its sender on 73 and 74 as well (Postfix: global/sys_exits.c).
"""

import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from tests.cli.conftest import Run
from tests.harness.programs import run
from tests.harness.site import MAILKEEP, python_path

from mailkeep.maildrop.maildir.digests import DigestIndex
from mailkeep.maildrop.maildir.names import is_internationalised
from mailkeep.maildrop.maildir.stamps import stamp_of
from mailkeep.site import read_site

MESSAGE = b"Subject: hello\n\n.\nA line.\n"
WIRE = MESSAGE.replace(b"\n", b"\r\n")


@pytest.fixture
def alice(mailkeep: Run, site: Path) -> Path:
    """A site with one account; the folder of her mail."""
    password = b"correct horse battery staple"
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=password)
    return site / "mail" / "mail.example.com" / "alice"


def deliver(
    *arguments: str | Path, stdin: bytes = b"", user: str | None = None
) -> tuple[int, bytes, bytes]:
    done = run(
        [*MAILKEEP, *arguments], stdin=stdin, user=user, environment=python_path(), check=False
    )
    return done.returncode, done.stdout, done.stderr


def stored(maildir: Path) -> list[bytes]:
    if not (maildir / "new").exists():
        return []
    return sorted(path.read_bytes() for path in (maildir / "new").iterdir())


@pytest.mark.parametrize("address", ["alice", "alice@mail.example.com", "ALICE@Mail.Example.COM"])
def test_a_message_from_a_pipe_is_stored_as_it_is_sent(
    site: Path, alice: Path, address: str
) -> None:
    """Exit 0 and silence; the file has exactly the octets that go over the wire."""
    assert deliver("--site", site, "deliver", address, stdin=MESSAGE) == (0, b"", b"")
    assert stored(alice) == [WIRE]


def test_the_site_can_be_written_with_an_equals_sign(site: Path, alice: Path) -> None:
    """Both forms of an option mean the same before `deliver` too."""
    assert deliver(f"--site={site}", "deliver", "alice", stdin=MESSAGE)[0] == 0
    assert stored(alice) == [WIRE]


def test_a_message_that_came_with_smtputf8_is_marked(site: Path, alice: Path) -> None:
    """RFC 6856 section 5: which messages are internationalised is known at delivery only."""
    assert deliver("--site", site, "deliver", "--smtputf8", "alice", stdin=MESSAGE)[0] == 0
    assert deliver("--site", site, "deliver", "alice", stdin=MESSAGE)[0] == 0
    marks = [is_internationalised(os.fsencode(path.name)) for path in (alice / "new").iterdir()]
    assert sorted(marks) == [False, True]


def test_a_delivered_message_has_its_digest_in_the_index(site: Path, alice: Path) -> None:
    """It was worked out while the message was written, so no session does it again."""
    assert deliver("--site", site, "deliver", "alice", stdin=MESSAGE)[0] == 0
    (path,) = (alice / "new").iterdir()
    (index_path,) = (site / "index").iterdir()
    base = os.fsencode(path.name)
    with DigestIndex(index_path) as index:
        digest = index.look_up([base])[base]
    assert digest.stamp == stamp_of(path.stat())
    assert digest.sha256 == hashlib.sha256(WIRE).digest()
    assert index_path.stat().st_mode & 0o777 == 0o600


def test_an_index_that_takes_no_more_keeps_no_mail_away(site: Path, alice: Path) -> None:
    """It is only a memory."""
    (site / "index").rmdir()
    (site / "index").touch()
    assert deliver("--site", site, "deliver", "alice", stdin=MESSAGE) == (0, b"", b"")
    assert stored(alice) == [WIRE]


def test_one_message_a_file(site: Path, alice: Path, tmp_path: Path) -> None:
    """Files are read in their order; standard input is not looked at."""
    files = [tmp_path / name for name in ("a", "b")]
    for file in files:
        file.write_bytes(MESSAGE + file.name.encode())
    assert deliver("--site", site, "deliver", "alice", *files, stdin=b"not this")[0] == 0
    assert stored(alice) == [WIRE + b"a\r\n", WIRE + b"b\r\n"]


def test_a_disabled_account_still_gets_mail(mailkeep: Run, site: Path, alice: Path) -> None:
    """Disabling refuses logins; refusing mail would return it to its senders."""
    mailkeep("--site", site, "account", "disable", "alice")
    assert deliver("--site", site, "deliver", "alice", stdin=MESSAGE)[0] == 0
    assert stored(alice) == [WIRE]


@pytest.mark.parametrize(
    "address", ["bob", "alice@example.org", "", "a/b", "../alice", "a\nb", "@"]
)
def test_an_unknown_account_is_67(site: Path, alice: Path, address: str) -> None:
    """EX_NOUSER, and one line for the MTA's log."""
    code, out, err = deliver("--site", site, "deliver", address, stdin=MESSAGE)
    assert (code, out, err.count(b"\n")) == (67, b"", 1)
    assert stored(alice) == []


@pytest.mark.parametrize("arguments", [[], ["--bogus"], ["alice", "--with=x"]])
def test_wrong_usage_is_64(site: Path, arguments: list[str]) -> None:
    """EX_USAGE, not argparse's 2."""
    code, _, err = deliver("--site", site, "deliver", *arguments)
    assert code == 64
    assert err.startswith(b"error: ")


def test_a_file_that_cannot_be_read_is_66_and_nothing_is_delivered(
    site: Path, alice: Path, tmp_path: Path
) -> None:
    """EX_NOINPUT; the files before it are not delivered, so running it again doubles none."""
    (tmp_path / "there").write_bytes(MESSAGE)
    code, _, err = deliver(
        "--site", site, "deliver", "alice", tmp_path / "there", tmp_path / "missing"
    )
    assert code == 66
    assert b"missing: No such file" in err
    assert stored(alice) == []


@pytest.mark.parametrize("broken", ["site", "settings", "database", "missing database", "maildir"])
def test_trouble_that_can_be_mended_is_75(site: Path, alice: Path, broken: str) -> None:
    """EX_TEMPFAIL: the MTA keeps the mail and tries again."""
    match broken:
        case "site":
            (site / "mailkeep.toml").unlink()
        case "settings":
            (site / "mailkeep.toml").write_text("hostnam = 3")
        case "database":
            (site / "mailkeep.db").write_bytes(b"no database" * 1000)
        case "missing database":
            (site / "mailkeep.db").unlink()
        case _:
            alice.parent.mkdir(parents=True)
            alice.touch()
    code, out, err = deliver("--site", site, "deliver", "alice", stdin=MESSAGE)
    assert (code, out) == (75, b"")
    assert err.startswith(b"error: ")
    assert b"Traceback" not in err


@pytest.mark.root
def test_another_user_is_refused_with_75_and_a_hint(site: Path, alice: Path) -> None:
    """A Postfix `pipe` without `user=mailkeep` is an operator's mistake; no mail is lost by it."""
    os.chown(site, 12345, 12345)
    code, _, err = deliver("--site", site, "deliver", "alice", stdin=MESSAGE)
    assert code == 75
    assert b"hint: sudo -u #12345 mailkeep" in err
    assert stored(alice) == []


def test_of_several_files_the_second_that_fails_says_how_far_it_came(
    site: Path, alice: Path, tmp_path: Path
) -> None:
    """A folder can be opened by nobody as a message; what came before is told."""
    (tmp_path / "there").write_bytes(MESSAGE)
    code, _, err = deliver("--site", site, "deliver", "alice", tmp_path / "there", "/proc/self/mem")
    assert code == 75
    assert b"1 of 2 were delivered before" in err
    assert stored(alice) == [WIRE]


@pytest.mark.usefixtures("alice")
def test_an_internal_error_is_75_without_a_trace(
    mailkeep: Run, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even our own mistakes must not return mail to its sender."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("mailkeep.cli.deliver.deliver_message", fail)
    done = mailkeep("--site", site, "deliver", "alice", stdin=MESSAGE)
    assert done.code == 75
    assert "internal error (ZeroDivisionError)" in done.err
    assert "secret detail" not in done.err


def test_closed_standard_streams_do_not_double_a_message(site: Path, alice: Path) -> None:
    """Some pagers of MTAs start programs with output closed: a stored message is exit 0."""
    command: list[str | Path] = [
        "sh",
        "-c",
        'exec "$@" >&- 2>&-',
        "sh",
        *MAILKEEP,
        "--site",
        site,
        "deliver",
        "alice",
    ]
    done = run(command, stdin=MESSAGE, environment=python_path(), check=False)
    assert done.returncode == 0
    assert stored(alice) == [WIRE]


def test_a_closed_standard_input_is_75_and_no_empty_message(site: Path, alice: Path) -> None:
    """Somebody who started us wrongly has not sent an empty mail."""
    command: list[str | Path] = [
        "sh",
        "-c",
        'exec "$@" <&-',
        "sh",
        *MAILKEEP,
        "--site",
        site,
        "deliver",
        "alice",
    ]
    done = run(command, environment=python_path(), check=False)
    assert (done.returncode, stored(alice)) == (75, [])
    assert b"standard input is closed" in done.stderr


def test_help_names_the_exit_codes(mailkeep: Run) -> None:
    """Who writes a master.cf needs them."""
    done = mailkeep("deliver", "--help")
    assert done.code == 0
    for code in ("64", "66", "67", "75"):
        assert f"\n  {code}  " in done.out


RUNS = 10
"""The least of so many is what it takes; the others were interrupted."""

REFERENCE = "import asyncio, http.client, sqlite3, tarfile, unittest.mock, xml.dom.minidom, pydoc"
REFERENCE_S = 0.115
"""What a program that only imports so much takes where the limits below were set."""


def cpu_s(arguments: list[str | Path]) -> float:
    """Return the least CPU time, in seconds, of several runs in a new process.

    On a machine that is slower at this moment it is scaled by what the reference takes beside it.
    """
    spent_s, shares = [], []
    for _ in range(RUNS):
        reference_s = cpu_once_s(REFERENCE, [])
        spent_s.append(cpu_once_s("from mailkeep.cli import main; main()", arguments))
        shares.append(spent_s[-1] / reference_s)
    return min(*spent_s, REFERENCE_S * median(shares))


def cpu_once_s(code: str, arguments: list[str | Path]) -> float:
    """Return the CPU time of one run; it finds bytecode, as that of an installed package does."""
    environment = {**os.environ, **python_path()}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        env=environment,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_deliver_takes_little_time(site: Path, alice: Path) -> None:
    """At most 0.15 s of CPU: it is run once a mail."""
    assert cpu_s(["--site", site, "deliver", "alice"]) <= 0.15
    assert len(stored(alice)) == RUNS


def test_help_takes_little_time() -> None:
    """At most 0.3 s of CPU."""
    assert cpu_s(["--help"]) <= 0.3


@pytest.mark.usefixtures("alice")
def test_deliver_imports_nothing_heavy(site: Path) -> None:
    """Neither typer, rich, SQLAlchemy, asyncio nor structlog: that is where the time would go."""
    probe = (
        "import sys; from mailkeep.cli.entry import run;"
        f" assert run(['--site', {str(site)!r}, 'deliver', 'alice']) == 0;"
        " heavy = {'typer', 'rich', 'sqlalchemy', 'asyncio', 'structlog', 'alembic', 'argon2'};"
        " sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = run([sys.executable, "-c", probe], environment=python_path(), check=False)
    assert done.returncode == 0, done.stderr


def test_the_message_is_what_the_listing_shows(mailkeep: Run, site: Path, alice: Path) -> None:
    """`maildrop list` shows number, unique-id and the octets of the wire form (RFC 1939)."""
    mailkeep("--site", site, "deliver", "alice", stdin=MESSAGE)
    done = mailkeep("--site", site, "maildrop", "list", "alice")
    _, row = done.out.splitlines()
    number, uidl, octets = row.split()
    assert (number, int(octets)) == ("1", len(WIRE))
    assert uidl == next((alice / "new").iterdir()).name
    assert read_site(site).settings.hostname in uidl
