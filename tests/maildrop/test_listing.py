"""The listing is small and cannot be mistaken by one."""

import gc
import tracemalloc
from array import array
from random import Random

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


@given(st.lists(st.binary(max_size=9)), st.integers(0, 9), st.integers(0, 9))
def test_a_part_is_those_strings(strings: list[bytes], start: int, more: int) -> None:
    """From one place to before another."""
    start = min(start, len(strings))
    stop = min(start + more, len(strings))
    assert PackedStrings(strings).part(start, stop) == strings[start:stop]


@given(st.lists(st.binary(max_size=9)), st.randoms(use_true_random=False), st.binary(max_size=3))
def test_strings_may_lie_anywhere_in_others(
    strings: list[bytes], random: Random, between: bytes
) -> None:
    """In another order than their own, with something between them."""
    order = random.sample(range(len(strings)), len(strings))
    joined, starts = b"", array("I", bytes(4 * len(strings)))
    for place in order:
        starts[place] = len(joined)
        joined += strings[place] + between
    packed = PackedStrings.within(joined, starts, array("H", map(len, strings)))
    assert packed.all() == strings
    assert [packed[Index(place)] for place in range(len(packed))] == strings
    assert packed.octets == len(joined) + 6 * len(strings)


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
        assert (listing.uidls(1), listing.sizes(1)) == ([b"b"], [2**33])
        assert (listing.uidls(0, 1), listing.sizes(0, 1)) == ([b"a"], [5])
        assert (listing.uidls(1, 9), listing.sizes(1, 9)) == ([b"b"], [2**33])


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
