"""A session whose worker has died has an end in the record, with what is known of it."""

from tests.events.samples import run_of

from mailkeep.events import types
from mailkeep.server.left_open import HOW, LeftOpen

LOGIN = types.LoginAccepted(
    session="s1", account="a@example.com", peer="p", mechanism="USER", device="d", familiar=True
)
END = types.SessionEnded(
    session="s1", account="a@example.com", peer="p", how="quit", seconds=1,
    retrieved=0, topped=0, octets=0, deleted=0, removed=0,
)  # fmt: skip


def read(command: str, *, complete: bool = True) -> types.MessageRead:
    return types.MessageRead(
        session="s1", account="a@example.com", peer="p", command=command, uidl="u", octets=10,
        complete=complete,
    )  # fmt: skip


def test_what_a_session_did_is_summed() -> None:
    """Messages that were broken off count by their octets only."""
    left = LeftOpen()
    asked = types.DeletionAsked(session="s1", account="a@example.com", uidl="u")
    done = types.DeletionDone(session="s1", account="a@example.com", peer="p", uidl="u")
    withdrawn = types.DeletionsWithdrawn(session="s1", account="a@example.com", messages=2)
    happened = (
        LOGIN, read("RETR"), read("TOP"), read("RETR", complete=False), asked, asked, withdrawn,
        asked, done,
    )  # fmt: skip
    for event in happened:
        left.note(event, 5.0)
    (end,) = left.ends(7.5)
    assert end == types.SessionEnded(
        session="s1", account="a@example.com", peer="p", device="d", how=HOW, seconds=2.5,
        retrieved=1, topped=1, octets=30, deleted=1, removed=1,
    )  # fmt: skip


def test_what_a_session_did_in_a_row_is_summed_alike() -> None:
    """Each event of a run counts."""
    asked = types.DeletionAsked(session="s1", account="a@example.com", uidl="u")
    done = types.DeletionDone(session="s1", account="a@example.com", peer="p", uidl="u")
    left = LeftOpen()
    for event in (
        LOGIN,
        run_of(read("RETR"), read("TOP"), read("RETR", complete=False), read("RETR")),
        run_of(asked, asked, asked),
        run_of(done, done),
    ):
        left.note(event, 5.0)
    (end,) = left.ends(7.5)
    assert (end.retrieved, end.topped, end.octets) == (2, 1, 40)
    assert (end.deleted, end.removed) == (3, 2)


def test_a_session_that_has_told_its_end_is_forgotten() -> None:
    """Nothing is told twice."""
    left = LeftOpen()
    left.note(LOGIN, 0.0)
    left.note(END, 1.0)
    assert len(left) == 0
    assert list(left.ends(2.0)) == []


def test_what_belongs_to_no_session_changes_nothing() -> None:
    """A login whose beginning nobody heard is none."""
    left = LeftOpen()
    for event in (read("RETR"), run_of(read("RETR")), END, types.Stopping(connections=1)):
        left.note(event, 0.0)
    assert len(left) == 0
