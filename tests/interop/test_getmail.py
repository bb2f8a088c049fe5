"""getmail 6: it refuses to run as root, so root runs it as another user."""

import shutil
from collections.abc import Callable

import pytest
from tests.harness.maildir import make_maildir
from tests.harness.programs import find_program, run, unprivileged_user
from tests.interop.conftest import WIRE, Mailbox, sorted_wire

ALL = sorted(WIRE)
ADDED = b"Return-Path: <unknown>\n"
"""What getmail writes above a message that came without an envelope."""


LOST_CHILD = b"waiting child pid"
"""How getmail 6.18 says that it stood still: it delivers in a child process, and when that is done
before getmail waits for it, the signal is lost. It has nothing to do with the server."""

ATTEMPTS = 5


class LostChild(Exception):
    """getmail ran into its own race; with a fresh account it may have more luck."""


def getmail(mailbox: Mailbox, *, delete: bool) -> list[bytes]:
    """Fetch into a Maildir and return the wire forms of all that is in it."""
    user = unprivileged_user()
    maildir = make_maildir(mailbox.folder / "maildir")
    if user:
        for folder in (maildir, *maildir.iterdir()):
            shutil.chown(folder, user)
    text = f"""[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {mailbox.site.pop3s.number}
timeout = 10
username = {mailbox.account}
password = {mailbox.password}
ca_certs = {mailbox.ca}
[destination]
type = Maildir
path = {maildir}/
[options]
delete = {str(delete).lower()}
read_all = false
delivered_to = false
received = false
"""
    settings = mailbox.write("getmailrc", text, owner=user)
    done = run(
        (find_program("getmail"), "--quiet", "--getmaildir", maildir, "--rcfile", settings),
        user=user,
        environment={"HOME": str(maildir)},
        check=False,
    )
    if LOST_CHILD in done.stdout + done.stderr:
        raise LostChild
    assert done.returncode == 0, done
    stored = (path.read_bytes() for path in (maildir / "new").iterdir())
    return sorted_wire([message.removeprefix(ADDED) for message in stored])


def with_luck(mailboxes: Callable[[], Mailbox], read: Callable[[Mailbox], None]) -> None:
    """Do something with getmail on a fresh account, again if getmail lost its child."""
    for _ in range(ATTEMPTS):
        try:
            read(mailboxes())
        except LostChild:
            continue
        return
    pytest.fail(f"getmail lost its child {ATTEMPTS} times")


def test_keeps_and_fetches_each_once(mailboxes: Callable[[], Mailbox]) -> None:
    """`delete = false`: the second run finds nothing new by unique-id."""

    def read(mailbox: Mailbox) -> None:
        assert getmail(mailbox, delete=False) == ALL
        assert getmail(mailbox, delete=False) == ALL
        assert mailbox.remaining() == WIRE

    with_luck(mailboxes, read)


def test_deletes_what_it_has(mailboxes: Callable[[], Mailbox]) -> None:
    """`delete = true` removes each message once it is in the Maildir."""

    def read(mailbox: Mailbox) -> None:
        assert getmail(mailbox, delete=True) == ALL
        assert mailbox.remaining() == []

    with_luck(mailboxes, read)
