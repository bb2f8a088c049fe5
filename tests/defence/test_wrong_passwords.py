"""A wrong password again is no guess; one on many names is an attack."""

import pytest

from mailkeep.defence.wrong_passwords import HotPasswords, RepeatedPasswords


def seal(number: int) -> bytes:
    return number.to_bytes(16)[::-1]


def test_the_last_ten_wrong_passwords_are_known() -> None:
    """The eleventh pushes out the one unused for longest."""
    repeated = RepeatedPasswords()
    assert [repeated.note(seal(number), number) for number in range(10)] == [False] * 10
    assert repeated.note(seal(0), 10)
    assert not repeated.note(seal(10), 11)
    assert repeated.note(seal(0), 12)
    assert not repeated.note(seal(1), 13)


def test_they_are_known_for_a_day() -> None:
    """After it they count once more."""
    repeated = RepeatedPasswords()
    repeated.note(seal(1), 0)
    assert repeated.note(seal(1), 86_399)
    assert not repeated.note(seal(1), 2 * 86_400)


def tries(hot: HotPasswords, names: int, *, prefix: str = "p", every_s: float = 0) -> list[bool]:
    """Try one password on so many names; tell after each whether it is hot."""
    found = []
    for number in range(names):
        hot.note(seal(1), f"n{number}", f"{prefix}{number}", number * every_s)
        found.append(hot.is_hot(seal(1), number * every_s))
    return found


def test_a_password_that_is_wrong_on_more_than_five_names_is_hot() -> None:
    """Five are an accident, six are spraying; other passwords are not concerned."""
    hot = HotPasswords(10)
    assert tries(hot, 6) == [False] * 5 + [True]
    assert not hot.is_hot(seal(2), 0)
    assert not hot.is_hot(None, 0)


def test_the_same_name_again_and_again_is_not_many_names() -> None:
    """A program with an old password does not make it hot."""
    hot = HotPasswords(10)
    for _ in range(100):
        hot.note(seal(1), "n", "p", 0)
    assert not hot.is_hot(seal(1), 0)


def test_within_an_hour() -> None:
    """A name every 13 minutes is five an hour; a name every 11 is six."""
    assert not any(tries(HotPasswords(10), 50, every_s=780))
    assert tries(HotPasswords(10), 6, every_s=660)[-1]


def test_it_stays_hot_for_an_hour_after_its_last_use() -> None:
    """A pause does not cool it while it is used."""
    hot = HotPasswords(10)
    tries(hot, 6)
    assert (hot.is_hot(seal(1), 3599), hot.is_hot(seal(1), 3600)) == (True, False)
    hot.note(seal(1), "again", "p", 3599)
    assert (hot.is_hot(seal(1), 7198), hot.is_hot(seal(1), 7199)) == (True, False)


def test_all_its_sources_are_to_be_banned() -> None:
    """Those who made it hot at once, then each that comes with it; not who cannot be banned."""
    hot = HotPasswords(10)
    for number in range(5):
        prefix = None if number == 2 else f"p{number}"
        assert hot.note(seal(1), f"n{number}", prefix, 0) == frozenset()
    assert hot.note(seal(1), "n5", "p5", 0) == {"p0", "p1", "p3", "p4", "p5"}
    assert hot.note(seal(1), "n6", "p6", 1) == {"p6"}
    assert hot.note(seal(1), "n0", "p7", 1) == {"p7"}
    assert hot.note(seal(1), "n7", None, 1) == frozenset()


@pytest.mark.parametrize("limit", [1, 7])
def test_the_table_is_bounded(limit: int) -> None:
    """So is each row: no more names than it takes to be hot."""
    hot = HotPasswords(limit)
    for number in range(50):
        hot.note(seal(number), "n", "p", 0)
    for number in range(50):
        hot.note(seal(1), f"n{number}", "p", 0)
    assert len(hot) == limit
    assert all(
        len(tried.names) <= 6 for tried in (hot._tried.get(it) for it in hot._tried) if tried
    )
