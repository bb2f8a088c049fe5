"""How a network cuts a stream: everywhere. Every stream of this room is tested at every split."""

from collections.abc import Iterator, Sequence
from itertools import cycle

from hypothesis import strategies as st

piece_lengths = st.lists(st.integers(1, 40), min_size=1, max_size=8)
"""Lengths for `in_pieces`, drawn by hypothesis."""


def in_pieces(octets: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Cut `octets` into pieces of these lengths, which are used again from the first."""
    pieces, start, length = [], 0, cycle(lengths)
    while start < len(octets):
        end = start + next(length)
        pieces.append(octets[start:end])
        start = end
    return pieces


def every_split(octets: bytes) -> Iterator[list[bytes]]:
    """Yield `octets` whole, octet by octet, and in two pieces at every place."""
    yield [octets]
    yield in_pieces(octets, [1])
    for place in range(len(octets) + 1):
        yield [octets[:place], octets[place:]]
