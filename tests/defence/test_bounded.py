"""A table has an end, and who is only looked at keeps nobody alive."""

from hypothesis import given
from hypothesis import strategies as st

from mailkeep.defence.bounded import Bounded


def test_what_was_written_longest_ago_makes_room() -> None:
    """Reading is not writing."""
    table: Bounded[str, int] = Bounded(2)
    table.put("a", 1)
    table.put("b", 2)
    assert table.get("a") == 1
    assert table.put("c", 3) == "a"
    assert [table.get(key) for key in "abc"] == [None, 2, 3]


def test_touching_makes_young() -> None:
    """What goes on counting stays."""
    table: Bounded[str, list[int]] = Bounded(2)
    first = table.touched("a", list)
    table.put("b", [])
    assert table.touched("a", list) is first
    assert table.put("c", []) == "b"


def test_what_is_removed_is_gone_and_removing_twice_is_removing_once() -> None:
    """Nobody has to know whether it is there."""
    table: Bounded[str, int] = Bounded(2)
    table.put("a", 1)
    table.remove("a")
    table.remove("a")
    assert len(table) == 0


@given(st.lists(st.integers(0, 30)), st.integers(1, 10))
def test_it_never_holds_more_than_its_limit(keys: list[int], limit: int) -> None:
    """And always the last ones."""
    table: Bounded[int, int] = Bounded(limit)
    for key in keys:
        table.put(key, key)
    last = list(dict.fromkeys(reversed(keys)))[:limit]
    assert list(table) == last[::-1]
