"""`--to`: each kind of destination by the command, several at once, one that fails for a while."""

import mailbox as stdlib_mailbox
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.fetch.mailbox import Mailbox, in_folder, mail, stored, subjects, wires
from tests.harness.dovecot_lmtp import RunningLmtp, running_lmtp
from tests.harness.programs import open_folder
from tests.messages import naive_wire_form

MESSAGES = (mail(1), mail(2, "From here\n.\n>From there"), mail(3, "no end")[:-1])
KEEPER = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
if (folder / "closed").exists():
    sys.exit("the keeper is closed")
number = len(list(folder.glob("*.mail")))
(folder / f"{number}.mail").write_bytes(sys.stdin.buffer.read())
"""
"""A program for `pipe:` that can be made to refuse."""


@pytest.fixture
def keeper(tmp_path: Path) -> Path:
    """A folder that the program keeps mail in; a file `closed` in it lets it refuse."""
    folder = tmp_path / "keeper"
    folder.mkdir()
    (tmp_path / "keeper.py").write_text(KEEPER)
    return folder


def pipe_to(keeper: Path) -> str:
    program = keeper.parent / "keeper.py"
    return f"pipe:{shlex.join([sys.executable, str(program), str(keeper)])}"


def piped(keeper: Path) -> Counter[bytes]:
    return Counter(path.read_bytes() for path in keeper.glob("*.mail"))


@pytest.fixture(scope="module")
def lmtp() -> Iterator[RunningLmtp]:
    with open_folder() as folder, running_lmtp(folder) as server:
        yield server


def in_mbox(path: Path) -> list[str | None]:
    """Return the subjects that Python's own reader of mbox files finds."""
    with_mbox = stdlib_mailbox.mbox(path, create=False)
    try:
        return [message["Subject"] for message in with_mbox]
    finally:
        with_mbox.close()


def test_an_mbox_has_each_message_once(mailbox: Mailbox) -> None:
    """`mbox:FILE`, made if it is missing; a second run appends what is new."""
    path = mailbox.home / "Mail" / "inbox"
    mailbox.deliver(*MESSAGES)
    assert mailbox.fetch(to=[f"mbox:{path}"]).code == 0
    mailbox.deliver(mail(4))
    assert mailbox.fetch(to=[f"mbox:{path}"]).code == 0
    assert in_mbox(path) == ["1", "2", "3", "4"]
    assert b"\n>From here\r\n.\r\n>>From there\r\n" in path.read_bytes()


def test_a_folder_has_one_file_a_message(mailbox: Mailbox) -> None:
    """`dir:FOLDER`: octets as they came, in files that end with `.eml`."""
    folder = mailbox.home / "archive"
    mailbox.deliver(*MESSAGES)
    for _ in range(2):
        assert mailbox.fetch(to=[f"dir:{folder}"]).code == 0
        assert in_folder(folder) == wires(*MESSAGES)


def test_a_program_gets_each_message(mailbox: Mailbox, keeper: Path) -> None:
    """`pipe:COMMAND`, without a shell; the output says once that a crash may double."""
    mailbox.deliver(*MESSAGES)
    done = mailbox.fetch(to=[pipe_to(keeper)])
    assert done.code == 0
    assert piped(keeper) == wires(*MESSAGES)
    notes = [line for line in done.err.splitlines() if line.startswith("note: pipe:")]
    assert len(notes) == 1
    assert notes[0].endswith(
        ": at least once; a crash while handing on may deliver a message twice"
    )
    assert mailbox.fetch("--quiet", to=[pipe_to(keeper)]).err == ""
    assert piped(keeper) == wires(*MESSAGES)


@pytest.mark.parametrize("door", ["port", "socket"])
def test_an_lmtp_server_gets_each_message(mailbox: Mailbox, lmtp: RunningLmtp, door: str) -> None:
    """`lmtp:HOST:PORT` and `lmtp:/SOCKET`, for the recipient that is named (RFC 2033)."""
    place = f"127.0.0.1:{lmtp.port}" if door == "port" else str(lmtp.socket)
    mailbox.deliver(mail(1), mail(2))
    for _ in range(2):
        done = mailbox.fetch("--recipient", f"{door}@example.test", to=[f"lmtp:{place}"])
        assert done.code == 0
    assert lmtp.messages(door) == [mail(1), mail(2)]


def test_several_destinations_have_everything(mailbox: Mailbox, keeper: Path) -> None:
    """A message is done when all have it; named twice, a place is one place."""
    mailbox.deliver(*MESSAGES)
    folder, mbox = mailbox.home / "archive", mailbox.home / "inbox"
    to = [f"maildir:{mailbox.maildir}", f"dir:{folder}", f"mbox:{mbox}", pipe_to(keeper)]
    for _ in range(2):
        assert mailbox.fetch("--delete", to=[*to, to[0]]).code == 0
        assert stored(mailbox.maildir) == in_folder(folder) == piped(keeper) == wires(*MESSAGES)
        assert in_mbox(mbox) == ["1", "2", "3"]
    assert mailbox.remaining() == []


def test_a_destination_that_refused_gets_it_later_and_nobody_twice(
    mailbox: Mailbox, keeper: Path
) -> None:
    """Nothing is deleted before; the others are not given the message again (S-41)."""
    mailbox.deliver(mail(1), mail(2))
    to = [f"maildir:{mailbox.maildir}", pipe_to(keeper)]
    (keeper / "closed").touch()
    done = mailbox.fetch("--delete", to=to)
    assert done.code == 1
    assert "the keeper is closed" in done.err
    assert subjects(mailbox.maildir) == ["1", "2"]
    assert len(mailbox.remaining()) == 2
    (keeper / "closed").unlink()
    mailbox.deliver(mail(3))
    assert mailbox.fetch("--delete", to=to).code == 0
    assert subjects(mailbox.maildir) == ["1", "2", "3"]
    assert piped(keeper) == wires(mail(1), mail(2), mail(3))
    assert mailbox.remaining() == []


def test_a_message_that_a_program_never_takes_is_set_aside(mailbox: Mailbox, keeper: Path) -> None:
    """Three tries, then quarantine: its octets are kept and it is no longer asked for (S-68)."""
    mailbox.deliver(mail(1))
    (keeper / "closed").touch()
    codes = [mailbox.fetch("--delete", to=[pipe_to(keeper)]).code for _ in range(4)]
    assert codes == [1, 1, 1, 0]
    assert in_folder(mailbox.state / "quarantine") == wires(mail(1))
    assert len(mailbox.remaining()) == 1


def test_a_place_that_cannot_be_made_ends_the_run_before_it_begins(mailbox: Mailbox) -> None:
    """Exit code 9, and nothing is fetched into the others only to be fetched again."""
    mailbox.deliver(mail(1))
    blocked = mailbox.home / "a file"
    blocked.touch()
    done = mailbox.fetch("--delete", to=[f"maildir:{mailbox.maildir}", f"dir:{blocked}/archive"])
    assert done.code == 9
    assert "archive" in done.err
    assert stored(mailbox.maildir) == {}
    assert len(mailbox.remaining()) == 1
    blocked.unlink()
    assert mailbox.fetch(to=[f"maildir:{mailbox.maildir}", f"dir:{blocked}/archive"]).code == 0
    assert stored(mailbox.maildir) == in_folder(blocked / "archive") == wires(mail(1))


def test_a_destination_that_vanished_is_not_made_anew(mailbox: Mailbox) -> None:
    """A disk that is not mounted looks like an empty place: exit code 9, nothing deleted (S-66)."""
    mailbox.deliver(mail(1))
    assert mailbox.fetch().code == 0
    away = mailbox.home / "away"
    mailbox.maildir.rename(away)
    mailbox.deliver(mail(2))
    done = mailbox.fetch("--delete")
    assert (done.code, str(mailbox.maildir) in done.err, "hint: " in done.err) == (9, True, True)
    assert not mailbox.maildir.exists()
    assert len(mailbox.remaining()) == 2
    away.rename(mailbox.maildir)
    assert mailbox.fetch("--delete").code == 0
    assert subjects(mailbox.maildir) == ["1", "2"]


def test_a_destination_that_is_added_later_protects_what_it_lacks(mailbox: Mailbox) -> None:
    """Deleted is only what every destination of this run has."""
    mailbox.deliver(mail("old"))
    assert mailbox.fetch().code == 0
    mailbox.deliver(mail("new"))
    folder = mailbox.home / "archive"
    to = [f"maildir:{mailbox.maildir}", f"dir:{folder}"]
    assert mailbox.fetch("--delete", to=to).code == 0
    assert subjects(mailbox.maildir) == ["new", "old"]
    assert in_folder(folder) == wires(mail("new"))
    assert mailbox.remaining() == [naive_wire_form(mail("old"))]


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("Mail", "Mail is no destination"),
        ("imap:inbox", "imap:inbox is no destination"),
        ("maildir:", "says nothing behind the colon"),
        ("pipe:cat '", "a quote is not closed"),
        ("lmtp:localhost", "is no server"),
        ("mbox:folder/", "is a folder"),
    ],
)
def test_a_destination_that_is_none_is_wrong_usage(mailbox: Mailbox, to: str, words: str) -> None:
    """Exit code 2 with the reason and how to write it; nothing is stored."""
    done = mailbox.fetch(to=[to])
    assert (done.code, done.out) == (2, "")
    *_, error, hint = done.err.splitlines()
    assert (error[:7], hint[:6], words in error) == ("error: ", "hint: ", True)
