"""The mboxrd form: quoting that is undone exactly, and separators that say what they need to."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.destinations.mboxrd import (
    Quoter,
    Separator,
    Unquoter,
    end_of,
    may_be_torn_separator,
    read_separator,
)

TOKEN = "K" + "0123456789abcdef" * 2
PIECES = st.lists(
    st.sampled_from(
        [b">", b">>>", b"From ", b"From", b"F", b"ro", b"m ", b"\n", b"\r\n", b"x", b""]
    )
)


def naively_quoted(octets: bytes) -> bytes:
    return re.sub(rb"^(>*From )", rb">\1", octets, flags=re.MULTILINE)


def run(filter_: Quoter | Unquoter, pieces: list[bytes]) -> bytes:
    return b"".join(map(filter_.feed, pieces)) + filter_.finish()


@given(PIECES)
def test_quoting_depends_on_the_octets_only(pieces: list[bytes]) -> None:
    """mboxrd: one `>` before every line that matches `>*From `, wherever the pieces were cut."""
    assert run(Quoter(), pieces) == naively_quoted(b"".join(pieces))


@given(PIECES, PIECES)
def test_unquoting_undoes_it(pieces: list[bytes], shape: list[bytes]) -> None:
    """mboxrd is reversible, at every cut of both ways."""
    octets = b"".join(pieces)
    quoted, cuts = run(Quoter(), pieces), [len(piece) for piece in shape]
    cut: list[bytes] = []
    for size in cuts:
        cut.append(quoted[:size])
        quoted = quoted[size:]
    assert run(Unquoter(), [*cut, quoted]) == octets


@pytest.mark.parametrize("octets", [b">>>From x\n>>From \nFrom From \n\n>Fro", b"From ", b"\nFrom"])
def test_every_split_gives_the_same(octets: bytes) -> None:
    """At every split of two, and octet by octet."""
    quoted = naively_quoted(octets)
    for cut in range(len(octets) + 1):
        assert run(Quoter(), [octets[:cut], octets[cut:]]) == quoted
    for cut in range(len(quoted) + 1):
        assert run(Unquoter(), [quoted[:cut], quoted[cut:]]) == octets
    assert run(Quoter(), [bytes([octet]) for octet in octets]) == quoted
    assert run(Unquoter(), [bytes([octet]) for octet in quoted]) == octets


def test_nothing_much_is_held_back() -> None:
    """A line of nothing but `>` is passed on: constant memory whatever comes."""
    for filter_ in (Quoter(), Unquoter()):
        fed = sum(len(filter_.feed(b">" * 1000)) for _ in range(1000))
        assert fed >= 999_999
        assert len(filter_.finish()) <= 1


@given(st.integers(0, 10**15), st.integers(0, 2**32 - 1), st.integers(0, 4_000_000_000))
def test_a_separator_says_what_it_was_told(octets: int, crc: int, listed_at: int) -> None:
    """One line that other programs take for a separator too: address, asctime date."""
    separator = Separator(TOKEN, octets, crc)
    line = separator.line(listed_at)
    assert re.fullmatch(rb"From \S+@localhost \w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\n", line)
    assert read_separator(line) == separator
    for cut in range(1, len(line)):
        assert read_separator(line[:cut]) is None
        assert may_be_torn_separator(line[:cut])


def test_the_date_is_utc() -> None:
    """The same on every machine."""
    assert Separator(TOKEN, 1, 2).line(0).endswith(b"@localhost Thu Jan  1 00:00:00 1970\n")


@pytest.mark.parametrize(
    "line",
    [
        b"From alice@example.com Thu Jan  1 00:00:00 1970\n",
        b"From mailkeep-x@localhost Thu Jan  1 00:00:00 1970\n",
        b"From mailkeep-" + TOKEN.encode() + b".-1.00000000@localhost Thu Jan  1 00:00:00 1970\n",
        b"",
    ],
)
def test_another_s_separator_is_not_ours(line: bytes) -> None:
    """What does not say all of it is another program's."""
    assert read_separator(line) is None


def test_a_message_ends_with_an_empty_line() -> None:
    """One LF for the empty line, and one more if the message did not end a line."""
    assert [end_of(last) for last in (b"", b"\n", b"\r", b"x")] == [b"\n", b"\n", b"\n\n", b"\n\n"]
