"""What a server says, as a client reads it: status lines, capabilities, sizes and listings."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailkeep.pop3 import (
    RemoteProtocolError,
    Status,
    parse_capabilities,
    parse_listing,
    parse_octets,
    parse_sizes,
    parse_stat,
)
from mailkeep.pop3.answers import _parse_odd_listing, parse_status


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"+OK", Status(True, "", b"")),
        (b"+OK ", Status(True, "", b"")),
        (b"-ERR", Status(False, "", b"")),
        (b"+ok 20 Messages", Status(True, "", b"20 Messages")),
        (b"-Err  two spaces ", Status(False, "", b" two spaces ")),
        (b"+OK \0\xff\x1b[2J\r", Status(True, "", b"\0\xff\x1b[2J\r")),
    ],
)
def test_a_status_line_is_read_without_case_and_with_any_text(line: bytes, status: Status) -> None:
    """RFC 1939 section 3: the indicator is for programs, the text is for people (S-50)."""
    assert parse_status(line) == status


@pytest.mark.parametrize(
    "line",
    [
        b"", b" ", b"+", b"-", b"OK", b"ERR", b"+O", b"+OKAY", b"+OK, 2 messages", b"+OK\t2",
        b"+OK\r", b"-ERROR no", b" +OK", b"\t-ERR", b"+ OK", b"+ERR", b"-OK", b".", b"++OK",
        b"\0+OK", b"+\xef\xbc\xafK", b"* OK IMAP", b"220 smtp", b"HTTP/1.1 200 OK", b"SSH-2.0-x",
        b"1 120",
    ],
)  # fmt: skip
def test_the_first_word_of_a_status_line_is_ok_or_err(line: bytes) -> None:
    """RFC 1939 section 3: anything else is no answer, and what follows cannot be matched (S-26)."""
    with pytest.raises(RemoteProtocolError):
        parse_status(line)


def test_an_error_quotes_little_and_nothing_that_a_terminal_would_obey() -> None:
    """S-56: what a server says is shown escaped and cut."""
    with pytest.raises(RemoteProtocolError) as caught:
        parse_status(b"\x1b]0;owned\x07\x1b[2J\x9b1m" + b"x" * 5000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "code", "rest"),
    [
        (b"[AUTH] no", "AUTH", b"no"),
        (b"[in-use] busy", "IN-USE", b"busy"),
        (b"[SYS/TEMP] later", "SYS/TEMP", b"later"),
        (b"[SYS/PERM]", "SYS/PERM", b""),
        (b"[LOGIN-DELAY]wait", "LOGIN-DELAY", b"wait"),
        (b"no [AUTH] first", "", b"no [AUTH] first"),
        (b" [AUTH] no", "", b" [AUTH] no"),
        (b"[] no", "", b"[] no"),
        (b"[AUTH no", "", b"[AUTH no"),
        (b"[two words] no", "", b"[two words] no"),
        (b"[\x1b[2J] no", "", b"[\x1b[2J] no"),
        (b"[\xc3\xa9] no", "", b"[\xc3\xa9] no"),
        (b"[" + b"x" * 101 + b"]", "", b"[" + b"x" * 101 + b"]"),
    ],
)
def test_a_response_code_stands_first_in_brackets(text: bytes, code: str, rest: bytes) -> None:
    """RFC 2449 section 8, RFC 3206: printable ASCII without a space; else it is text."""
    assert parse_status(b"-ERR " + text) == Status(False, code, rest)


def test_capabilities_are_named_without_case_and_keep_their_arguments() -> None:
    """RFC 2449 section 3: tags in any case; arguments, such as mechanisms, as they came."""
    body = b"TOP\r\npipelining\r\nSASL PLAIN  SCRAM-SHA-256 \r\nExpire 60\r\nIMPLEMENTATION x y\r\n"
    assert parse_capabilities(body) == {
        "TOP": (),
        "PIPELINING": (),
        "SASL": ("PLAIN", "SCRAM-SHA-256"),
        "EXPIRE": ("60",),
        "IMPLEMENTATION": ("x", "y"),
    }


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", []),
        (b"\r\n \r\n\t\r\n", []),
        (b"\xff\xfe\r\nUIDL\r\n", ["\ufffd\ufffd", "UIDL"]),
        (b"TOP\nSTLS\r\n", ["TOP"]),
        (b"SASL A\r\nSASL B\r\n", ["SASL"]),
    ],
)
def test_odd_capabilities_are_no_error(body: bytes, names: list[str]) -> None:
    """RFC 2449 section 3: a client ignores what it does not know; a lone LF is no line's end."""
    assert list(parse_capabilities(body)) == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2 320", (2, 320)),
        (b"0 0", (0, 0)),
        (b"  2   320 octets", (2, 320)),
        (b"2", (2, None)),
        (b"2 messages", (2, None)),
        (b"2 -1", (2, None)),
        (b"2 1" + b"0" * 30, (2, None)),
    ],
)
def test_a_drop_listing_is_a_number_and_a_hint(text: bytes, expected: object) -> None:
    """RFC 1939 section 5, S-41: how many must be there; how large may be anything."""
    assert parse_stat(text) == expected


@pytest.mark.parametrize(
    "text", [b"", b" ", b"messages 2", b"-2 320", b"+2 320", b"2_0 1", b"\xb2 1", b"1" + b"0" * 30]
)
def test_a_drop_listing_without_a_number_is_an_error(text: bytes) -> None:
    """RFC 1939 section 5: to take it for 0 would be to see an empty mailbox (S-36)."""
    with pytest.raises(RemoteProtocolError):
        parse_stat(text)


SIZES: dict[bytes, int | None] = {
    b"0": 0,
    b"120": 120,
    b"007": 7,
    b"9" * 15: 10**15 - 1,
    b"9" * 16: None,
    b"1" + b"0" * 30: None,
    b"1" + b"0" * 5000: None,
    b"": None,
    b"-1": None,
    b"+1": None,
    b"1_0": None,
    b"1.5": None,
    b"0x10": None,
    b"12 34": None,
    b"12k": None,
    b"\xb2": None,
    "\u0661".encode(): None,
}


def test_a_size_is_a_hint_and_what_is_none_is_no_error() -> None:
    """S-41: digits of a size that can be; everything else, 10^30 included, is unknown."""
    assert {word: parse_octets(word) for word in SIZES} == SIZES
    assert parse_sizes(list(SIZES)) == list(SIZES.values())


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(0, 10**16).map(lambda size: b"%d" % size),
            st.sampled_from(sorted(SIZES)),
            st.binary(max_size=3),
        )
    )
)
@example([])
@example([b""])
@example([b"1", b"", b"2"])
def test_many_sizes_are_read_as_one_by_one(words: list[bytes]) -> None:
    """S-41: the quick way over a whole listing says nothing else than the slow one."""
    assert parse_sizes(words) == [parse_octets(word) for word in words]


def listed(body: bytes) -> dict[int, bytes]:
    numbers, rests = parse_listing(body)
    assert len(numbers) == len(rests) == len(set(numbers))
    return dict(zip(numbers, rests, strict=True))


@pytest.mark.parametrize(
    ("body", "listing"),
    [
        (b"", {}),
        (b"1 a\r\n2 b\r\n", {1: b"a", 2: b"b"}),
        (b"2 b\r\n7 a\r\n", {2: b"b", 7: b"a"}),
        (b"2 b\r\n1 a\r\n", {2: b"b", 1: b"a"}),
        (b"01 a\r\n0000000002 b\r\n", {1: b"a", 2: b"b"}),
        (b"1   a\r\n2  b\r\n", {1: b"a", 2: b"b"}),
        (b" 1 a \r\n", {1: b"a"}),
        (b"1 a\r\n\r\n2 b\r\n", {1: b"a", 2: b"b"}),
        (b"1\r\n2 \r\n", {1: b"", 2: b""}),
        (b"9999999999 a\r\n", {9_999_999_999: b"a"}),
    ],
)
def test_a_listing_is_numbers_with_something_behind_each(
    body: bytes, listing: dict[int, bytes]
) -> None:
    """RFC 1939 sections 5 and 7: in any order, with gaps, with spaces too many."""
    assert listed(body) == listing
    assert list(listed(body)) == list(listing)


ODD_UIDLS = [
    b"two words", b"tab\tinside", b"\ttab first", b"tab last\t", b"\x0b", b"form feed\x0c", b"a\nb",
    b"lone LF\n", b"\r", b"lone CR\r", b"x" * 5000, b"\0", b"\xff\xfe", b"../../etc/passwd", b'"q"',
    b"\x1b[2J", b"\xe2\x80\xae", b"-", b".", b"2", b"a 2",
]  # fmt: skip


@pytest.mark.parametrize("uidl", ODD_UIDLS)
def test_a_unique_id_is_what_stands_behind_the_number_octet_for_octet(uidl: bytes) -> None:
    """RFC 1939 section 7, S-35: the same in every listing, or its mail would come twice."""
    assert listed(b"1 %b\r\n2 b\r\n" % uidl) == {1: uidl, 2: b"b"}
    assert listed(b"2 b\r\n5 %b\r\n" % uidl) == {2: b"b", 5: uidl}
    assert listed(b"1 a\r\n2 %b\r\n" % uidl) == {1: b"a", 2: uidl}


@pytest.mark.parametrize(
    "line",
    [
        b"a", b"a 1", b"0 a", b"00 a", b"-1 a", b"+1 a", b"1_0 a", b"1.0 a", b"1x a", b"\t1 a",
        b"1\ta", b"1\x0ba", b"\xb9 a", "\u0661 a".encode(), b"10000000000 a",
        b"1" + b"0" * 30 + b" a", b".", b"+OK", b"2 b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [b"2 b\r\n", b"1 a\r\n2 b\r\n"], ids=["alone", "with a first"])
def test_a_line_without_a_number_of_its_own_is_an_error(line: bytes, before: bytes) -> None:
    """RFC 1939 section 5: a mailbox that is known in part is not known (S-29)."""
    with pytest.raises(RemoteProtocolError):
        parse_listing(before + line + b"\r\n")


def test_a_number_that_stands_twice_is_an_error() -> None:
    """RFC 1939 section 5: of two unique-ids for one number nobody knows which would be deleted."""
    with pytest.raises(RemoteProtocolError):
        parse_listing(b"1 a\r\n2 b\r\n2 c\r\n")
    with pytest.raises(RemoteProtocolError):
        parse_listing(b"1 a\r\n01 a\r\n")


def test_one_unique_id_for_two_numbers_is_not_this_rooms_affair() -> None:
    """S-30: both are listed."""
    assert listed(b"1 same\r\n2 same\r\n") == {1: b"same", 2: b"same"}


@pytest.mark.parametrize("count", [9, 10, 99, 100, 999, 1000, 1001, 1999, 2000, 12_345])
def test_a_long_listing_is_read_to_its_last_line(count: int) -> None:
    """S-54: counted by thousands, with nothing lost at the edges of one."""
    lines = [b"%d u%d\r\n" % (number, number) for number in range(1, count + 1)]
    uidls = [b"u%d" % number for number in range(1, count + 1)]
    assert parse_listing(b"".join(lines)) == (range(1, count + 1), uidls)
    for gap in {0, count // 2, count - 2}:
        numbers, rests = parse_listing(b"".join(lines[:gap] + lines[gap + 1 :]))
        assert list(numbers) == [n for n in range(1, count + 1) if n != gap + 1]
        assert rests == uidls[:gap] + uidls[gap + 1 :]


octets_of_listings = st.lists(
    st.one_of(
        st.sampled_from(
            [b"1 a\r\n", b"2 b\r\n", b"3 c\r\n", b"1", b"2", b"a", b"0", b" ", b"\r\n"]
        ),
        st.sampled_from([b"\t", b"\r", b"\n", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xa0", b"1 a"]),
        st.binary(max_size=3),
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(octets_of_listings)
@example(b"1 a 2\r\nb\r\n")
@example(b" 1\r\na")
@example(b"1 a\r2\nb \r\n")
@example(b"1 a\r\n2\r \nb")
def test_the_quick_way_through_a_listing_says_what_the_slow_one_says(body: bytes) -> None:
    """S-35, S-54: whatever a server lists, how regular the rest of it is changes nothing."""
    expected = outcome_of(_parse_odd_listing, body)
    assert outcome_of(parse_listing, body) == expected


def outcome_of(parse: object, body: bytes) -> object:
    assert callable(parse)
    try:
        numbers, rests = parse(body)
    except RemoteProtocolError as broken:
        return str(broken)
    return list(numbers), list(rests)
