"""Who has been here within thirty days, and where."""

from hypothesis import given
from hypothesis import strategies as st

from mailkeep.defence import Place
from mailkeep.defence.familiar import Familiar
from mailkeep.defence.remembered import FamiliarRow

DAY_S = 86_400.0


def row(name: str, prefix: str, day: float, country: str | None = None) -> FamiliarRow:
    place = None if country is None else Place(country, None, None)
    return FamiliarRow(name, prefix, day * DAY_S, place)


def test_a_source_is_familiar_for_thirty_days() -> None:
    """To the account it logged in to, and to no other; its prefix has a good past."""
    familiar = Familiar([row("alice", "p", 0)])
    assert familiar.is_familiar("alice", "p", 29.9 * DAY_S)
    assert not familiar.is_familiar("alice", "p", 30 * DAY_S)
    assert not familiar.is_familiar("bob", "p", 0)
    assert not familiar.is_familiar("alice", "q", 0)
    assert familiar.has_good_past("p", 29.9 * DAY_S)
    assert not familiar.has_good_past("p", 30 * DAY_S)
    assert not familiar.has_good_past("q", 0)


def test_places_are_told_in_the_order_of_time() -> None:
    """For a year; a login from nowhere known tells nothing."""
    rows = [row("a", "p", 300, "DE"), row("a", "q", 200, "FR"), row("a", "r", 310)]
    familiar = Familiar(rows)
    found = [it.place and it.place.country for it in familiar.places("a", 320 * DAY_S)]
    assert found == ["FR", "DE"]
    assert [it.prefix for it in familiar.places("a", 570 * DAY_S)] == ["p"]
    assert familiar.places("b", 0) == []


def test_one_account_does_not_push_out_the_others() -> None:
    """A telephone has a new prefix every day."""
    familiar = Familiar([row("quiet", "home", 0)])
    for number in range(1000):
        familiar.note(row("mobile", f"p{number}", 0))
    assert len(familiar) == 65
    assert familiar.is_familiar("quiet", "home", 0)
    assert familiar.is_familiar("mobile", "p999", 0)
    assert not familiar.has_good_past("p0", 0)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=200))
def test_both_tables_tell_the_same(seen: list[tuple[int, int]]) -> None:
    """And are bounded, whatever the order."""
    familiar = Familiar(limit=12)
    for name, prefix in seen:
        familiar.note(row(f"n{name}", f"p{prefix}", 0))
        assert familiar.is_familiar(f"n{name}", f"p{prefix}", 0)
    pairs = {(name, prefix) for name, rows in familiar._names.items() for prefix in rows}
    mirror = {(name, prefix) for prefix, names in familiar._prefixes.items() for name in names}
    assert pairs == mirror
    assert len(pairs) == len(familiar) <= 12
