"""The supervisor's half: workers are told, heard, replaced; one that misbehaves is ended.

Workers are played here, in fake time; what real ones do is in `tests/app/test_workers.py`.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from tests.adversity.test_door_over_socket import in_fake_time, turns
from tests.server.parts import Recorder

from mailkeep.events import EventType, types
from mailkeep.events.forwarding import ForwardingSink, unpack
from mailkeep.server import Ears, Workers, open_listeners, share_listeners
from mailkeep.server import worker_wire as wire
from mailkeep.server.worker_link import FrameLink
from mailkeep.server.workers import (
    CONFIRMED_WITHIN_S,
    FIRST_PAUSE_S,
    GONE_WITHIN_S,
    LAST_PAUSE_S,
    STEADY_S,
    CannotServe,
)
from mailkeep.site import Site, parse_settings
from mailkeep.values import AccountId

SETTINGS = 'hostname = "m.example"\n[[listen]]\nservice = "pop3"\naddress = "127.0.0.1:0"\n'
LOGIN = types.LoginAccepted(session="s", account="a", peer="p", mechanism="USER", familiar=True)


class Played:
    """A worker that is played: its process and its end of the link."""

    def __init__(self, pid: int, link: int, company: "Company") -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.heard: list[wire.Down] = []
        self.began_s = asyncio.get_running_loop().time()
        self.link = FrameLink(self._take)
        self._company = company
        self._gone = asyncio.Event()
        self._attaching = asyncio.ensure_future(
            self.link.attach(socket.socket(fileno=os.dup(link)))
        )
        self.link.lost.add_done_callback(lambda _: self.end(0))

    async def wait(self) -> int:
        await self._gone.wait()
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        self.end(-9)

    def end(self, code: int) -> None:
        """Die."""
        if self.returncode is None and (code or not self._company.lingers):
            self.returncode = code
            self._gone.set()
            self.link.abort()

    def tell(self, *events: types.Event) -> None:
        """Send events up."""
        sink = ForwardingSink()
        for event in events:
            sink.emit(event)
        self.link.send(wire.frame(wire.Kind.EVENTS, sink.take()))

    def of(self, kind: type) -> list[wire.Down]:
        """Return what was heard of one kind."""
        return [it for it in self.heard if isinstance(it, kind)]

    def _take(self, kind: wire.Kind, body: bytes) -> None:
        del kind
        message = wire.decode_down(body)
        self.heard.append(message)
        match message:
            case wire.Begin() if self._company.on_begin is not None:
                self._company.on_begin(self)
            case wire.Begin():
                self.link.say(wire.Listening())
            case wire.Stop() if self._company.obeys:
                self.end(0)
            case wire.LookAtAccount() | wire.LookAgain() | wire.UseSite() if self._company.obeys:
                self.link.say(wire.Done(message.number))
            case wire.TakeOver():
                self.link.say(wire.TakenOver(message.number, self._company.gives_up is self))
            case wire.TakenOver():
                self.link.answered(message)


class Company:
    """Two workers and what they tell."""

    def __init__(self, folder: Path) -> None:
        site = Site(folder, parse_settings(SETTINGS, source="x"))
        listeners = share_listeners(open_listeners(site.settings.listen), [], 2)
        self.site = site
        self.sink = Recorder()
        self.commands: list[tuple[str, float]] = []
        self.played: list[Played] = []
        self.on_begin: Callable[[Played], None] | None = None
        self.obeys = True
        self.lingers = False
        self.gives_up: Played | None = None
        ears = Ears(self.sink, unpack, lambda verb, seconds: self.commands.append((verb, seconds)))
        self.workers = Workers(site, "1", listeners, self.launch, ears)

    async def launch(self, link: int, sockets: Sequence[int]) -> Played:
        assert len(sockets) == 1
        played = Played(1000 + len(self.played), link, self)
        self.played.append(played)
        return played


@contextlib.asynccontextmanager
async def company(folder: Path) -> AsyncIterator[Company]:
    it = Company(folder)
    await it.workers.start()
    try:
        yield it
    finally:
        it.obeys, it.lingers = True, False
        await it.workers.stop()
        await turns()


@in_fake_time
async def test_what_workers_tell_is_heard(tmp_path: Path) -> None:
    """Events, commands, figures: the sums of all."""
    async with company(tmp_path) as it:
        for number, played in enumerate(it.played, start=1):
            played.tell(LOGIN)
            played.link.say(wire.Commands((("STAT", 0.5),)))
            played.link.say(wire.Figures(10 * number, number, 2 * number))
        await turns()
        assert len(it.sink.of(EventType.LOGIN_ACCEPTED)) == 2
        assert it.commands == [("STAT", 0.5)] * 2
        assert it.workers.connections == 30
        assert (it.workers.checks_running, it.workers.checks_waiting) == (3, 6)


@in_fake_time
async def test_a_worker_that_dies_is_replaced_and_its_sessions_end_is_told(tmp_path: Path) -> None:
    """What it had inside is given back to the others."""
    async with company(tmp_path) as it:
        first, second = it.played
        first.tell(LOGIN)
        first.link.say(wire.Inside({"192.0.2.0/24": 3}, {7: 1}))
        await turns()
        assert second.of(wire.Inside) == [wire.Inside({"192.0.2.0/24": 3}, {7: 1})]
        first.end(-11)
        await turns()
        assert second.of(wire.Inside)[1:] == [wire.Inside({"192.0.2.0/24": 0}, {7: 0})]
        (ended,) = it.sink.of(EventType.SESSION_ENDED)
        assert ended["how"] == "its worker ended"
        (told,) = it.sink.of(EventType.WORKER_ENDED)
        assert (told["worker"], told["how"], told["sessions"]) == (0, "signal 11", 1)
        await asyncio.sleep(FIRST_PAUSE_S * 2)
        assert len(it.played) == 3
        assert len(it.sink.of(EventType.WORKER_STARTED)) == 3


@in_fake_time
async def test_one_that_dies_again_and_again_is_replaced_ever_later(tmp_path: Path) -> None:
    """And at once again when one has lived for a while."""
    async with company(tmp_path) as it:
        second = it.played[1]
        it.on_begin = lambda played: played.end(1)
        it.played[0].end(1)
        await asyncio.sleep(300)
        starts = [played.began_s for played in it.played[2:]]
        pauses = [after - before for before, after in pairwise(starts)]
        assert pauses[0] == pytest.approx(2 * FIRST_PAUSE_S, abs=0.01)
        assert all(after >= before * 0.99 for before, after in pairwise(pauses))
        assert pauses[-1] == pytest.approx(LAST_PAUSE_S, abs=0.01)
        assert not second.link.lost.done()
        it.on_begin = None
        await asyncio.sleep(LAST_PAUSE_S + STEADY_S)
        before = len(it.played)
        it.played[-1].end(1)
        await asyncio.sleep(2 * FIRST_PAUSE_S)
        assert len(it.played) == before + 1


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        wire.encode(wire.Stop()),
        wire.frame(wire.Kind.EVENTS, b"\xc0"),
        wire.frame(wire.Kind.MESSAGE, b""),
    ],
)
@in_fake_time
async def test_a_worker_that_talks_nonsense_is_replaced(tmp_path: Path, nonsense: bytes) -> None:
    """Whatever it was, it is not one of ours any more."""
    problems = list[object]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context["exception"]))
    async with company(tmp_path) as it:
        it.played[0].link.send(nonsense)
        await asyncio.sleep(2 * FIRST_PAUSE_S)
        assert it.played[0].returncode is not None
        assert len(it.played) == 3
        assert isinstance(problems[0], wire.Malformed)


@in_fake_time
async def test_a_change_is_confirmed_by_all_before_it_is_in_force(tmp_path: Path) -> None:
    """One that hangs is ended: a session that must not go on would go on there."""
    async with company(tmp_path) as it:
        await it.workers.look_at_account(AccountId(7))
        assert [len(played.of(wire.LookAtAccount)) for played in it.played] == [1, 1]
        it.obeys = False
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await it.workers.look_at_account(None)
        assert loop.time() - began_s == pytest.approx(CONFIRMED_WITHIN_S, abs=0.1)
        await turns()
        assert [played.returncode for played in it.played[:2]] == [-9, -9]
        assert {told["how"] for told in it.sink.of(EventType.WORKER_ENDED)} == {
            "it did not confirm a change"
        }


@in_fake_time
async def test_a_change_while_a_worker_begins_is_told_when_it_has_begun(tmp_path: Path) -> None:
    """It may have read what was before; nobody waits for it, for nobody is in there."""
    async with company(tmp_path) as it:
        it.on_begin = lambda _: None
        it.played[0].end(1)
        await asyncio.sleep(2 * FIRST_PAUSE_S)
        await it.workers.look_at_account(AccountId(7))
        beginning = it.played[2]
        assert not beginning.of(wire.LookAtAccount)
        beginning.link.say(wire.Listening())
        await turns()
        assert len(beginning.of(wire.LookAtAccount)) == 1


@in_fake_time
async def test_a_successor_has_the_settings_of_the_others(tmp_path: Path) -> None:
    """Ports and rooms as at the start, the rest as it is in force now."""
    async with company(tmp_path) as it:
        now = Site(tmp_path, parse_settings(SETTINGS + "[limits]\nidle_s = 700\n", source="x"))
        await it.workers.use(now)
        assert all(len(played.of(wire.UseSite)) == 1 for played in it.played)
        it.played[0].end(1)
        await asyncio.sleep(2 * FIRST_PAUSE_S)
        (begin,) = it.played[2].of(wire.Begin)
        assert isinstance(begin, wire.Begin)
        assert wire.unpack_site(begin.site) == it.site
        assert wire.unpack_site(begin.site_now) == now


@in_fake_time
async def test_workers_wait_while_the_record_has_no_room(tmp_path: Path) -> None:
    """And so does one that begins meanwhile."""
    async with company(tmp_path) as it:
        it.sink.room = asyncio.Event()
        it.played[0].tell(LOGIN)
        await turns()
        assert all(played.of(wire.Room) == [wire.Room(is_there=False)] for played in it.played)
        it.played[0].end(1)
        await asyncio.sleep(2 * FIRST_PAUSE_S)
        assert it.played[2].of(wire.Room) == [wire.Room(is_there=False)]
        it.sink.room.set()
        await turns()
        assert all(played.of(wire.Room)[-1] == wire.Room(is_there=True) for played in it.played[1:])


@in_fake_time
async def test_a_maildrop_is_taken_over_from_whichever_worker_has_it(tmp_path: Path) -> None:
    """Only the others are asked; nobody having it is an answer, too."""
    async with company(tmp_path) as it:
        first, second = it.played
        for giver, is_free in ((second, True), (None, False)):
            it.gives_up = giver
            answer = await first.link.ask(lambda number: wire.TakeOver(number, 7, 60.0))
            assert isinstance(answer, wire.TakenOver)
            assert answer.is_free == is_free
        assert not first.of(wire.TakeOver)


@in_fake_time
async def test_a_site_that_cannot_be_served_is_an_error(tmp_path: Path) -> None:
    """With the worker's own reason; the other is ended, too."""
    it = Company(tmp_path)

    def fail(played: Played) -> None:
        played.link.say(wire.CannotBegin("no key"))
        played.link.flush()
        asyncio.get_running_loop().call_later(0.1, played.end, 1)

    it.on_begin = fail
    with pytest.raises(CannotServe, match="no key"):
        await it.workers.start()
    assert all(played.returncode is not None for played in it.played)


@in_fake_time
async def test_the_end_waits_for_workers_and_not_for_ever(tmp_path: Path) -> None:
    """One that does not end in time is killed."""
    it = Company(tmp_path)
    await it.workers.start()
    it.obeys = False
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await it.workers.stop()
    patience_s = it.site.settings.limits.shutdown_s + GONE_WITHIN_S
    assert loop.time() - began_s == pytest.approx(patience_s, abs=1)
    assert [played.returncode for played in it.played] == [-9, -9]
    assert not it.sink.of(EventType.WORKER_ENDED)
