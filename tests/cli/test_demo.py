"""`mailkeep demo`: what it prints can be pasted and works; it leaves nothing behind."""

import re
import shlex
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path

import pytest
from tests.harness.programs import Background, find_program, run
from tests.harness.site import MAILKEEP, python_path

from mailkeep.cli.demo_mail import KINDS, generate_mail

UNTIL = datetime(2026, 1, 31, 12, tzinfo=UTC)
NAMES = tuple(kind.__name__ for kind in KINDS)
MAIL = dict(zip(NAMES, generate_mail("alice@example.org", until=UNTIL), strict=True))


def test_the_printed_lines_work_and_the_folder_goes(tmp_path: Path) -> None:
    """curl lists and reads with the certificate verified, over TLS and over STLS; so does openssl.

    SIGTERM ends it with 0 and removes its folder.
    """
    demo = Background((*MAILKEEP, "demo"), environment={**python_path(), "TMPDIR": str(tmp_path)})
    try:
        demo.wait_for(lambda line: line == "ready", "ready")
        find_program("curl")
        lines = [line.strip() for line in demo.log.splitlines()]
        listing, reading, stls = (shlex.split(it) for it in lines if it.startswith("curl "))
        listed = run(listing).stdout.splitlines()
        assert [line.split()[0] for line in listed] == [b"%d" % n for n in range(1, 17)]
        message = run(reading).stdout
        assert message_from_bytes(message)["Subject"] == "Welcome"
        assert f"{listed[0].decode()}" == f"1 {len(message)}"
        assert run(stls).stdout.splitlines() == listed
        (fetching,) = (line for line in lines if line.startswith("echo "))
        fetched = tmp_path / "shell"
        fetched.write_text(
            f'mailkeep() {{ {shlex.join(map(str, MAILKEEP))} "$@"; }}\n{_by_name(fetching)}\n'
        )
        for _ in range(2):  # the second time there is nothing new
            run(("sh", fetched), environment=python_path())
        (maildir,) = tmp_path.glob("mailkeep-demo-*/fetched/new")
        assert len(list(maildir.iterdir())) == len(listed)
        fetched.unlink()
        find_program("openssl")
        for by_hand in (shlex.split(it) for it in lines if it.startswith("openssl ")):
            assert b"+OK" in run(by_hand, stdin=b"QUIT\n").stdout
    finally:
        code = demo.stop()
    assert code == 0
    assert demo.log.splitlines()[-1].startswith("removed /")
    assert list(tmp_path.iterdir()) == []


def _by_name(line: str) -> str:
    """Return a pasted line with the program called by its name, wherever the demo found it."""
    return re.sub(r"\| \S+ fetch ", "| mailkeep fetch ", line)


def test_two_demonstrations_run_beside_each_other() -> None:
    """Started at the same moment: one takes other ports than the usual ones."""
    both = [Background((*MAILKEEP, "demo"), environment=python_path()) for _ in range(2)]
    try:
        for demo in both:
            demo.wait_for(lambda line: line == "ready", "ready")
    finally:
        codes = [demo.stop() for demo in both]
    assert codes == [0, 0]
    first, second = (set(re.findall(r"listening \w+ (\S+)", demo.log)) for demo in both)
    assert not first & second


def test_there_is_every_kind_of_message() -> None:
    """At least twelve, with what makes servers stumble: RFC 1939 sections 3 and 11."""
    assert len(MAIL) >= 12
    assert b"\n.\n" in MAIL["dot_lines"]
    assert MAIL["dot_lines"].endswith(b"\n.\n")
    assert not MAIL["no_final_newline"].endswith(b"\n")
    assert MAIL["empty_body"].endswith(b"\n\n")
    assert len(MAIL["photo"]) > 3_000_000
    assert max(map(len, MAIL["long_lines"].splitlines())) > 998
    assert b"\r\n" in MAIL["mixed_line_ends"]
    assert re.search(rb"[^\r]\n", MAIL["mixed_line_ends"])
    assert re.search(rb"\r[^\n]", MAIL["mixed_line_ends"])
    assert not MAIL["eight_bit"].isascii()
    with pytest.raises(UnicodeDecodeError):
        MAIL["eight_bit"].decode()
    assert "Grüße".encode() in MAIL["utf8"] or b"=?utf-8?" in MAIL["utf8"]
    assert b"quoted-printable" in MAIL["quoted_printable"]


@pytest.mark.parametrize("kind", MAIL)
def test_each_message_looks_real(kind: str) -> None:
    """From, To, Date, Subject, Message-ID, and a structure that a mail program can show."""
    parsed = message_from_bytes(MAIL[kind])
    assert not parsed.defects
    for part in parsed.walk():
        assert not part.defects
    for name in ("From", "To", "Date", "Subject", "Message-ID"):
        assert parsed[name]
