"""A line that begins with a dot is found wherever the message is cut."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mailkeep.message import DotSearch
from mailkeep.message.dots import FEW_DOTS

_FIRST_IN_LINE = re.compile(rb"(?:\A|(?<=\n))\.")


def places_in(chunks: list[bytes]) -> list[int] | None:
    search = DotSearch()
    for chunk in chunks:
        search.feed(chunk)
    return search.places


@given(st.lists(st.text(alphabet=".\r\nx", max_size=6).map(str.encode), max_size=6))
def test_a_dot_at_the_start_of_a_line_is_found_across_chunks(chunks: list[bytes]) -> None:
    """RFC 1939 section 3: the first line counts, and a dot elsewhere does not."""
    wire = b"".join(chunks)
    expected = [it.start() for it in _FIRST_IN_LINE.finditer(wire)]
    assert places_in(chunks) == (None if len(expected) > FEW_DOTS else expected)


@given(st.integers(0, 2 * FEW_DOTS), st.integers(1, 7))
def test_only_a_few_places_are_told(lines: int, cut: int) -> None:
    """A style sheet may have a thousand: that there are many is all that is kept."""
    wire = b".x\r\n" * lines
    chunks = [wire[at : at + cut] for at in range(0, len(wire), cut)]
    places = [4 * line for line in range(lines)]
    assert places_in(chunks) == (places if lines <= FEW_DOTS else None)
