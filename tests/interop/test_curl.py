"""curl against `mailkeep serve`: list, read, delete, unique-ids, STLS, a wrong authority."""

from datetime import UTC, datetime
from subprocess import CompletedProcess

import pytest
from tests.harness.programs import find_program, run
from tests.interop.conftest import WIRE, Mailbox

from mailkeep.tls import authority

PEER_NOT_VERIFIED = 60
"""curl's exit code CURLE_PEER_FAILED_VERIFICATION."""


def curl(mailbox: Mailbox, *arguments: str, check: bool = True) -> CompletedProcess[bytes]:
    settings = mailbox.write("curlrc", f'user = "{mailbox.account}:{mailbox.password}"\n')
    return run(
        (find_program("curl"), "-sS", "-K", settings, "--cacert", mailbox.ca, *arguments),
        check=check,
    )


def url(mailbox: Mailbox, path: str = "") -> str:
    return f"pop3s://localhost:{mailbox.site.pop3s.number}/{path}"


def test_lists_and_reads(mailbox: Mailbox) -> None:
    """LIST and RETR as curl shows them; mail that was read stays."""
    listing = b"".join(b"%d %d\r\n" % (n, len(wire)) for n, wire in enumerate(WIRE, 1))
    assert curl(mailbox, url(mailbox)).stdout == listing
    for number, wire in enumerate(WIRE, 1):
        assert curl(mailbox, url(mailbox, str(number))).stdout == wire
    assert mailbox.remaining() == WIRE


def test_reads_many_over_one_connection(mailbox: Mailbox) -> None:
    """Several addresses in one call come over one session, each whole."""
    target = mailbox.folder / "mail-#1"
    curl(mailbox, url(mailbox, f"[1-{len(WIRE)}]"), "-o", str(target))
    read = [(mailbox.folder / f"mail-{n}").read_bytes() for n in range(1, len(WIRE) + 1)]
    assert read == WIRE


@pytest.mark.parametrize(("command", "path"), [("DELE 1", ""), ("DELE", "1")])
def test_deletes(mailbox: Mailbox, command: str, path: str) -> None:
    """`-X "DELE 1"` and curl's QUIT remove that message and no other."""
    curl(mailbox, "-I", "-X", command, url(mailbox, path))
    assert mailbox.remaining() == WIRE[1:]


def test_unique_ids(mailbox: Mailbox) -> None:
    """`-X UIDL` shows the same unique-ids each time."""
    first = curl(mailbox, "-X", "UIDL", url(mailbox)).stdout
    assert len(first.splitlines()) == len(WIRE)
    assert curl(mailbox, "-X", "UIDL", url(mailbox)).stdout == first


def test_stls(mailbox: Mailbox) -> None:
    """`--ssl-reqd` on the other port."""
    address = f"pop3://localhost:{mailbox.site.pop3.number}/2"
    assert curl(mailbox, "--ssl-reqd", address).stdout == WIRE[1]


def test_refuses_to_log_in_without_tls(mailbox: Mailbox) -> None:
    """Without `--ssl-reqd` there is no way in on the STLS port, and no password is sent for one."""
    address = f"pop3://localhost:{mailbox.site.pop3.number}/1"
    refused = curl(mailbox, address, check=False)
    assert refused.returncode
    assert not refused.stdout


def test_another_authority_is_not_believed(mailbox: Mailbox) -> None:
    """A certificate that somebody else's authority signed ends the connection at the client."""
    other = mailbox.folder / "other"
    authority.create_authority(other, "mail.example.test", datetime.now(UTC))
    refused = curl(mailbox, "--cacert", str(other / "ca.pem"), url(mailbox), check=False)
    assert refused.returncode == PEER_NOT_VERIFIED
    assert not refused.stdout
