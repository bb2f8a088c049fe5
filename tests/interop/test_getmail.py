"""getmail 6: it refuses to run as root, so root runs it as another user."""

import shutil

from tests.harness.programs import find_program, run, unprivileged_user
from tests.interop.conftest import WIRE, Mailbox, sorted_wire

ALL = sorted(WIRE)
ADDED = b"Return-Path: <unknown>\n"
"""What getmail writes above a message that came without an envelope."""


def getmail(mailbox: Mailbox, *, delete: bool, stls: bool = False) -> list[bytes]:
    """Fetch into a Maildir and return the wire forms of all that is in it."""
    user = unprivileged_user()
    maildir = mailbox.folder / "maildir"
    for part in ("", "tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
        if user:
            shutil.chown(maildir / part, user)
    port = mailbox.site.pop3 if stls else mailbox.site.pop3s
    text = f"""[retriever]
type = {"SimplePOP3Retriever" if stls else "SimplePOP3SSLRetriever"}
server = localhost
port = {port.number}
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
    program = find_program("getmail")
    run(
        (program, "--quiet", "--getmaildir", maildir, "--rcfile", settings),
        user=user,
        environment={"HOME": str(maildir)},
    )
    stored = (path.read_bytes() for path in (maildir / "new").iterdir())
    return sorted_wire([message.removeprefix(ADDED) for message in stored])


def test_keeps_and_fetches_each_once(mailbox: Mailbox) -> None:
    """`delete = false`: the second run finds nothing new by unique-id."""
    assert getmail(mailbox, delete=False) == ALL
    assert getmail(mailbox, delete=False) == ALL
    assert mailbox.remaining() == WIRE


def test_deletes_what_it_has(mailbox: Mailbox) -> None:
    """`delete = true` removes each message once it is in the Maildir."""
    assert getmail(mailbox, delete=True) == ALL
    assert mailbox.remaining() == []
