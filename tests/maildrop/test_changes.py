"""What a folder has lost and won is found, whatever changed, and where the others are now."""

from hypothesis import example, given
from hypothesis import strategies as st

from mailkeep.maildrop.maildir.changes import (
    Difference,
    Names,
    Place,
    compare,
    joined,
    moved,
    of_both,
    parted,
    starts_of,
)

name = st.text(alphabet="ab", min_size=1, max_size=3).map(str.encode)
names = st.lists(name, unique=True)


def named(places: list[Place]) -> set[bytes]:
    return {place.name for place in places}


@given(names, names)
@example([b"a", b"aa"], [b"aa"])
@example([], [b"a"])
@example([b"a", b"b"], [b"a", b"b"])
@example([b"a", b"b"], [b"b", b"a"])
def test_what_is_gone_and_what_has_come(before: list[bytes], now: list[bytes]) -> None:
    """Names that begin or end alike are no reason to miss one; what is elsewhere is both."""
    gone, come = map(named, compare(joined(before), joined(now)))
    assert gone - come == set(before) - set(now)
    assert come - gone == set(now) - set(before)
    assert gone & come <= set(before) & set(now)


@given(names, st.integers(0, 20), name)
def test_one_that_came_among_many(before: list[bytes], place: int, name: bytes) -> None:
    """The usual case: the others are where they were."""
    before = [one for one in before if one != name]
    now = [*before[:place], name, *before[place:]]
    one = [Place(len(joined(before[:place])), name)]
    assert compare(joined(before), joined(now)) == Difference([], one)
    assert compare(joined(now), joined(before)) == Difference(one, [])


@given(names, names, names, names)
def test_who_stays_is_found_where_it_is_now(
    new_before: list[bytes], cur_before: list[bytes], new_now: list[bytes], cur_now: list[bytes]
) -> None:
    """Whatever came and went before it, in its folder and in the other."""
    before = Names.of_folders(joined(new_before), joined(cur_before))
    now = Names.of_folders(joined(new_now), joined(cur_now))
    assert (parted(bytes(now.new)), parted(bytes(now.cur))) == (new_now, cur_now)
    new = compare(bytes(before.new), bytes(now.new))
    cur = compare(bytes(before.cur), bytes(now.cur))
    difference = of_both(before, now, new, cur)
    files = parted(before.joined)
    starts = starts_of(files)
    left = {start for start, _ in difference.gone}
    moved_to = moved(starts, difference)
    stayed = [
        (at, file) for at, was, file in zip(moved_to, starts, files, strict=True) if was not in left
    ]
    assert [now.joined[at:].partition(b"/")[0] for at, _ in stayed] == [file for _, file in stayed]
    arrived = [start for start, _ in difference.come]
    assert sorted([at for at, _ in stayed] + arrived) == list(starts_of(parted(now.joined)))


def test_a_long_sameness_is_found_in_pieces() -> None:
    """Of a hundred thousand names, compared in pieces, the one that differs is told exactly."""
    before = [b"%d.name" % number for number in range(100_000)]
    for place in (0, 1, 50_000, 99_999, 100_000):
        now = [*before[:place], b"x", *before[place:]]
        assert compare(joined(before), joined(now)) == Difference(
            [], [Place(len(joined(before[:place])), b"x")]
        )
