"""What a stranger may write into a line of the log, and where."""

import base64
import shlex

import pytest
from tests.server.parts import full_store, make_meeting
from tests.server.talking import Talk

from mailkeep.events.log import LogSink

LINE_MAX_OCTETS = 48 * 1024
"""LineMax of journald.conf(5): the journal makes two entries of a longer line."""


@pytest.mark.parametrize("octet", [b"\xff", b"\\", b'"', b"\x01", "é".encode(), "😀".encode()])
async def test_no_name_is_so_long_that_the_journal_cuts_the_line(
    octet: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a stranger wrote would begin a line of its own, and read like an event."""
    talk = Talk(make_meeting(full_store(), sink=LogSink()))
    name = b"\x01 =" + octet * (9000 // len(octet))
    await talk.say(b"AUTH PLAIN %b\r\n" % base64.b64encode(b"\0%b\0x" % name))
    [line] = capsys.readouterr().err.splitlines()
    assert 'event="login refused"' in line
    assert len(line.encode()) < LINE_MAX_OCTETS // 4


async def test_what_a_stranger_wrote_stands_last(capsys: pytest.CaptureFixture[str]) -> None:
    """fail2ban and grep take the first `peer=` of a line, quoted or not: it must be ours."""
    talk = Talk(make_meeting(full_store(), sink=LogSink()))
    await talk.say(b"USER a peer=198.51.100.1:1 reason=forged\r\nPASS x\r\n")
    [line] = capsys.readouterr().err.splitlines()
    assert line.index(" peer=192.0.2.7:40000 ") < line.index("peer=198.51.100.1")
    assert shlex.split(line)[-1].startswith("name=")
