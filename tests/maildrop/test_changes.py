"""What a folder has lost and won is found, whatever changed."""

from hypothesis import example, given
from hypothesis import strategies as st

from mailkeep.maildrop.maildir.changes import compare, joined

names = st.lists(st.text(alphabet="ab", min_size=1, max_size=3).map(str.encode), unique=True)


@given(names, names)
@example([b"a", b"aa"], [b"aa"])
@example([], [b"a"])
@example([b"a", b"b"], [b"a", b"b"])
def test_what_is_gone_and_what_has_come(before: list[bytes], now: list[bytes]) -> None:
    """Names that begin or end alike are no reason to miss one."""
    gone, come = compare(joined(before), joined(now))
    assert gone - {b""} == set(before) - set(now)
    assert come - {b""} == set(now) - set(before)
    assert b"" not in gone | come


@given(names, st.integers(0, 20), st.text(alphabet="ab", min_size=1, max_size=3).map(str.encode))
def test_one_that_came_among_many(before: list[bytes], place: int, name: bytes) -> None:
    """The usual case: the others are where they were."""
    now = [one for one in before if one != name]
    now.insert(place, name)
    before = [one for one in before if one != name]
    assert compare(joined(before), joined(now)) == (set(), {name})
    assert compare(joined(now), joined(before)) == ({name}, set())
