"""What file names in a Maildir mean."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir.names import (
    UidlsOfNames,
    all_announced_octets,
    announced_octets,
    base_of,
    is_internationalised,
    time_of,
    uidl_of,
)
from mailkeep.values import Index, is_uidl


@pytest.mark.parametrize(
    ("filename", "base"),
    [
        (b"1.a.host", b"1.a.host"),
        (b"1.a.host:2,", b"1.a.host"),
        (b"1.a.host,S=1,W=2:2,FS", b"1.a.host,S=1,W=2"),
        (b"1.a:2,S:2,", b"1.a"),
        (b"\xff:1,x", b"\xff"),
    ],
)
def test_the_base_name_ends_at_the_colon(filename: bytes, base: bytes) -> None:
    """maildir(5): what follows the colon is information that changes."""
    assert base_of(filename) == base


@pytest.mark.parametrize(
    ("base", "octets"),
    [
        (b"1.a.host,S=10,W=12", 12),
        (b"1.a.host,W=12,S=10", 12),
        (b"1.a.host,W=0", 0),
        (b"1.a.host", None),
        (b"1.a.host,S=10", None),
        (b"1.a.host,W=", None),
        (b"1.a.host,W=-1", None),
        (b"1.a.host,W=1x", None),
        (b"1.a.host,W=\xd9\xa1", None),
        (b"1.a.host,W=9999999999999999999", None),
        (b"W=12", None),
    ],
)
def test_the_size_in_the_name_is_read_or_left(base: bytes, octets: int | None) -> None:
    """Maildir++: `,W=` is the size with CRLF; what is no number that fits is counted instead."""
    assert announced_octets(base) == octets


a_field = st.sampled_from(
    [b",W=12", b",S=3", b",U=1", b",W=", b",W=1x", b",W=9999999999999999999", b"W=5", b"1", b""]
)
a_base = st.lists(a_field, max_size=4).map(b"".join)


@given(st.lists(a_base, max_size=5))
def test_the_sizes_in_many_names_are_those_in_each(bases: list[bytes]) -> None:
    """All at once, or left to a look at each; never a size of the name beside it."""
    together = all_announced_octets(bases)
    if together is None:
        assert not all(base.endswith(b",W=12") for base in bases)
    else:
        assert together.tolist() == [announced_octets(base) for base in bases]


@pytest.mark.parametrize(
    ("base", "is_marked"),
    [
        (b"1.a.host,S=10,W=12,U=1", True),
        (b"1.a.host,U=1,S=10", True),
        (b"1.a.host,U=1", True),
        (b"1.a.host,S=10,W=12", False),
        (b"1.a.host,U=0", False),
        (b"1.a.host,U=10", False),
        (b"1.a.host,U=", False),
        (b"1.a.host,SU=1", False),
        (b"U=1", False),
    ],
)
def test_the_mark_of_an_internationalised_message_is_a_field(base: bytes, is_marked: bool) -> None:
    """RFC 6856 section 5 is about what came with SMTPUTF8; only our name says which that is."""
    assert is_internationalised(base) is is_marked


def test_the_mark_hides_no_size() -> None:
    """Fields stand side by side, in any order."""
    assert announced_octets(b"1.a.host,S=10,W=12,U=1") == 12
    assert announced_octets(b"1.a.host,U=1,W=12") == 12


def test_names_sort_by_time_whatever_its_length() -> None:
    """maildir(5): a base name starts with the seconds; a name without them counts as latest."""
    assert time_of(b"999.a") < time_of(b"1000.a") < time_of(b"0001001.a") < time_of(b"a.1")
    assert time_of(b"9" * 250) < time_of(b".") == math.inf


@pytest.mark.parametrize(
    "base",
    [b"1700000000.M1P2.host,S=1,W=2", b"!", b"x" * 70, b"a~b"],
)
def test_a_legal_name_is_the_unique_id(base: bytes) -> None:
    """RFC 1939 section 7: 1 to 70 characters from 0x21 to 0x7E."""
    assert uidl_of(base) == base


@pytest.mark.parametrize(
    "base",
    [b"", b"x" * 71, b"a b", b"a\x7f", b"a\xff", b"a\n", b"\0", b"~", b"~" + b"A" * 43],
)
def test_any_other_name_has_a_hash_for_a_unique_id(base: bytes) -> None:
    """RFC 1939 section 7, and nobody can name a file like another's hash."""
    uidl = uidl_of(base)
    assert is_uidl(uidl)
    assert uidl.startswith(b"~")
    assert uidl != base


def test_the_hash_is_for_ever() -> None:
    """RFC 1939 section 7: unique-ids persist across sessions, so across versions of ours too."""
    assert uidl_of(b"a b") == b"~yGh6CKpdbtIEQyj6aml6uOltw0KR6MIDSujDjm_MbWU"


@given(st.sets(st.binary(max_size=90), max_size=30))
def test_two_names_never_share_a_unique_id(bases: set[bytes]) -> None:
    """RFC 1939 section 7: a unique-id names one message."""
    uidls = {uidl_of(base) for base in bases}
    assert len(uidls) == len(bases)
    assert all(map(is_uidl, uidls))
    hashed_again = {uidl_of(uidl) for uidl in uidls if uidl.startswith(b"~")}
    assert not hashed_again & uidls


@given(
    st.lists(st.sampled_from([b"a", b"b~c", b"~", b"", b"x" * 70, b"x" * 71, b"a b", b"\xff"])),
    st.integers(0, 3),
)
def test_unique_ids_of_many_names_are_those_of_each(bases: list[bytes], start: int) -> None:
    """One look at all of them takes no name for what it is not."""
    start = min(start, len(bases))
    column = UidlsOfNames(PackedStrings(bases))
    each = [uidl_of(base) for base in bases]
    for first, last in ((start, len(bases)), (0, start), (0, len(bases))):
        assert column.part(first, last) == each[first:last]
        assert [column[Index(place)] for place in range(len(bases))] == each


def test_unique_ids_of_packed_names() -> None:
    """A listing works the unique-id out from the name that the store keeps anyway."""
    column = UidlsOfNames(PackedStrings([b"a", b"b c"]))
    assert len(column) == 2
    assert column[Index(0)] == b"a"
    assert column[Index(1)] == uidl_of(b"b c")
