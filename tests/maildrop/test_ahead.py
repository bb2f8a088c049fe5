"""Small messages that are read in a row are read with fewer hops, and no message is another."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mailkeep.maildrop import MessageGone, MessageUnreadable
from mailkeep.maildrop.maildir import ahead as ahead_module
from mailkeep.maildrop.maildir import messages as messages_module
from mailkeep.maildrop.maildir.ahead import AHEAD_OCTETS, AHEAD_S, Ahead, Room
from mailkeep.testing.maildir_site import MaildirSite, maildir_site
from mailkeep.testing.store_contract import whole, wire_form
from mailkeep.values import Index, Octets

SMALL = 12


class Hops(ThreadPoolExecutor):
    """A thread that counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__(1)
        self.count = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        return super().submit(fn, *args, **kwargs)


@pytest.fixture
def hops() -> Iterator[Hops]:
    """Where messages are read."""
    with Hops() as hops:
        yield hops


@pytest.fixture
def site(tmp_path: Path, hops: Hops, monkeypatch: pytest.MonkeyPatch) -> Iterator[MaildirSite]:
    """One account, whose messages are read in hops that are counted, however busy the machine."""
    monkeypatch.setattr(messages_module, "SPENT_S", 1000.0)
    with maildir_site(tmp_path, files=hops) as site:
        yield site


def stored(number: int, octets: int = 100) -> bytes:
    return b"Subject: %d\n\n" % number + b"x" * octets + b"\n"


def put_small(site: MaildirSite, count: int = SMALL, octets: int = 100) -> list[bytes]:
    """Put messages into the Maildir and return them in their order."""
    messages = [stored(number, octets) for number in range(count)]
    for number, message in enumerate(messages):
        site.put(f"{number:03}.a", message)
    return messages


async def test_a_row_of_small_messages_takes_few_hops_and_each_is_itself(
    site: MaildirSite, hops: Hops
) -> None:
    """The first two, and the rest comes with the second."""
    messages = put_small(site)
    maildrop = await site.open()
    got = [await whole(maildrop, number) for number in range(SMALL)]
    assert got == [wire_form(message) for message in messages]
    assert hops.count == 2
    await maildrop.close()


@pytest.mark.parametrize("order", [[0], [5], [3, 1, 2], [0, 2, 4, 6], [5, 4, 3, 2]])
async def test_what_is_no_row_is_read_one_by_one(
    site: MaildirSite, hops: Hops, order: list[int]
) -> None:
    """Who wants one message does not make the disk read six; [3, 1, 2] ends with a row."""
    messages = put_small(site)
    maildrop = await site.open()
    for number in order:
        assert await whole(maildrop, number) == wire_form(messages[number])
    assert hops.count == len(order)
    await maildrop.close()


async def test_more_than_there_is_room_for_is_not_read_ahead(
    site: MaildirSite, hops: Hops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory of a session is bounded, and a big message is worth a hop of its own."""
    monkeypatch.setattr(ahead_module, "AHEAD_OCTETS", 1000)
    messages = put_small(site, octets=1000)
    maildrop = await site.open()
    for number in range(SMALL):
        assert await whole(maildrop, number) == wire_form(messages[number])
    assert hops.count == SMALL
    await maildrop.close()


async def test_a_slow_disk_is_not_made_slower(
    site: MaildirSite, hops: Hops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for one message does not wait for fifty that each need a seek."""
    monkeypatch.setattr(messages_module, "SPENT_S", -1.0)
    messages = put_small(site)
    maildrop = await site.open()
    for number in range(SMALL):
        assert await whole(maildrop, number) == wire_form(messages[number])
    assert hops.count == SMALL
    await maildrop.close()


async def test_its_digest_comes_with_it(site: MaildirSite) -> None:
    """The record has it of every message."""
    messages = put_small(site)
    maildrop = await site.open()
    for number in range(SMALL):
        sent = await maildrop.read(Index(number))
        assert await sent.next_piece() == wire_form(messages[number])
        assert sent.sha256 == sha256(wire_form(messages[number])).hexdigest()
    await maildrop.close()


async def test_one_that_vanished_stops_none_of_the_others(site: MaildirSite) -> None:
    """It is told when it is asked for, and those behind it are read."""
    messages = put_small(site)
    maildrop = await site.open()
    (site.maildir / "cur" / "004.a").unlink()
    for number in range(SMALL):
        if number == 4:
            with pytest.raises(MessageGone):
                await maildrop.read(Index(number))
        else:
            assert await whole(maildrop, number) == wire_form(messages[number])
    await maildrop.close()


async def test_of_a_file_that_is_longer_than_announced_no_more_is_read_ahead(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may say that a film is a short message: memory is bounded by what it says."""
    put_small(site, 2)
    site.put("002.a,W=100", stored(2, 1_000_000))
    maildrop = await site.open()
    asked: list[int] = []
    real = os.pread

    def pread(descriptor: int, octets: int, offset: int) -> bytes:
        asked.append(octets)
        return real(descriptor, octets, offset)

    monkeypatch.setattr(os, "pread", pread)
    for number in range(2):
        await whole(maildrop, number)
    assert asked == [len(stored(0)) + 1, len(stored(1)) + 1, 101]
    with pytest.raises(MessageUnreadable):
        await maildrop.read(Index(2))
    await maildrop.close()


async def test_top_takes_nothing_that_was_read_for_retr(site: MaildirSite) -> None:
    """Its octets are others, and RETR still has what was read for it."""
    put_small(site)
    maildrop = await site.open()
    for number in range(3):
        await whole(maildrop, number)
    top = await whole(maildrop, 3, body_lines=0)
    assert top == b"Subject: 3\r\n\r\n"
    assert await whole(maildrop, 3) == wire_form(stored(3))
    await maildrop.close()


def in_a_row(ahead: Ahead[str]) -> None:
    ahead.asked(Index(0))
    ahead.asked(Index(1))
    assert ahead.worth_octets == AHEAD_OCTETS


async def test_all_sessions_together_read_no_more_ahead_than_there_is_room_for() -> None:
    """When 1,800 sessions download, each has some messages and none has many."""
    room = Room(100)
    first: Ahead[str] = Ahead(room)
    second: Ahead[str] = Ahead(room)
    for ahead in (first, second):
        assert ahead.worth_octets == 0
        ahead.asked(Index(0))
        ahead.asked(Index(1))
    first.keep({Index(2): ("two", Octets(60)), Index(3): ("three", Octets(30))})
    assert second.worth_octets == 10
    assert first.asked(Index(2)) == "two"
    assert second.worth_octets == 70
    first.drop()
    first.drop()
    assert second.worth_octets == 100
    first.keep({Index(3): ("three", Octets(130))})
    assert second.worth_octets == 0
    first.keep({})
    assert room.left_octets == 100


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_row_is_as_long_as_it_has_messages(times: int) -> None:
    """However often each is asked for: at hand, then to be read."""
    ahead: Ahead[str] = Ahead(Room())
    for _ in range(times):
        ahead.asked(Index(4))
    assert ahead.worth_octets == 0
    for _ in range(times):
        ahead.asked(Index(5))
        assert ahead.worth_octets == AHEAD_OCTETS
    ahead.asked(Index(4))
    assert ahead.worth_octets == 0


@pytest.mark.parametrize("asks_first", [False, True])
async def test_a_row_is_read_ahead_whether_or_not_what_is_at_hand_is_asked_for(
    site: MaildirSite, hops: Hops, asks_first: bool
) -> None:
    """The server asks first what needs no waiting; reading alone finds the same."""
    messages = put_small(site)
    maildrop = await site.open()
    for number in range(SMALL):
        at_hand = maildrop.at_hand(Index(number)) if asks_first else None
        octets = at_hand.octets if at_hand else await whole(maildrop, number)
        assert octets == wire_form(messages[number])
        assert (at_hand is not None) == (asks_first and number > 1)
    assert hops.count == 2
    await maildrop.close()


async def test_what_is_not_at_hand_is_looked_for_once(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was told so reads next: to try the same again would find the same."""
    put_small(site)
    maildrop = await site.open()
    tried: list[Index] = []
    monkeypatch.setattr(messages_module.Messages, "at_hand", lambda _, place: tried.append(place))
    for _ in range(2):
        assert maildrop.at_hand(Index(0)) is None
        assert await whole(maildrop, 0) == wire_form(stored(0))
    assert tried == [0, 0]
    assert await whole(maildrop, 0) == wire_form(stored(0))
    assert tried == [0, 0, 0]
    await maildrop.close()


async def test_what_was_read_ahead_is_given_once() -> None:
    """Asked again, the file is read again."""
    ahead: Ahead[str] = Ahead(Room())
    in_a_row(ahead)
    ahead.keep({Index(2): ("two", Octets(3))})
    assert [ahead.asked(Index(2)), ahead.asked(Index(2))] == ["two", None]


async def test_nothing_is_kept_for_longer_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle session holds no mail, and one that was removed is not served for long."""
    due: list[tuple[float, Callable[[], None]]] = []
    loop = asyncio.get_running_loop()

    def call_later(delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        due.append((delay_s, call))
        return asyncio.TimerHandle(delay_s, call, (), loop)

    ahead: Ahead[str] = Ahead(Room())
    in_a_row(ahead)
    monkeypatch.setattr(loop, "call_later", call_later)
    ahead.keep({Index(2): ("two", Octets(3))})
    [(delay_s, drop)] = due
    assert delay_s == AHEAD_S
    drop()
    assert ahead.asked(Index(2)) is None


async def test_what_is_closed_keeps_nothing(site: MaildirSite, hops: Hops) -> None:
    """The lease is given back: what was read under it is no longer ours to hand out."""
    put_small(site)
    maildrop = await site.open()
    for number in range(2):
        await whole(maildrop, number)
    await maildrop.close()
    before = hops.count
    await whole(maildrop, 2)
    assert hops.count == before + 1


async def test_what_was_read_ahead_holds_no_file_open(site: MaildirSite) -> None:
    """A session has one descriptor at most."""
    put_small(site)
    maildrop = await site.open()
    for number in range(3):
        await whole(maildrop, number)
    assert site.open_files() == []
    await maildrop.close()
