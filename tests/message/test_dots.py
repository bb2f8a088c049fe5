"""A line that begins with a dot is found wherever the message is cut."""

from hypothesis import given
from hypothesis import strategies as st

from mailkeep.message import DotSearch


@given(st.lists(st.text(alphabet=".\r\nx", max_size=6).map(str.encode), max_size=6))
def test_a_dot_at_the_start_of_a_line_is_found_across_chunks(chunks: list[bytes]) -> None:
    """RFC 1939 section 3: the first line counts, and a dot elsewhere does not."""
    search = DotSearch()
    for chunk in chunks:
        search.feed(chunk)
    wire = b"".join(chunks)
    assert search.found == (wire.startswith(b".") or b"\n." in wire)
