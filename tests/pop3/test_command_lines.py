"""How a client says a command: one line each, whatever somebody typed."""

import base64
import traceback

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailkeep.pop3 import Command, UnsayableCommand, commands
from mailkeep.pop3.command_lines import CANCEL_LINE, command_line, response_line
from mailkeep.pop3.commands import decode_base64, parse_command
from mailkeep.values import MessageNumber, Secret

ONE = MessageNumber(1)
PASSWORD = b" open  sesame "

LINES: list[tuple[Command, bytes]] = [
    (commands.User(b"alice@example.test"), b"USER alice@example.test\r\n"),
    (commands.User(b"Alice A. \xc3\xa9"), b"USER Alice A. \xc3\xa9\r\n"),
    (commands.Pass(Secret(PASSWORD)), b"PASS  open  sesame \r\n"),
    (commands.Pass(Secret(b"")), b"PASS \r\n"),
    (commands.Auth("PLAIN", None), b"AUTH PLAIN\r\n"),
    (commands.Auth("PLAIN", Secret(b"")), b"AUTH PLAIN =\r\n"),
    (commands.Auth("SCRAM-SHA-256", Secret(b"\0a\0b")), b"AUTH SCRAM-SHA-256 AGEAYg==\r\n"),
    (commands.AuthList(), b"AUTH\r\n"),
    (commands.Capa(), b"CAPA\r\n"),
    (commands.Stls(), b"STLS\r\n"),
    (commands.Quit(), b"QUIT\r\n"),
    (commands.Stat(), b"STAT\r\n"),
    (commands.List(None), b"LIST\r\n"),
    (commands.List(ONE), b"LIST 1\r\n"),
    (commands.Retr(ONE), b"RETR 1\r\n"),
    (commands.Dele(MessageNumber(9_999_999_999)), b"DELE 9999999999\r\n"),
    (commands.Noop(), b"NOOP\r\n"),
    (commands.Rset(), b"RSET\r\n"),
    (commands.Top(ONE, 0), b"TOP 1 0\r\n"),
    (commands.Uidl(None), b"UIDL\r\n"),
    (commands.Uidl(ONE), b"UIDL 1\r\n"),
    (commands.Lang(None), b"LANG\r\n"),
    (commands.Lang(b"*"), b"LANG *\r\n"),
    (commands.Lang(b"de-AT"), b"LANG de-AT\r\n"),
    (commands.Utf8(), b"UTF8\r\n"),
]


@pytest.mark.parametrize(("command", "line"), LINES)
def test_a_command_is_a_keyword_its_arguments_and_crlf(command: Command, line: bytes) -> None:
    """RFC 1939 section 3, RFC 5034 section 4: one space between them, nothing behind the last."""
    assert command_line(command) == line


def test_every_command_can_be_said() -> None:
    """RFC 1939 section 3: a command that is added to the room is added here."""
    assert {type(command) for command, _ in LINES} == set(commands.Command.__args__)


numbers = st.integers(1, 9_999_999_999).map(MessageNumber)
in_a_line = st.binary(max_size=60).filter(lambda octets: not set(octets) & set(b"\r\n\0"))
secrets = st.binary(max_size=60).map(Secret)
sayable: st.SearchStrategy[Command] = st.one_of(
    # A server that lets one space stand behind USER's name takes it off a name that ends with one.
    st.builds(commands.User, in_a_line.filter(lambda name: name[-1:] not in {b"", b" "})),
    st.builds(commands.Pass, in_a_line.map(Secret)),
    st.builds(
        commands.Auth, st.from_regex(r"[A-Z0-9_-]{1,20}", fullmatch=True), st.none() | secrets
    ),
    st.builds(commands.List, st.none() | numbers),
    st.builds(commands.Uidl, st.none() | numbers),
    st.builds(commands.Retr, numbers),
    st.builds(commands.Dele, numbers),
    st.builds(
        commands.Lang,
        st.from_regex(rb"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,3}", fullmatch=True),
    ),
    st.builds(commands.Top, numbers, st.integers(0, 10**12)),
    st.sampled_from([command for command, _ in LINES]),
)


@settings(deadline=None)
@given(sayable)
@example(commands.Pass(Secret(b"*")))
@example(commands.Auth("PLAIN", Secret(b"=")))
@example(commands.User(b"  \x0b\xff"))
def test_a_server_reads_what_was_meant(command: Command) -> None:
    """RFC 1939 section 3: parse_command(command_line(c)) is c, and the line is one line."""
    line = command_line(command)
    assert line.endswith(b"\r\n")
    assert not set(line[:-2]) & set(b"\r\n\0")
    assert parse_command(line[:-2]) == command


ENDS = [b"\r\n", b"\n", b"\r", b"\0", b"\r\nDELE 1", b"\nQUIT\r\n"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_name_or_a_password_that_would_end_its_line_is_refused(end: bytes, place: int) -> None:
    """S-58, CVE-2025-15367: a line break or NUL in what somebody typed is never sent."""
    octets = b"sesame"[:place] + end + b"sesame"[place:]
    for command in (commands.User(octets), commands.Pass(Secret(octets))):
        with pytest.raises(UnsayableCommand):
            command_line(command)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_no_octets_make_two_lines(octets: bytes) -> None:
    """S-58: whatever is in a name, a password or a response, at most one line comes out."""
    for command in (
        commands.User(octets),
        commands.Pass(Secret(octets)),
        commands.Auth("PLAIN", Secret(octets)),
    ):
        try:
            line = command_line(command)
        except UnsayableCommand:
            assert set(octets) & set(b"\r\n\0")
        else:
            assert line.index(b"\r") == line.index(b"\n") - 1 == len(line) - 2


@pytest.mark.parametrize(
    "mechanism",
    ["", "plain", "PLAIN X", "PLAIN\r\nDELE 1", "PLAIN\n", "PLAIN\0", "\u00c4", "A" * 21, "=", "*"],
)
def test_a_mechanism_has_a_name_that_a_mechanism_can_have(mechanism: str) -> None:
    """RFC 4422 section 3.1: 1 to 20 capitals, digits, hyphens and underscores."""
    with pytest.raises(UnsayableCommand):
        command_line(commands.Auth(mechanism, None))


@pytest.mark.parametrize("language", [b"", b"de en", b"de\r\nDELE 1", b"de\n", b"*\0", b"de_AT"])
def test_a_language_is_one_word(language: bytes) -> None:
    """RFC 4647 section 2.1: letters, digits and hyphens, or `*`."""
    with pytest.raises(UnsayableCommand):
        command_line(commands.Lang(language))


@pytest.mark.parametrize(
    "command",
    [
        commands.Pass(Secret(b"open sesame\r\n")),
        commands.Pass(Secret(b"\0open sesame")),
        commands.Auth("NO SUCH", Secret(b"open sesame")),
    ],
    ids=["a line break", "NUL", "a wrong mechanism"],
)
def test_the_refusal_shows_no_secret(command: Command) -> None:
    """S-58: not in its text, its arguments or its causes; a log may show all of these."""
    with pytest.raises(UnsayableCommand) as caught:
        command_line(command)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    assert "sesame" not in told
    assert base64.b64encode(b"open sesame").decode() not in told


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_a_response_is_one_line_of_base64(octets: bytes) -> None:
    """RFC 5034 section 4: not folded, however long, and an empty one is an empty line."""
    line = response_line(Secret(octets))
    assert line.endswith(b"\r\n")
    assert decode_base64(line[:-2]) == Secret(octets)
    assert line != CANCEL_LINE


def test_a_star_cancels() -> None:
    """RFC 5034 section 4: "*" alone, which no base64 is."""
    assert CANCEL_LINE == b"*\r\n"
