"""A real Postfix hands mail to `mailkeep deliver` as the README says, and it is read over POP3S."""

import contextlib
import pwd
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.harness.client import WireClient, logged_in
from tests.harness.installed import install_for
from tests.harness.postfix import RunningPostfix, running_postfix
from tests.harness.programs import Port, find_program, open_folder, run
from tests.harness.site import listening_port, start_serving
from tests.messages import naive_wire_form

from mailkeep.site import Service

pytestmark = pytest.mark.root

USER = "mailkeep"
DOMAIN = "mail.example.test"
PASSWORD = "correct horse battery"
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
MESSAGE = b"From: x@example.test\nSubject: by Postfix\n\nfirst\n.dot\n\xe4 8-bit\nFrom here\nlast\n"


@dataclass(frozen=True, slots=True)
class Office:
    """A site of the user `mailkeep`, made by its commands, behind a Postfix."""

    site: Path
    program: Path
    pop3s: Port
    ca: Path
    postfix: RunningPostfix

    def session(self, address: str) -> "contextlib.AbstractContextManager[WireClient]":
        return logged_in(self.pop3s, self.ca, address, PASSWORD)

    def take_all(self, address: str) -> list[bytes]:
        """Read everything that is there, and remove it."""
        with self.session(address) as client:
            numbers = [number for number, _ in client.listing(b"LIST")]
            bodies = list(client.bodies([b"RETR %d" % number for number in numbers]))
            for number in numbers:
                client.command(b"DELE %d" % number)
            client.command(b"QUIT")
            return bodies


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """The user that the README's master.cf names; made, and removed again, where it is missing."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        run((find_program("useradd"), "--system", "--shell", "/usr/sbin/nologin", USER))
        yield USER
        run((find_program("userdel"), USER))
    else:
        yield USER


@pytest.fixture(scope="module")
def office(user: str) -> Iterator[Office]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        program = install_for(user, folder)
        home = folder / "home"
        home.mkdir()
        shutil.chown(home, user)
        site = home / "site"

        def mailkeep(*arguments: str, stdin: bytes = b"") -> None:
            run((program, "--site", site, *arguments), user=user, folder=home, stdin=stdin)

        mailkeep("init", "--hostname", DOMAIN, "--pop3s", "127.0.0.1:0")
        for address in (ALICE, BOB):
            mailkeep("account", "add", address, "--password-stdin", stdin=PASSWORD.encode() + b"\n")
        serving = start_serving(site, program=(program,), user=user, folder=home)
        stack.callback(serving.stop)
        postfix = stack.enter_context(
            running_postfix(
                folder / "postfix", domain=DOMAIN, user=user, command=f"{program} --site {site}"
            )
        )
        pop3s = listening_port(serving, Service.POP3S)
        yield Office(site, program, pop3s, site / "tls" / "ca.pem", postfix)


def body_of(wire: bytes) -> bytes:
    """Return what is behind the header, to which Postfix adds its own lines."""
    return wire.partition(b"\r\n\r\n")[2]


def test_mail_arrives_octet_for_octet(office: Office) -> None:
    """Each recipient gets the message; Postfix adds to the header only, dots and 8-bit stay."""
    name = office.postfix.send(MESSAGE, ALICE, BOB, sender="x@example.test")
    office.postfix.wait_for(f"{name}: removed")
    for address in (ALICE, BOB):
        (wire,) = office.take_all(address)
        assert body_of(wire) == body_of(naive_wire_form(MESSAGE))
        assert b"\r\nDelivered-To: %b\r\n" % address.encode() in wire
    assert office.postfix.queue() == []


def test_an_unknown_account_bounces(office: Office) -> None:
    """Exit code 67 sends the mail back to its sender at once (sysexits(3): EX_NOUSER)."""
    name = office.postfix.send(MESSAGE, f"nobody@{DOMAIN}", sender=ALICE)
    line = office.postfix.wait_for(f"{name}: to=<nobody@{DOMAIN}>, relay=mailkeep")
    assert "dsn=5.1.1, status=bounced" in line
    sent_back = office.postfix.wait_for(f"{name}: sender non-delivery notification: ")
    office.postfix.wait_for(f"{sent_back.rpartition(' ')[2]}: removed")
    (notice,) = office.take_all(ALICE)
    assert b"Subject: Undelivered Mail Returned to Sender" in notice
    assert office.postfix.queue() == []


def test_what_cannot_be_stored_now_stays_in_the_queue(office: Office) -> None:
    """Exit code 75 keeps the mail until it can be stored (sysexits(3): EX_TEMPFAIL)."""
    mail = office.site / "mail"
    hidden = mail.rename(office.site / "elsewhere")
    mail.write_bytes(b"in the way")
    shutil.chown(mail, USER)
    name = office.postfix.send(MESSAGE, BOB, sender="x@example.test")
    assert "status=deferred" in office.postfix.wait_for(f"{name}: to=<{BOB}>, relay=mailkeep")
    assert [address for _, address in office.postfix.queue()] == [BOB]
    mail.unlink()
    hidden.rename(mail)
    office.postfix.try_again()
    office.postfix.wait_for(f"{name}: removed")
    (wire,) = office.take_all(BOB)
    assert body_of(wire) == body_of(naive_wire_form(MESSAGE))
