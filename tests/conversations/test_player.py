"""The player can fail: a wrong octet, a reply too many, a connection that stays open."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.conversations.hosts import MemoryHost
from tests.conversations.player import Player, WrongAnswer, shape_of
from tests.conversations.script import BadScript, parse_conversation, read_conversation, unescape
from tests.harness.client import UnexpectedReply
from tests.harness.memory import running_memory_server
from tests.harness.site import PASSWORD

_accounts = (f"account{number}" for number in count(1))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryHost]:
    with running_memory_server(tmp_path_factory.mktemp("player") / "tls", PASSWORD) as server:
        yield MemoryHost(server)


def play(host: MemoryHost, *lines: str) -> None:
    conversation = parse_conversation("under test", list(lines))
    Player(conversation, host, over="tls", account=next(_accounts)).play()


def test_what_is_right_passes(host: MemoryHost) -> None:
    """Exact lines, free text and remembered words."""
    play(
        host,
        "<<one>>",
        "| Subject: one\\n",
        "| \\n",
        "= login",
        "C: UIDL",
        "S: +OK {...}",
        "S: 1 {first}",
        "S: .",
        "C: UIDL 1",
        "C: STAT",
        "S: +OK 1 {first}",
        "S: +OK 1 16",
        "C: QUIT",
        "S: +OK {...}",
        "= closed",
    )


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(("C: STAT", "S: +OK 0  0"), id="another octet"),
        pytest.param(("C: STAT", "S: +OK 0"), id="the line goes on"),
        pytest.param(("C: STAT", "S: -ERR {...}"), id="another status"),
        pytest.param(("C: USER x", "S: -ERR [AUTH] {...}"), id="a code that is not sent"),
        pytest.param(("C: LIST", "S: +OK {...}", "S: 1 {size}"), id="a line too many"),
        pytest.param(("C: LIST", "C: QUIT", "S: +OK {...}", "= closed"), id="a line too few"),
    ],
)
def test_what_is_wrong_fails(host: MemoryHost, lines: tuple[str, ...]) -> None:
    """A server that says anything else than the file is caught."""
    with pytest.raises((WrongAnswer, UnexpectedReply)):
        play(host, "= login", *lines)


def test_free_text_is_no_response_code(host: MemoryHost) -> None:
    """`{...}` does not cover a code: text does not start with a bracket (RFC 2449 section 8)."""
    with pytest.raises(WrongAnswer, match="AUTH"):
        play(host, "= connect", "C: USER x", "S: +OK {...}", "C: PASS y", "S: -ERR {...}")


def test_no_connection_stays_open(host: MemoryHost) -> None:
    """A conversation says how each of its connections ends, so no reply is left unread."""
    with pytest.raises(AssertionError, match="leaves a connection open"):
        play(host, "= login", "C: STAT", "S: +OK 0 0")


def test_shape_is_status_and_lines() -> None:
    """Of another server only the status and the number of lines count."""
    lines = iter([b"+OK a", b"x", b"y", b".", b"+OK b", b"-ERR c", b"+OK 1 2"])
    commands = (b"LIST\r\n", b"STAT\r\n", b"RETR 1\r\n", b"LIST 1\r\n")
    shapes = [shape_of(command, lines) for command in commands]
    assert shapes == [(b"+OK", 2), (b"+OK", 0), (b"-ERR", 0), (b"+OK", 0)]


def test_escapes() -> None:
    """Every octet can be written."""
    assert unescape(r"a\r\n\0\t\\\xff") == b"a\r\n\0\t\\\xff"


def test_a_line_that_means_nothing_is_an_error(tmp_path: Path) -> None:
    """A typing error in a conversation does not pass unseen, nor a file without its rule."""
    for wrong in ("S +OK", "= wait", "C STAT", "<<ONE>>"):
        with pytest.raises(BadScript):
            parse_conversation("wrong", [wrong])
    path = tmp_path / "wrong.txt"
    path.write_text("# A rule without a source.\n= login\n")
    with pytest.raises(BadScript):
        read_conversation(path)
