"""fetchmail: TLS from the first byte and STLS, keep and flush, each message handed to a script."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.harness.programs import find_program, run
from tests.interop.conftest import WIRE, Mailbox, sorted_wire

from mailkeep.tls.authority import create_authority

ALL = sorted(WIRE)
NOTHING_NEW = 1
"""fetchmail's exit code PS_NOMAIL."""
CONNECTION_FAILED = 2
"""fetchmail's exit code PS_SOCKET."""


def fetchmail(
    mailbox: Mailbox,
    *options: str,
    stls: bool = False,
    authority: Path | None = None,
    exit_code: int = 0,
) -> None:
    """Fetch with a settings file as the manual shows it; every message becomes a file."""
    arrived = mailbox.folder / "arrived"
    arrived.mkdir(exist_ok=True)
    port = mailbox.site.pop3 if stls else mailbox.site.pop3s
    script = mailbox.write("save", f'#!/bin/sh\nexec cat >"$(mktemp {arrived}/XXXXXX)"\n')
    text = f"""
        set idfile "{mailbox.folder}/ids"
        set pidfile "{mailbox.folder}/pid"
        set invisible
        poll localhost protocol pop3 port {port.number} uidl no dns
          username "{mailbox.account}" password "{mailbox.password}"
          sslcertck sslcertfile "{authority or mailbox.ca}" {"sslproto tls1.2+" if stls else "ssl"}
          {" ".join(options)} no rewrite no stripcr mda "/bin/sh {script}"
    """
    settings = mailbox.write("fetchmailrc", text)
    done = run((find_program("fetchmail"), "-f", settings, "--nosyslog"), check=False)
    assert done.returncode == exit_code, done


def arrived(mailbox: Mailbox) -> list[bytes]:
    return sorted_wire([path.read_bytes() for path in Path(mailbox.folder / "arrived").iterdir()])


@pytest.mark.parametrize("stls", [False, True], ids=["pop3s", "stls"])
def test_keeps_and_fetches_each_once(mailbox: Mailbox, stls: bool) -> None:
    """`keep` leaves the mail on the server; the second run finds nothing new by unique-id."""
    fetchmail(mailbox, "keep", stls=stls)
    assert arrived(mailbox) == ALL
    fetchmail(mailbox, "keep", stls=stls, exit_code=NOTHING_NEW)
    assert arrived(mailbox) == ALL
    assert mailbox.remaining() == WIRE


def test_deletes_what_it_has(mailbox: Mailbox) -> None:
    """`no keep` removes each message after the script has taken it."""
    fetchmail(mailbox, "no keep", "fetchall")
    assert arrived(mailbox) == ALL
    assert mailbox.remaining() == []


def test_flushes_what_it_had(mailbox: Mailbox) -> None:
    """`flush` removes what an earlier run kept, and nothing that is new."""
    fetchmail(mailbox, "keep")
    mailbox.site.deliver(mailbox.account, b"Subject: new\n\nnew\n")
    fetchmail(mailbox, "keep", "flush")
    assert len(arrived(mailbox)) == len(ALL) + 1
    assert mailbox.remaining() == [b"Subject: new\r\n\r\nnew\r\n"]


def test_another_authority_is_not_believed(mailbox: Mailbox) -> None:
    """`sslcertck` with somebody else's authority ends before the password is sent."""
    create_authority(mailbox.folder / "other", "mail.example.test", datetime.now(UTC))
    other = mailbox.folder / "other" / "ca.pem"
    fetchmail(mailbox, "no keep", authority=other, exit_code=CONNECTION_FAILED)
    assert arrived(mailbox) == []
    assert mailbox.remaining() == WIRE
