"""mutt without a person: it fetches over POP3S into an mbox and leaves, keeping or deleting."""

import os
import pty
import re
import subprocess
import threading
from pathlib import Path

import pytest
from tests.harness.programs import DEADLINE_S, find_program
from tests.interop.conftest import WIRE, Mailbox
from tests.messages import naive_wire_form

ADDED = re.compile(rb"(?:Status|Content-Length|Lines): .*\n")
"""Header fields that mutt writes into an mbox."""


def mutt(mailbox: Mailbox, *, delete: bool) -> list[bytes]:
    """Let mutt fetch as a person would with a key, and return what its mbox holds."""
    mbox = mailbox.folder / "mbox"
    mbox.touch()
    text = f"""
set folder={mailbox.folder}
set spoolfile={mbox}
set mbox_type=mbox
set pop_host=pops://{mailbox.account}@localhost:{mailbox.site.pop3s.number}
set pop_pass="{mailbox.password}"
set pop_delete={"yes" if delete else "no"}
set ssl_ca_certificates_file={mailbox.ca}
set ssl_verify_host=yes
set move=no
set quit=yes
set header_cache=
push "<fetch-mail><sync-mailbox><exit>"
"""
    _run_on_a_terminal(mailbox, (find_program("mutt"), "-n", "-F", mailbox.write("muttrc", text)))
    content = mbox.read_bytes()
    return [_without_additions(part) for part in re.split(rb"(?m)^From .*\n", content)[1:]]


def _run_on_a_terminal(mailbox: Mailbox, arguments: tuple[str | Path, ...]) -> None:
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "HOME": str(mailbox.folder)}
    with subprocess.Popen(
        arguments, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
    ) as process:
        os.close(its)
        shown = bytearray()
        reader = threading.Thread(target=_drain, args=(ours, shown))
        reader.start()
        try:
            assert process.wait(DEADLINE_S) == 0, bytes(shown)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"mutt did not end: {bytes(shown)!r}")
        finally:
            reader.join(DEADLINE_S)
            os.close(ours)


def _drain(terminal: int, shown: bytearray) -> None:
    while True:
        try:
            octets = os.read(terminal, 1 << 16)
        except OSError:  # the program has gone, and with it the terminal's other side
            return
        if not octets:
            return
        shown += octets


def _without_additions(stored: bytes) -> bytes:
    """Undo what an mbox adds: some header fields, and the empty line before the next message."""
    header, empty, body = stored.partition(b"\n\n")
    return naive_wire_form(ADDED.sub(b"", header + empty) + body.removesuffix(b"\n"))


@pytest.mark.parametrize("delete", [False, True], ids=["keep", "delete"])
def test_fetches(mailbox: Mailbox, delete: bool) -> None:
    """Every message arrives, and is removed from the server only when mutt was told to."""
    assert mutt(mailbox, delete=delete) == WIRE
    assert mailbox.remaining() == ([] if delete else WIRE)
