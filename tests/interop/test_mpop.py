"""mpop: pipelined commands, a file of unique-ids, keeping and deleting."""

from pathlib import Path

import pytest
from tests.harness.programs import find_program, run
from tests.interop.conftest import WIRE, Mailbox, sorted_wire

ALL = sorted(WIRE)


def mpop(mailbox: Mailbox, *, keep: bool, stls: bool = False) -> list[bytes]:
    """Fetch into a Maildir and return the wire forms of all that is in it."""
    maildir = mailbox.folder / "maildir"
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    port = mailbox.site.pop3 if stls else mailbox.site.pop3s
    settings = {
        "account": "default",
        "host": "localhost",
        "port": port.number,
        "tls": "on",
        "tls_starttls": "on" if stls else "off",
        "tls_trust_file": mailbox.ca,
        "user": mailbox.account,
        "password": mailbox.password,
        "pipelining": "on",
        "received_header": "off",
        "delivery": f"maildir {maildir}",
        "uidls_file": mailbox.folder / "uidls",
        "keep": "on" if keep else "off",
    }
    text = "".join(f"{name} {value}\n" for name, value in settings.items())
    run((find_program("mpop"), "--file", mailbox.write("mpoprc", text), "--quiet"))
    return read_new(maildir)


def read_new(maildir: Path) -> list[bytes]:
    return sorted_wire([path.read_bytes() for path in (maildir / "new").iterdir()])


@pytest.mark.parametrize("stls", [False, True], ids=["pop3s", "stls"])
def test_keeps_and_fetches_each_once(mailbox: Mailbox, stls: bool) -> None:
    """With `keep on` a second run gets nothing: unique-ids are the same (RFC 1939 section 7)."""
    assert mpop(mailbox, keep=True, stls=stls) == ALL
    assert mpop(mailbox, keep=True, stls=stls) == ALL
    assert mailbox.remaining() == WIRE


def test_deletes_what_it_has(mailbox: Mailbox) -> None:
    """With `keep off` everything is fetched once and then gone."""
    assert mpop(mailbox, keep=False) == ALL
    assert mailbox.remaining() == []
    assert mpop(mailbox, keep=False) == ALL
