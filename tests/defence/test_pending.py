"""What is to be written: each row once, the new ones soon, and not without end."""

import pytest

from mailkeep.defence import pending
from mailkeep.defence.pending import Pending
from mailkeep.defence.remembered import BanRow, Changes, FamiliarRow, GuessesRow
from mailkeep.values import AccountId


def row(name: str, at_s: float = 0) -> FamiliarRow:
    return FamiliarRow(name, "p", at_s, None)


def test_each_row_is_written_once_as_it_was_last() -> None:
    """However often it changed."""
    rows = Pending()
    for at_s in range(3):
        rows.note_familiar(row("a", at_s), is_new=at_s == 0)
        rows.note_ban(BanRow("p", at_s, "", 1, ""))
        rows.note_guesses(GuessesRow(AccountId(1), at_s, 0))
    expected = Changes(
        (row("a", 2),), (BanRow("p", 2, "", 1, ""),), (GuessesRow(AccountId(1), 2, 0),)
    )
    assert rows.take(0) == expected
    assert not rows.take(0, everything=True)


def test_what_is_only_renewed_is_written_once_a_minute() -> None:
    """Or at the end."""
    rows = Pending()
    rows.take(0)
    rows.note_familiar(row("a"), is_new=False)
    assert not rows.take(59)
    assert rows.take(60).familiar == (row("a"),)
    rows.note_familiar(row("a"), is_new=False)
    assert rows.take(61, everything=True).familiar == (row("a"),)


def test_what_could_not_be_written_is_written_later_unless_there_is_something_newer() -> None:
    """A database that fails for a while loses nothing."""
    rows = Pending()
    for name in "ab":
        rows.note_familiar(row(name, 1), is_new=True)
    taken = rows.take(0)
    rows.note_familiar(row("a", 2), is_new=False)
    rows.note_familiar(row("b", 2), is_new=True)
    rows.put_back(taken)
    assert {(it.name, it.last_success_s) for it in rows.take(1).familiar} == {("a", 1), ("b", 2)}
    assert rows.take(100).familiar == (row("a", 2),)


def test_a_database_that_fails_for_long_costs_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest are dropped."""
    monkeypatch.setattr(pending, "PENDING_LIMIT", 5)
    rows = Pending()
    for number in range(50):
        rows.note_familiar(row(f"n{number}"), is_new=True)
        rows.put_back(rows.take(0))
    assert [it.name for it in rows.take(0).familiar] == ["n45", "n46", "n47", "n48", "n49"]


def test_what_others_wrote_is_not_written_over() -> None:
    """An account's confirmation."""
    rows = Pending()
    rows.note_guesses(GuessesRow(AccountId(1), 5, 0))
    rows.forget_guesses(AccountId(1))
    assert not rows.take(0)
