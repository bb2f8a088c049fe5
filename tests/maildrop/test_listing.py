"""The listing is small and cannot be mistaken by one."""

import gc
import tracemalloc
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.maildrop import Listing
from mailkeep.maildrop.listing import PackedStrings
from mailkeep.values import Index, Octets, Uidl


@given(st.lists(st.binary(max_size=20)))
def test_packed_strings_are_the_strings(strings: list[bytes]) -> None:
    """Packing changes nothing but the room it takes."""
    packed = PackedStrings(strings)
    assert packed.all() == strings
    assert [packed[Index(place)] for place in range(len(packed))] == strings
    with pytest.raises(IndexError):
        packed[Index(len(strings))]
    with pytest.raises(IndexError):
        packed[Index(-1)]


def test_a_listing_over_columns_is_the_listing() -> None:
    """What a store keeps anyway is not copied, and reads the same."""
    messages = [(Uidl(b"a"), Octets(5)), (Uidl(b"b"), Octets(2**33))]
    plain = Listing(messages)
    columns = Listing.of_columns(PackedStrings([b"a", b"b"]), array("Q", [5, 2**33]))
    for listing in (plain, columns):
        assert [(listing.uidl(Index(i)), listing.octets(Index(i))) for i in (0, 1)] == messages
        assert listing.total_octets == 5 + 2**33
        assert len(listing) == 2
        assert listing.uidls() == [b"a", b"b"]
        assert listing.sizes() == [5, 2**33]


def test_what_is_made_of_a_listing_is_kept_with_it_and_weighs() -> None:
    """Who keeps listings must know what they take."""
    listing = Listing([(Uidl(b"a"), Octets(5))])
    before = listing.memory_octets
    assert listing.kept("lines") is None
    listing.keep("lines", b"1 a\r\n")
    listing.keep("other lines", b"1 5\r\n")
    listing.keep("lines", b"1 a\r\n")
    assert listing.kept("lines") == b"1 a\r\n"
    assert listing.memory_octets == before + 10


def test_a_hundred_thousand_messages_cost_no_hundred_thousand_objects() -> None:
    """A session on 100,000 messages has 10 MB for its names and sizes, an eighth of objects'."""
    tracemalloc.start()
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    listing = Listing((Uidl(b"%070d" % i), Octets(i)) for i in range(100_000))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(listing) == 100_000
    assert after - before < 10_000_000
