"""Numbers that are not mixed up, and unique-ids as the RFC has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.values import Index, MessageNumber, index_of, is_uidl, number_of


def test_message_numbers_count_from_one() -> None:
    """RFC 1939 section 4: the first message of a maildrop is message 1."""
    assert index_of(MessageNumber(1)) == 0
    assert number_of(Index(0)) == 1
    assert all(index_of(number_of(Index(i))) == i for i in range(100))


@pytest.mark.parametrize("uidl", [b"!", b"~", b"a" * 70, b"whqtswO00WBw418f9t5JxYwZ"])
def test_a_unique_id_is_taken_as_it_is(uidl: bytes) -> None:
    """RFC 1939 section 7: one to 70 characters in the range 0x21 to 0x7E."""
    assert is_uidl(uidl)


@pytest.mark.parametrize(
    "octets", [b"", b"a" * 71, b"a b", b"a\n", b"a\r\n", b"\x7f", b"\x00", b"\xe9", b"a\x20"]
)
def test_what_is_no_unique_id_is_refused(octets: bytes) -> None:
    """RFC 1939 section 7."""
    assert not is_uidl(octets)


@given(st.binary(max_size=80))
def test_a_unique_id_is_one_word_of_a_reply(octets: bytes) -> None:
    """RFC 1939 section 7: nothing that is accepted can end or split a reply's line."""
    expected = 1 <= len(octets) <= 70 and all(0x21 <= octet <= 0x7E for octet in octets)
    assert is_uidl(octets) == expected
