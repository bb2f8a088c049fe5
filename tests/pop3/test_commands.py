"""What a line says: one reading of it, and a strict one."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailkeep.pop3 import Command, commands
from mailkeep.pop3.commands import (
    BadCommand,
    NotPop3,
    ObsoleteCommand,
    decode_base64,
    parse_command,
)
from mailkeep.values import MessageNumber, Secret

ONE = MessageNumber(1)
PLAIN_RESPONSE = b"\0alice\0open sesame"
ENCODED = base64.b64encode(PLAIN_RESPONSE)

WELL_SAID: dict[bytes, Command] = {
    b"USER alice": commands.User(b"alice"),
    b"PASS sesame": commands.Pass(Secret(b"sesame")),
    b"AUTH": commands.AuthList(),
    b"AUTH PLAIN": commands.Auth("PLAIN", None),
    b"CAPA": commands.Capa(),
    b"STLS": commands.Stls(),
    b"QUIT": commands.Quit(),
    b"STAT": commands.Stat(),
    b"LIST": commands.List(None),
    b"LIST 1": commands.List(ONE),
    b"RETR 1": commands.Retr(ONE),
    b"DELE 1": commands.Dele(ONE),
    b"NOOP": commands.Noop(),
    b"RSET": commands.Rset(),
    b"TOP 1 0": commands.Top(ONE, 0),
    b"UIDL": commands.Uidl(None),
    b"UIDL 1": commands.Uidl(ONE),
    b"LANG": commands.Lang(None),
    b"LANG de-AT": commands.Lang(b"de-AT"),
    b"UTF8": commands.Utf8(),
}
TAKES_NOTHING = [b"CAPA", b"STLS", b"QUIT", b"STAT", b"NOOP", b"RSET", b"UTF8"]
TAKES_A_NUMBER = [b"LIST", b"RETR", b"DELE", b"UIDL"]


@pytest.mark.parametrize(("line", "command"), WELL_SAID.items())
def test_a_keyword_is_compared_without_case(line: bytes, command: Command) -> None:
    """RFC 1939 section 3: keywords are case-insensitive; arguments stay as they are."""
    word, space, rest = line.partition(b" ")
    for spelled in (word, word.lower(), word.title(), word.swapcase()):
        assert parse_command(spelled + space + rest) == command


@pytest.mark.parametrize("line", [line for line in WELL_SAID if not line.startswith(b"PASS")])
def test_one_trailing_space_is_let_pass_and_no_second(line: bytes) -> None:
    """RFC 1939 section 3 has none, but `LIST ` is sent by real programs; two are nobody's."""
    assert parse_command(line + b" ") == WELL_SAID[line]
    if line != b"USER alice":  # a name may hold spaces
        with pytest.raises(BadCommand):
            parse_command(line + b"  ")


@pytest.mark.parametrize("word", TAKES_NOTHING)
@pytest.mark.parametrize("rest", [b" 1", b" x", b"  ", b"  x", b" \t", b" 1 2"])
def test_surplus_arguments_are_refused(word: bytes, rest: bytes) -> None:
    """RFC 1939 section 3, RFC 2449 section 5, RFC 2595 section 4: these take no argument."""
    with pytest.raises(BadCommand):
        parse_command(word + rest)


@pytest.mark.parametrize(
    "line",
    [
        b"RETR", b"RETR ", b"DELE", b"DELE ", b"TOP", b"TOP ", b"TOP 1", b"TOP 1 ",
        b"RETR 1 2", b"LIST 1 2", b"DELE 1 2", b"UIDL 1 2", b"TOP 1 2 3", b"TOP  1 2", b"TOP 1  2",
        b"LIST  1", b"RETR  1", b"RETR 1  ", b"RETR\t1", b"RETR 1\t", b"LIST\t", b"TOP 1\t0",
        b"RETR 1\r", b"RETR 1\0", b"RETR 1,2", b"RETR 1-2", b"RETR *",
    ],
)  # fmt: skip
def test_fields_are_as_many_as_the_command_has_with_one_space_between(line: bytes) -> None:
    """RFC 1939 section 3: arguments are each separated by a single space character."""
    with pytest.raises(BadCommand):
        parse_command(line)


NOT_A_NUMBER = {
    "zero": b"0",
    "many zeros": b"0000000000",
    "minus one": b"-1",
    "minus zero": b"-0",
    "plus one": b"+1",
    "a letter behind": b"1x",
    "an exponent": b"1e3",
    "an underscore": b"1_0",
    "a point": b"1.0",
    "hexadecimal": b"0x1",
    "Arabic-Indic digits": "\u0661".encode(),
    "fullwidth digits": "\uff11".encode(),
    "superscript in Latin-1": b"\xb9",
    "eleven digits": b"00000000001",
    "2^64": b"%d" % 2**64,
    "a thousand digits": b"9" * 1000,
    "a NUL": b"1\0",
    "a vertical tab": b"1\x0b",
    "a CR": b"1\r",
}


@pytest.mark.parametrize("number", NOT_A_NUMBER.values(), ids=NOT_A_NUMBER)
@pytest.mark.parametrize("word", [*TAKES_A_NUMBER, b"TOP"])
def test_a_message_number_is_ascii_digits_from_one_on(word: bytes, number: bytes) -> None:
    """RFC 1939 section 5: message-numbers count from 1, in base 10, at most ten digits of them."""
    with pytest.raises(BadCommand):
        parse_command(b"%b %b%b" % (word, number, b" 0" if word == b"TOP" else b""))


@pytest.mark.parametrize(
    ("field", "number"),
    [(b"1", 1), (b"10", 10), (b"01", 1), (b"0000000001", 1), (b"9999999999", 9_999_999_999)]
    + [(b"%d" % n, n) for n in (2**31, 2**32 - 1, 2**32, 2**32 + 1)],
)
def test_a_message_number_is_never_wrapped(field: bytes, number: int) -> None:
    """RFC 1939 section 5: 2^32 + 1 is not message 1; leading zeros mean nothing."""
    assert parse_command(b"RETR " + field) == commands.Retr(MessageNumber(number))
    assert parse_command(b"LIST " + field) == commands.List(MessageNumber(number))


@pytest.mark.parametrize("count", [b"0", b"1", b"00", b"99999999999999999999", b"9" * 1000])
def test_top_takes_any_count_of_lines_however_large(count: bytes) -> None:
    """RFC 1939 section 7: more lines than the body has means the whole of it."""
    assert parse_command(b"TOP 1 " + count) == commands.Top(ONE, int(count))


@pytest.mark.parametrize(
    "count", [b"-1", b"+1", b"1x", b"1e3", b"1_0", "\u0661".encode(), b"all", b"*", b"1\0", b"1\r"]
)
def test_top_takes_no_other_count(count: bytes) -> None:
    """RFC 1939 section 7: the count is a non-negative number of lines."""
    with pytest.raises(BadCommand):
        parse_command(b"TOP 1 " + count)


@pytest.mark.parametrize(
    "line",
    [
        b"", b":", b" ", b"  ", b"\0", b"\xff", b"\r", b"\t", b"\x16\x03\x01\x02\x00", b".", b"..",
        b" QUIT", b"\tQUIT", b"QUIT\r", b"QUIT\t", b"QUIT\0", b"\0QUIT", b"QUIT\xa0", b"QUITX",
        b"QUI", b"STAT\x0b", b"\xef\xbb\xbfQUIT", b"XTND XMIT", b"APOP alice 0", b"LANGX", b"UTF-8",
        b"XCLIENT ADDR=1", b"EHLO localhost", b"a1 LOGIN x y", b"SSH-2.0-x", b"TOPP 1 0",
        "\uff33\uff34\uff21\uff34".encode(), "\u017ftat".encode(),
    ],
)  # fmt: skip
def test_what_is_no_command_is_refused(line: bytes) -> None:
    """RFC 1939 section 3: unrecognised, unimplemented or malformed lines get -ERR, no crash."""
    with pytest.raises(BadCommand):
        parse_command(line)


@pytest.mark.parametrize(
    "line", [b"USER", b"USER ", b"USER  ", b"user", b"PASS", b"pass", b"PASSWORD x", b"USERalice"]
)
def test_user_and_pass_need_their_argument(line: bytes) -> None:
    """RFC 1939 section 7: USER takes a name, PASS takes a string."""
    with pytest.raises(BadCommand):
        parse_command(line)


@pytest.mark.parametrize(
    "name",
    [b"alice", b"alice@example.com", b"x", b"../../etc", b"a\0b", b"a\x1bb", b"a\rb", b"\xff\xfe",
     b"caf\xc3", "josé".encode(), b"a b", b" a", b"%s", b"x" * 1000],
)  # fmt: skip
def test_user_takes_any_name_as_it_was_sent(name: bytes) -> None:
    """RFC 1939 section 13: whether a name can be anybody's must not be told by USER."""
    assert parse_command(b"USER " + name) == commands.User(name)


@pytest.mark.parametrize(
    "password",
    [b"", b" ", b"x", b" x", b"x ", b"  x  y  ", b"\t", b"*", b"=", b"\0", b"\xff", b"PASS x"],
)
def test_pass_takes_the_rest_of_the_line_spaces_and_all(password: bytes) -> None:
    """RFC 1939 section 7: spaces are part of the password, not separators."""
    assert parse_command(b"PASS " + password) == commands.Pass(Secret(password))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"AUTH ", commands.AuthList()),
        (b"auth plain", commands.Auth("PLAIN", None)),
        (b"AUTH PLAIN ", commands.Auth("PLAIN", None)),
        (b"AUTH PLAIN =", commands.Auth("PLAIN", Secret(b""))),
        (b"AUTH PLAIN = ", commands.Auth("PLAIN", Secret(b""))),
        (b"AUTH PLAIN " + ENCODED, commands.Auth("PLAIN", Secret(PLAIN_RESPONSE))),
        (b"AUTH SCRAM-SHA-256", commands.Auth("SCRAM-SHA-256", None)),
        (b"AUTH no_such-1", commands.Auth("NO_SUCH-1", None)),
        (b"AUTH " + b"x" * 20, commands.Auth("X" * 20, None)),
    ],
)
def test_auth_takes_a_mechanism_and_at_most_one_initial_response(
    line: bytes, command: Command
) -> None:
    """RFC 5034 section 4: base64 behind the mechanism; "=" is the response of no octets."""
    assert parse_command(line) == command


@pytest.mark.parametrize(
    "line",
    [
        b"AUTH  ", b"AUTH  PLAIN", b"AUTH PLAIN  ", b"AUTH PLAIN  =", b"AUTH PLAIN = =",
        b"AUTH PLAIN " + ENCODED + b" x", b"AUTH PLAIN *", b"AUTH PLAIN ==", b"AUTH PLAIN !!!!",
        b"AUTH =", b"AUTH *", b"AUTH PL\0IN", b"AUTH " + b"x" * 21, "AUTH PLÄIN".encode(),
        b"AUTH PLAIN " + ENCODED + b"\r",
    ],
)  # fmt: skip
def test_auth_takes_nothing_else(line: bytes) -> None:
    """RFC 5034 section 4, RFC 4422 section 3.1: names of 1 to 20 letters, digits, - and _."""
    with pytest.raises(BadCommand):
        parse_command(line)


@pytest.mark.parametrize(
    "language",
    [b"*", b"x", b"DE", b"de-AT-1996", b"i-default", b"abcdefgh-abcdefg8", b"zh-Hant-TW", b"uga"],
)
def test_lang_takes_a_language_whether_there_is_one_or_not(language: bytes) -> None:
    """RFC 6856 section 3, RFC 4647 section 2.1: whether it can be answered in it is said later."""
    assert parse_command(b"LANG " + language) == commands.Lang(language)


@pytest.mark.parametrize(
    "language",
    [
        b"de en", b" de", b"de  ", b"-", b"de-", b"-de", b"de--AT", b"de_AT", b"abcdefghi", b"1",
        b"de-abcdefghi", b"**", b"*-de", b"de-*", b"de\0", b"de\r", b"d\xc3\xa9", b"de;q=1", b"%s",
    ],
)  # fmt: skip
def test_lang_takes_nothing_that_is_no_language(language: bytes) -> None:
    """RFC 4647 section 2.1: letters and digits by one to eight, hyphens between; `*` alone."""
    with pytest.raises(BadCommand):
        parse_command(b"LANG " + language)


@pytest.mark.parametrize(
    "encoded",
    [
        b"A", b"AA", b"AAA", b"A===", b"=", b"==", b"AA=", b"AAAA=", b"AAAA==", b"AAAA====",
        b"AA==AA==", b"=AAA", b"AA\n=", b"AAA-", b"AAA_", b" AAAA", b"AAAA ", b"AA AA", b"AAAA\0",
        b"AAAA\r", b"AAAA\n", b"\xff\xff\xff\xff",
    ],
)  # fmt: skip
def test_base64_is_read_by_the_letter(encoded: bytes) -> None:
    """RFC 4648 section 3.3: no octet outside the alphabet, padding whole and at the end."""
    with pytest.raises(BadCommand):
        decode_base64(encoded)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_what_was_encoded_is_decoded(octets: bytes) -> None:
    """RFC 4648 section 4: any octets survive, those of an empty response too."""
    assert decode_base64(base64.b64encode(octets)) == Secret(octets)


@pytest.mark.parametrize("encoded", [b"AHNlc2FtZQ", b"AHNlc2Ft\xff"])
def test_a_refused_response_is_not_in_the_error(encoded: bytes) -> None:
    """RFC 4616 section 6: even a mistyped password must not reach a log or a reply."""
    with pytest.raises(BadCommand) as refused:
        decode_base64(encoded)
    assert encoded.decode("latin-1")[:8] not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize("line", [b"PASS open sesame", b"AUTH PLAIN " + ENCODED])
def test_a_command_prints_without_its_password(line: bytes) -> None:
    """RFC 4616 section 6: an event in a log or a trace shows no credential."""
    command = parse_command(line)
    for text in (repr(command), str(command), f"{command}"):
        assert "sesame" not in text
        assert "***" in text


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1", b"get /", b"GET", b"HEAD /", b"POST / HTTP/1.1", b"PUT /", b"DELETE /",
        b"CONNECT x:1", b"OPTIONS *", b"TRACE /", b"PATCH /",
    ],
)  # fmt: skip
def test_a_browser_is_known_by_its_first_word(line: bytes) -> None:
    """RFC 9110 section 9, RFC 5789: an HTTP verb is no mistake of a mail program (ALPACA)."""
    with pytest.raises(NotPop3):
        parse_command(line)


@pytest.mark.parametrize("line", [b"LAST", b"last", b"LAST ", b"LAST 1"])
def test_last_is_known_and_not_offered(line: bytes) -> None:
    """RFC 1460 section 5 had LAST, RFC 1939 dropped it; honest old programs still ask."""
    with pytest.raises(ObsoleteCommand):
        parse_command(line)


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.tuples(
            st.sampled_from([line.partition(b" ")[0] for line in WELL_SAID]), st.binary(max_size=40)
        ).map(b" ".join),
    )
)
def test_any_line_is_a_command_or_one_of_three_errors(line: bytes) -> None:
    """RFC 1939 section 3: no octets make the reading of a line fail in another way."""
    try:
        command = parse_command(line)
    except (BadCommand, NotPop3, ObsoleteCommand):
        return
    assert type(command) in {type(known) for known in WELL_SAID.values()}
    assert getattr(command, "number", None) != 0
