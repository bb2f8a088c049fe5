"""S-01 to S-14: a run died, the power went, the disk is full, the clock jumped.

What only a killed process shows is in `tests/crash`.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fetch.states.running import (
    BODIES,
    DAY_S,
    DELETE,
    KEEP,
    NOW,
    ONE,
    THREE,
    TWO,
    UIDLS,
    Home,
    asked,
    once,
    words,
)

from mailkeep.fetch.events import Deleted, MessageAdopted
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.policy import Policy
from mailkeep.fetch.rows import State
from mailkeep.testing.odd_server import Heard, Oddity, OddMailbox, OddServer, OddSession
from mailkeep.testing.odd_server import oddities as odd

ALL = once(*BODIES)
AFTER_A_WEEK = Policy(delete_after_s=7 * DAY_S)


class OnCommand(Oddity):
    """Does something at the moment at which a command is heard."""

    def __init__(self, word: bytes, act: Callable[[], None]) -> None:
        self._word = word
        self._act = act

    def heard(self, _session: OddSession, command: Heard, /) -> None:
        """Act."""
        if command.word == self._word:
            self._act()


async def test_a_message_that_came_half_is_fetched_again_from_its_beginning(home: Home) -> None:
    """S-01: nothing of it is stored; the next run asks for the whole of it."""
    home.reconnect_delays_s = ()
    async with OddServer(OddMailbox.of(*BODIES), odd.cut_body(2, 30)) as server:
        assert (await home.fetch(server)).code == FetchExit.NETWORK
        assert home.stored() == once(ONE)
        assert home.states()[b"uidl-2"] is State.FETCHING
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert [line for line in asked(server, b"RETR") if line == b"RETR 1"] == [b"RETR 1"]
    assert home.stored() == ALL


@pytest.mark.parametrize("torn", [b"", b"From: b@exam", TWO])
async def test_what_a_dead_run_left_unfinished_is_removed_and_not_believed(
    home: Home, torn: bytes
) -> None:
    """S-01, S-02: a file that was not brought to disk is no message, whatever is in it."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        whole = next(path for path in home.files() if path.read_bytes() == TWO)
        whole.unlink()
        left = home.maildir / "tmp" / whole.name.partition(",S=")[0]
        left.write_bytes(torn)
        home.forget(b"uidl-2")
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert asked(server, b"RETR")[3:] == [b"RETR 2"]
    assert home.stored() == ALL
    assert not any((home.maildir / "tmp").iterdir())


async def test_a_stored_file_without_its_octets_is_fetched_again(home: Home) -> None:
    """S-02: a disk that kept the name and lost the end: the length in the name tells it."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        torn = next(path for path in home.files() if path.read_bytes() == THREE)
        torn.write_bytes(THREE[:50])
        home.forget(b"uidl-3")
        assert (await home.fetch(server)).code == FetchExit.DONE
    assert home.stored() == ALL


@pytest.mark.parametrize("is_read", [False, True])
async def test_a_stored_file_whose_record_is_missing_is_adopted(home: Home, is_read: bool) -> None:
    """S-03: no second copy, whatever a mail program has done to the name; DELE may follow."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        if is_read:
            for path in home.files():
                path.rename(home.maildir / "cur" / f"{path.name}:2,RS")
        home.forget(*UIDLS)
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.adopted, ended.deleted) == (FetchExit.DONE, 3, 3)
        assert len(asked(server, b"RETR")) == 3
        assert server.mailbox.uidls == []
    assert home.stored() == ALL


async def test_what_was_stored_before_is_deleted_without_coming_again(home: Home) -> None:
    """S-04: the next session with `delete` says DELE and nothing else about it."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server, KEEP)
        ended = await home.fetch(server, DELETE)
        assert ended.deleted == 3
        assert words(server, 2).count(b"DELE") == 3
        assert b"RETR" not in words(server, 2)
        assert server.mailbox.uidls == []
    assert set(home.states().values()) == {State.GONE}


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_dele_without_quit_has_deleted_nothing(home: Home, nth: int) -> None:
    """S-05, RFC 1939 section 6: the message is still there, deleted again, not fetched again."""
    async with OddServer(OddMailbox.of(*BODIES), odd.drop_after_dele(nth)) as server:
        await home.fetch(server, DELETE)
        assert server.mailbox.uidls == UIDLS
        assert State.GONE not in home.states().values()
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.deleted) == (FetchExit.DONE, 3)
        assert len(asked(server, b"RETR")) == 3
        assert server.mailbox.uidls == []
    assert home.stored() == ALL


@pytest.mark.parametrize("removes", [True, False])
async def test_a_lost_answer_to_quit_is_settled_by_the_next_session(
    home: Home, removes: bool
) -> None:
    """S-06: neither success nor failure; what is listed is deleted again, what is not is gone."""
    lost = odd.close_before_quit_answer(removes=removes)
    async with OddServer(OddMailbox.of(*BODIES), lost) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.deleted, ended.unsettled) == (FetchExit.NETWORK, 0, 3)
        assert set(home.states().values()) == {State.DELETING}
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.deleted) == (FetchExit.DONE, 0 if removes else 3)
        assert server.mailbox.uidls == []
        assert len(asked(server, b"RETR")) == 3
    assert set(home.states().values()) == {State.GONE}
    assert home.stored() == ALL


async def test_a_lost_answer_to_quit_makes_nothing_come_again_when_it_is_kept_now(
    home: Home,
) -> None:
    """S-06: what was to be deleted and is still there counts as stored."""
    lost = odd.close_before_quit_answer(removes=False)
    async with OddServer(OddMailbox.of(*BODIES), lost) as server:
        await home.fetch(server, DELETE)
        assert (await home.fetch(server, KEEP)).code == FetchExit.DONE
        assert len(asked(server, b"RETR")) == 3
    assert set(home.states().values()) == {State.STORED}


@pytest.mark.parametrize("removes", [0, 1, None])
async def test_a_refused_quit_leaves_all_open_until_the_next_listing(
    home: Home, removes: int | None
) -> None:
    """S-07, RFC 1939 section 6: some of the marked may be gone, nobody says which."""
    refused = odd.refuse_quit(removes=removes)
    async with OddServer(OddMailbox.of(*BODIES), refused) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.deleted, ended.unsettled) == (0, 3)
        left = len(server.mailbox.uidls)
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.deleted) == (FetchExit.DONE, left)
        assert len(asked(server, b"RETR")) == 3
        assert server.mailbox.uidls == []
    assert home.stored() == ALL


@pytest.mark.parametrize("cut", [1, 100, 4000, 10_000])
async def test_a_journal_with_a_torn_tail_loses_records_and_no_mail(
    home: Home, tmp_path: Path, cut: int
) -> None:
    """S-08: what was being written last falls away; the files tell what is here."""
    copy = tmp_path / "copy"
    copy.mkdir()
    parts = [home.state.path / f"journal.db{suffix}" for suffix in ("", "-wal")]

    def take_a_copy() -> None:
        for part in parts:
            shutil.copy(part, copy)

    async with OddServer(OddMailbox.of(*BODIES), OnCommand(b"QUIT", take_a_copy)) as server:
        await home.fetch(server)
        os.truncate(copy / "journal.db-wal", (copy / "journal.db-wal").stat().st_size - cut)
        shutil.rmtree(home.state.path)
        shutil.copytree(copy, home.state.path)
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert len(asked(server, b"RETR")) == 3
    assert home.stored() == ALL


def cut_short(journal: Path) -> None:
    os.truncate(journal, journal.stat().st_size // 2)


def empty(journal: Path) -> None:
    journal.write_bytes(b"")


def from_the_future(journal: Path) -> None:
    octets = bytearray(journal.read_bytes())
    octets[60:64] = (1000).to_bytes(4, "big")  # SQLite file format: user_version
    journal.write_bytes(octets)


@pytest.mark.parametrize("damage", [cut_short, empty, from_the_future])
async def test_a_damaged_journal_is_said_and_nothing_is_fetched_or_deleted(
    home: Home, damage: Callable[[Path], None]
) -> None:
    """S-08, S-10: an exit code of its own; a journal that cannot be read is no empty one."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        damage(home.state.journal)
        before = home.state.journal.read_bytes()
        ended = await home.fetch(server, DELETE)
        assert ended.code == FetchExit.JOURNAL
        assert ended.hint
        assert {b"RETR", b"DELE"}.isdisjoint(words(server)[len(words(server, 1)) :])
        assert server.mailbox.uidls == UIDLS
    assert home.state.journal.read_bytes() == before


def failing_fsync(_descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def full_write(_descriptor: int, _octets: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("name", "failing"), [("fsync", failing_fsync), ("write", full_write)])
async def test_a_disk_that_fails_ends_the_run_and_nothing_is_deleted(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, failing: Callable[..., object]
) -> None:
    """S-09: no DELE, nothing half stays, a code of its own; a failed fsync is no storing."""
    home.maildir.mkdir(parents=True)
    for part in ("tmp", "new", "cur"):
        (home.maildir / part).mkdir()

    def break_disk() -> None:
        monkeypatch.setattr(os, name, failing)

    async with OddServer(OddMailbox.of(*BODIES), OnCommand(b"RETR", break_disk)) as server:
        ended = await home.fetch(server, DELETE)
        monkeypatch.undo()
        assert (ended.code, ended.fetched) == (FetchExit.STORAGE, 0)
        assert ended.hint
        assert b"DELE" not in words(server)
        assert State.STORED not in home.states().values()
    async with OddServer(server.mailbox) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.deleted) == (FetchExit.DONE, 3)
    assert home.stored() == ALL


@pytest.mark.parametrize("kind", ["maildir", "dir", "mbox"])
async def test_a_lost_journal_lets_nothing_come_again_that_lies_here(home: Home, kind: str) -> None:
    """S-10: files of ours are found by their names, and may be deleted on the server then."""
    home.to = [f"{kind}:{home.maildir}"]
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        home.state.journal.unlink()
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.fetched, ended.adopted) == (FetchExit.DONE, 0, 3)
        assert ended.deleted == 3
        assert len(asked(server, b"RETR")) == 3


async def test_a_second_run_at_once_is_told_who_has_the_account(home: Home) -> None:
    """S-11: one run an account; the second says which process and does not even connect."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        with home.state.locked():
            ended = await home.fetch(server)
        assert ended.code == FetchExit.LOCKED
        assert str(os.getpid()) in (ended.error_untrusted or "")
        assert len(server.sessions) == 1


@pytest.mark.parametrize("word", [b"RETR", b"DELE"])
async def test_a_run_that_is_asked_to_end_keeps_what_came_and_deletes_nothing(
    home: Home, word: bytes
) -> None:
    """S-12: what is whole is durable and journalled; without QUIT no mark counts."""
    stopping = OnCommand(word, home.stop.set)
    async with OddServer(OddMailbox.of(*BODIES), stopping) as server:
        ended = await home.fetch(server, DELETE)
        if word == b"RETR":
            assert ended.code == 128 + 2
            assert server.mailbox.uidls == UIDLS
        kept = len(home.files())
        assert list(home.states().values()).count(State.FETCHING) == 3 - kept
        home.stop.clear()
    async with OddServer(server.mailbox) as server:
        assert (await home.fetch(server, DELETE)).code == FetchExit.DONE
        assert server.mailbox.uidls == []
    assert home.stored() == ALL


async def test_deletes_by_age_wait_one_run_when_the_clock_jumps_forward(home: Home) -> None:
    """S-13: it may be wrong; at the second run it is believed."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server, AFTER_A_WEEK)
        home.now += 30 * DAY_S
        assert (await home.fetch(server, AFTER_A_WEEK)).deleted == 0
        home.now += 60
        assert (await home.fetch(server, AFTER_A_WEEK)).deleted == 3


async def test_nothing_is_deleted_by_age_when_the_clock_went_back(home: Home) -> None:
    """S-13: a clock of 1970 proves nothing, and is not remembered as the latest."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server, AFTER_A_WEEK)
        home.now = 0
        assert (await home.fetch(server, AFTER_A_WEEK)).deleted == 0
        home.now = NOW + DAY_S
        assert (await home.fetch(server, AFTER_A_WEEK)).deleted == 0
        assert len(server.mailbox.messages) == 3


async def test_mail_stored_under_a_wrong_clock_is_not_old_when_it_is_right_again(
    home: Home,
) -> None:
    """S-13: its age counts from the latest time that was ever seen."""
    async with OddServer(OddMailbox.of(ONE)) as server:
        await home.fetch(server, AFTER_A_WEEK)
        server.mailbox.remove(*server.mailbox.messages)
        server.mailbox.add(*OddMailbox.of(ONE, TWO).messages[1:])
        home.now = 0
        await home.fetch(server, AFTER_A_WEEK)
        home.now = NOW + DAY_S
        assert (await home.fetch(server, AFTER_A_WEEK)).deleted == 0
        assert (await home.fetch(server, AFTER_A_WEEK)).deleted == 0
        for _ in range(7):
            home.now += DAY_S
            await home.fetch(server, AFTER_A_WEEK)
        assert server.mailbox.uidls == []


async def test_day_by_day_mail_goes_when_its_time_has_come(home: Home) -> None:
    """S-13: a clock that goes as clocks do is believed."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        left = []
        for _ in range(9):
            await home.fetch(server, AFTER_A_WEEK)
            left.append(len(server.mailbox.messages))
            home.now += DAY_S
    assert left == [3] * 7 + [0] * 2


@pytest.mark.parametrize(("kind", "mark"), [("maildir", "cur"), ("dir", ".mailkeep"), ("mbox", "")])
async def test_a_destination_that_vanished_is_not_made_anew(
    home: Home, kind: str, mark: str
) -> None:
    """S-14: a disk that is not mounted; nothing is fetched, and nothing deleted."""
    home.to = [f"{kind}:{home.maildir}"]
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        home.maildir.rename(home.folder / "elsewhere")
        if mark:
            home.maildir.mkdir()
        ended = await home.fetch(server, DELETE)
        assert (ended.code, "vanished" in (ended.error_untrusted or "")) == (
            FetchExit.STORAGE,
            True,
        )
        assert not (home.maildir / mark).exists()
        assert server.mailbox.uidls == UIDLS
        shutil.rmtree(home.maildir, ignore_errors=True)
        (home.folder / "elsewhere").rename(home.maildir)
        assert (await home.fetch(server, DELETE)).deleted == 3
    assert not home.told(MessageAdopted)
    assert home.told(Deleted) == [Deleted(3)]
