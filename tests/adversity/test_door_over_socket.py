"""The door over the control socket: the same door, and what happens when either side goes away.

What needs minutes runs in fake time: both ends are in one loop, so that nothing happens while
nobody seems to do anything. The rest runs on real loops.
"""

import asyncio
import contextlib
import functools
import json
import random
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any, Self, cast

import pytest
import pytest_asyncio
from tests.adversity.test_control import Heard
from tests.defence.knocking import (
    ALICE,
    HOME,
    attempt,
    dice,
    guess,
    guess_and_see,
    is_in,
    log_in,
    make_door,
    now_s,
)

from mailkeep.defence import Attempt, DoorUnavailable, Let, LoginDoor, Success, Turned, Turning
from mailkeep.defence.door import Door
from mailkeep.defence.policy_question import PolicyAnswer, PolicyServerUnavailable
from mailkeep.defence.remembered import BanRow
from mailkeep.defence.rules import DoorRules
from mailkeep.server import control as control_room
from mailkeep.server import door_known
from mailkeep.server import door_wire as wire
from mailkeep.server.control import SILENCE_S, Control, send_notice
from mailkeep.server.door_asking import SURE_WAITS_S, UNREACHED_S, DoorOverSocket
from mailkeep.server.door_known import REFUSED_FOR_S
from mailkeep.server.door_link import PING_EVERY_S, PONG_WITHIN_S
from mailkeep.testing.fake_time import FakeTimeLoop
from mailkeep.values import AccountId

STRANGER = "203.0.113.9"
MANY = 1000


def in_fake_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Let a test run in a loop of its own whose clock jumps."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@contextlib.asynccontextmanager
async def asking(path: Path) -> AsyncIterator[DoorOverSocket]:
    """Be a worker."""
    worker = DoorOverSocket(path)
    worker.start()
    try:
        yield worker
    finally:
        await worker.close()


@contextlib.asynccontextmanager
async def answering(path: Path, door: LoginDoor, *, lasts: bool = False) -> AsyncIterator[Control]:
    """Be the process that has the door."""
    control = Control(path, Heard().take, door, lasts=lasts)
    await control.start()
    try:
        yield control
    finally:
        control.close()
        await turns()


@contextlib.asynccontextmanager
async def reached(
    path: Path, door: LoginDoor, *, lasts: bool = False
) -> AsyncIterator[DoorOverSocket]:
    """Be both."""
    async with answering(path, door, lasts=lasts), asking(path) as worker:
        await until(lambda: worker.is_reached)
        yield worker


async def turns(count: int = 20) -> None:
    """Let everybody do what can be done at once."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(is_so: Callable[[], bool], *, within_s: float = 20) -> None:
    """Return when something has come about."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110  # it comes about in the real thing, which has no event
            await asyncio.sleep(0.001)


def seen_alike(door: LoginDoor) -> Door:
    """Let those knock on a door who were made for the real one; they use the seam alone."""
    return cast("Door", door)


def is_empty(door: Door) -> bool:
    """Tell whether nobody waits at a door and nobody is looked at."""
    return (len(door._lanes), len(door._lent), door._lanes.waiting) == (0, 0, 0)


# The same door, asked directly and over the socket.

Script = Callable[[Door, Door], Awaitable[list[object]]]
"""What is done at a door, which is also given as it is itself; returns what is to be the same."""

SCRIPTS: list[Script] = []


def script(behaviour: Script) -> Script:
    SCRIPTS.append(behaviour)
    return behaviour


@script
async def failures_slow_down(door: Door, behind: Door) -> list[object]:
    """0, 2, 4 and 8 seconds, told with the guess; the owner at home waits for none."""
    del behind
    assert is_in(await log_in(door))
    waits = list[object]()
    for number in range(5):
        let = await guess(door, STRANGER, f"n{number}", str(number), account=None)
        waits.append(round(let.delayed_s, 1))
    before_s = now_s()
    assert is_in(await log_in(door))
    assert now_s() - before_s < 0.1
    assert waits == [0, 2, 4, 8, 15]
    return waits


@script
async def ten_failures_ban(door: Door, behind: Door) -> list[object]:
    """The ban is told with the last guess, and those that follow are turned away."""
    seen = list[object]()
    for number in range(10):
        let, came_of_it = await guess_and_see(door, STRANGER, "alice@example.com", str(number))
        assert isinstance(let, Let)
        assert (came_of_it.ban is not None) == (number == 9)
        seen.append(came_of_it)
    turned = await guess(door, STRANGER)
    assert isinstance(turned, Turned)
    assert turned.reason is Turning.BANNED
    return [*seen, behind.guesses(ALICE), round(turned.delayed_s, 1)]


@script
async def a_hot_password_is_refused_where_it_is_right(door: Door, behind: Door) -> list[object]:
    """With the bans that it brings about, of all who tried it."""
    del behind
    seen = list[object]()
    for number in range(7):
        source, name = f"203.0.{number}.1", f"n{number}"
        seen.append((await guess_and_see(door, source, name, "hot", account=None))[1])
    welcome = await log_in(door, "198.51.100.200", password="hot")
    assert not isinstance(welcome, Turned)
    assert welcome.refused is Turning.HOT_PASSWORD
    assert welcome.bans
    return [*seen, welcome]


@script
async def two_are_looked_at_at_a_time(door: Door, behind: Door) -> list[object]:
    """The third waits until one is reported, however that ends; cancelling frees it too."""
    first = await door.ask(attempt(STRANGER, "a"))
    second = await door.ask(attempt(STRANGER, "b"))
    third = asyncio.ensure_future(door.ask(attempt(STRANGER, "c")))
    fourth = asyncio.ensure_future(door.ask(attempt(STRANGER, "d")))
    await asyncio.sleep(1)
    assert not third.done()
    assert not fourth.done()
    third.cancel()
    assert isinstance(first, Let)
    await door.give_up(first)
    let = await fourth
    assert isinstance(second, Let)
    assert isinstance(let, Let)
    assert (await door.succeed(second, Success(ALICE, None, by_main_password=True))).refused is None
    await door.fail(let, account=None)
    await turns()
    assert third.cancelled()
    assert is_empty(behind)
    return [first.delayed_s, let.delayed_s, let.familiar]


@script
async def an_attempt_is_reported_once(door: Door, behind: Door) -> list[object]:
    """A second report counts nothing."""
    let = await door.ask(attempt(STRANGER))
    assert isinstance(let, Let)
    first = await door.fail(let, account=ALICE)
    second = await door.fail(let, account=ALICE)
    await door.give_up(let)
    with pytest.raises(LookupError):
        await door.succeed(let, Success(ALICE, None, by_main_password=True))
    assert behind.guesses(ALICE) == 1
    return [first, second]


@script
async def a_proof_that_cannot_be_guessed_waits_for_nothing(
    door: Door, behind: Door
) -> list[object]:
    """Even from a prefix that is banned."""
    del behind
    for number in range(10):
        await guess(door, STRANGER, password=str(number))
    before_s = now_s()
    welcome = await log_in(door, STRANGER, is_sure=True, by_main_password=False)
    assert is_in(welcome)
    assert now_s() - before_s < 0.1
    return [welcome]


@script
async def an_office_comes_in(door: Door, behind: Door) -> list[object]:
    """A hundred at once behind one address."""
    began_s = now_s()
    names = [f"colleague{number}" for number in range(1, 101)]
    came = await asyncio.gather(
        *(log_in(door, HOME, it, it, account=AccountId(len(it))) for it in names)
    )
    assert all(map(is_in, came))
    assert is_empty(behind)
    return [round(now_s() - began_s, 1)]


@script
async def a_crowd_on_one_address_gains_nothing(door: Door, behind: Door) -> list[object]:
    """Two to five of a thousand guesses are looked at, the rest is turned away."""

    async def one(number: int) -> Let | Turned:
        return await guess(door, STRANGER, f"n{number}", str(number), account=None)

    said = await asyncio.gather(*(one(number) for number in range(MANY)))
    await turns()
    assert is_empty(behind)
    assert 2 <= sum(isinstance(it, Let) for it in said) <= 5
    return [[type(it).__name__ for it in said]]


@pytest.mark.parametrize("lasts", [False, True], ids=["asking", "not always asking"])
@pytest.mark.parametrize("behaviour", SCRIPTS, ids=lambda it: it.__name__)
@in_fake_time
async def test_a_door_behaves_alike_directly_and_over_the_socket(
    path: Path, behaviour: Script, lasts: bool
) -> None:
    """Several workers share one door, and nobody can tell."""
    direct = make_door()
    began_s = now_s()
    expected = await behaviour(direct, direct)
    lasted_s = now_s() - began_s
    behind = make_door()
    async with reached(path, behind, lasts=lasts) as door:
        began_s = now_s()
        assert await behaviour(seen_alike(door), behind) == expected
        assert now_s() - began_s == pytest.approx(lasted_s, abs=0.2)


@in_fake_time
async def test_a_policy_server_that_is_away_is_told_as_such(path: Path) -> None:
    """Its own words reach the worker's log."""

    class Away:
        async def allow(self, question: object) -> PolicyAnswer:
            del question
            raise PolicyServerUnavailable("connection refused")

        async def report(self, question: object, report: object) -> None:
            del question, report

    behind = make_door(DoorRules(policy_fails_closed=True), policy_server=Away())
    async with reached(path, behind) as door:
        with pytest.raises(DoorUnavailable, match="connection refused"):
            await door.ask(attempt())
    assert is_empty(behind)


@in_fake_time
async def test_a_storm_of_cancellations_leaves_no_place_taken(path: Path) -> None:
    """Clients that go at any moment: before the question is sent, while it waits, after the answer.

    Some go while the answer is on its way, when the worker has not seen it yet.
    """
    behind, chance = make_door(chance=dice(1).random), dice(3)
    async with reached(path, behind) as door:
        sources = [IPv4Address("203.0.113.1") + number for number in range(5)]
        tasks = list[asyncio.Task[None]]()
        for _ in range(1500):
            one = _come_and_go(door, chance.choice(sources), chance)
            tasks.append(asyncio.ensure_future(one))
            for _ in range(chance.choice([0, 0, 1, 3, 6])):
                await asyncio.sleep(0)
            if chance.random() < 0.7:
                chance.choice(tasks[-5:]).cancel()
            if chance.random() < 0.1:
                await asyncio.sleep(chance.choice([0.01, 1]))
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns()
        assert is_empty(behind)
        assert not behind._lanes._held
        assert not door._lent
        assert door._link is not None
        assert len(door._link._answers) <= 1  # a ping


async def _come_and_go(door: LoginDoor, source: IPv4Address, chance: random.Random) -> None:
    name, password = f"n{chance.randrange(5)}", str(chance.random())
    let = await door.ask(attempt(source, name, password))
    if not isinstance(let, Let):
        return
    try:
        await asyncio.sleep(chance.choice([0, 0.04]))
    finally:
        await (door.fail(let, account=None) if chance.random() < 0.3 else door.give_up(let))


# The real door is away.


@in_fake_time
async def test_while_the_door_is_away_nobody_guesses(path: Path) -> None:
    """A guess waits, and then is told to try later; a proof that cannot be guessed passes."""
    async with asking(path) as door:
        before_s = now_s()
        with pytest.raises(DoorUnavailable):
            await door.ask(attempt(HOME))
        assert now_s() - before_s == pytest.approx(UNREACHED_S, abs=0.01)
        before_s = now_s()
        let = await door.ask(attempt(is_sure=True))
        assert isinstance(let, Let)
        assert now_s() - before_s == pytest.approx(SURE_WAITS_S, abs=0.01)
        await door.give_up(let)
        assert is_in(await log_in(seen_alike(door), is_sure=True, by_main_password=False))
        assert door.admits(ip_address(STRANGER))
        assert not door.has_good_past(ip_address(STRANGER))
        assert not door._lent


@in_fake_time
async def test_a_door_that_comes_back_is_asked_by_those_who_wait(path: Path) -> None:
    """A restart costs a login some seconds; the failures before it are the new door's to know."""
    old, new = make_door(), make_door(strangers_at_a_time=6)
    async with asking(path) as door:
        async with answering(path, old):
            await until(lambda: door.is_reached)
            held = [await door.ask(attempt(STRANGER, name)) for name in "ab"]
            waiting = asyncio.ensure_future(log_in(seen_alike(door), STRANGER, "c"))
            await asyncio.sleep(1)
        assert is_empty(old)
        assert not door.is_reached
        await asyncio.sleep(3)
        assert not waiting.done()
        async with answering(path, new):
            assert is_in(await waiting)
            assert all(isinstance(it, Let) for it in held)
            assert is_empty(new)


@pytest.mark.parametrize("is_back", [True, False])
@in_fake_time
async def test_what_was_looked_at_meanwhile_tells_nobody_whether_it_was_right(
    path: Path, is_back: bool
) -> None:
    """Right and wrong are answered alike: a guess that is not counted must not be worth a guess.

    And no report reaches an attempt of the new door that has the same number there.
    """
    old, new = make_door(), make_door(strangers_at_a_time=6)
    async with asking(path) as door, contextlib.AsyncExitStack() as later:
        async with answering(path, old):
            await until(lambda: door.is_reached)
            lets = [await door.ask(attempt(f"203.0.{it}.1")) for it in range(3)]
            sure = [await door.ask(attempt(is_sure=True)) for _ in range(2)]
        if is_back:
            await later.enter_async_context(answering(path, new))
            await until(lambda: door.is_reached)
            others = [await door.ask(attempt(f"203.1.{it}.1")) for it in range(6)]
            assert all(isinstance(it, Let) for it in others)
        right, wrong, gone = lets
        assert isinstance(right, Let)
        assert isinstance(wrong, Let)
        assert isinstance(gone, Let)
        success = Success(ALICE, None, by_main_password=True)
        with pytest.raises(DoorUnavailable) as to_right:
            await door.succeed(right, success)
        with pytest.raises(DoorUnavailable) as to_wrong:
            await door.fail(wrong, account=ALICE)
        assert str(to_right.value) == str(to_wrong.value)
        await door.give_up(gone)
        first, second = sure
        assert isinstance(first, Let)
        assert isinstance(second, Let)
        assert (await door.succeed(first, success)).refused is None
        await door.fail(second, account=ALICE)
        await turns()
        assert len(new._lent) == (6 if is_back else 0)
        assert new.guesses(ALICE) == 0


class Hanging:
    """A process that answers pings until it hangs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writers: list[asyncio.StreamWriter] = []
        self.hangs = False
        self.heard: list[wire.Request] = []

    async def __aenter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await turns()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while line := await reader.readline():
            request = wire.decode_request(line[:-1])
            self.heard.append(request)
            if not self.hangs:
                self.answer(request, writer)

    def answer(self, request: wire.Request, writer: asyncio.StreamWriter) -> None:
        if isinstance(request, wire.Ping):
            self.say(writer, wire.Pong(request.number))

    def say(self, writer: asyncio.StreamWriter, answer: wire.Answer) -> None:
        writer.write(wire.encode(answer))


@in_fake_time
async def test_a_door_that_hangs_is_as_good_as_away(path: Path) -> None:
    """It is noticed within ten seconds, and sure proofs pass."""
    async with Hanging(path) as hanging, asking(path) as door:
        await until(lambda: door.is_reached)
        waiting = asyncio.ensure_future(door.ask(attempt()))
        sure = asyncio.ensure_future(door.ask(attempt(is_sure=True)))
        await asyncio.sleep(1)
        hanging.hangs, before_s = True, now_s()
        assert isinstance(await sure, Let)
        assert now_s() - before_s <= PING_EVERY_S + PONG_WITHIN_S + SURE_WAITS_S
        with pytest.raises(DoorUnavailable):
            await waiting
        assert now_s() - before_s <= UNREACHED_S


@in_fake_time
async def test_a_door_that_never_answers_is_not_reached(path: Path) -> None:
    """That somebody listens is not enough; and it is tried again, not in a hurry."""
    async with Hanging(path) as hanging, asking(path) as door:
        hanging.hangs = True
        await asyncio.sleep(60)
        assert not door.is_reached
        assert 5 <= len(hanging.heard) <= 15
        hanging.hangs = False
        await until(lambda: door.is_reached)


class Shuffling(Hanging):
    """Answers what it was asked in another order, between answers that nobody waits for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._asked: list[wire.Ask] = []

    def answer(self, request: wire.Request, writer: asyncio.StreamWriter) -> None:
        super().answer(request, writer)
        if isinstance(request, wire.Ask):
            self._asked.append(request)
        if len(self._asked) == 50:
            for asked in reversed(self._asked):
                self.say(writer, wire.Unavailable(2**50 + asked.number, "nobody asked"))
                self.say(writer, wire.Unavailable(asked.number, asked.name))
            self._asked.clear()


async def test_answers_come_in_any_order_and_find_who_asked(path: Path) -> None:
    """A guess that waits holds up nobody behind it; an unknown number is nobody's."""
    async with Shuffling(path), asking(path) as door:
        await until(lambda: door.is_reached)
        names = [f"name{number}" for number in range(50)]
        said = await asyncio.gather(
            *(door.ask(attempt(name=it)) for it in names), return_exceptions=True
        )
        assert [str(it) for it in said] == names
        assert door.is_reached


class Babbling(Hanging):
    """Says something else than it should, once it is asked."""

    said = b""

    def answer(self, request: wire.Request, writer: asyncio.StreamWriter) -> None:
        super().answer(request, writer)
        if isinstance(request, wire.Ask):
            writer.write(self.said)


@pytest.mark.parametrize(
    "said",
    [
        b"x\n",
        b'{"done": false, "reason": "a number is used once"}\n',
        b"x" * (wire.ANSWER_LIMIT_OCTETS + 1),
        b"\0" * 10_000_000,
    ],
)
@in_fake_time
async def test_a_door_that_babbles_is_left(path: Path, said: bytes) -> None:
    """No answer is guessed from it; the attempt ends as if it were away."""
    babbling = Babbling(path)
    babbling.said = said
    async with babbling, asking(path) as door:
        await until(lambda: door.is_reached)
        with pytest.raises(DoorUnavailable):
            await door.ask(attempt())
        assert 5 <= len(babbling.heard) <= 60


# A worker goes away, or talks nonsense.


@pytest_asyncio.fixture
async def door(path: Path) -> AsyncIterator[Door]:
    """Be the process that has the door, which this is."""
    door = make_door()
    async with answering(path, door):
        yield door


KILLED = """
import asyncio, sys
from ipaddress import ip_address
from pathlib import Path
from mailkeep.defence import Attempt
from mailkeep.server.door_asking import DoorOverSocket

async def main():
    door = DoorOverSocket(Path(sys.argv[1]))
    door.start()
    source = ip_address("203.0.113.9")
    asked = [Attempt("s", source, it, "PLAIN", None, is_sure=False) for it in "abcdefgh"]
    print(await door.ask(asked[0]), await door.ask(asked[1]), flush=True)
    await asyncio.gather(*(door.ask(it) for it in asked[2:]))

asyncio.run(main())
"""


@contextlib.contextmanager
def worker_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
    with subprocess.Popen(script, stdout=subprocess.PIPE) as worker:
        try:
            yield worker
        finally:
            worker.kill()


async def test_what_a_killed_worker_held_is_free(path: Path, door: Door) -> None:
    """SIGKILL: two of its guesses were being looked at, and six waited."""
    with worker_process(path) as worker:
        assert worker.stdout is not None
        line = await asyncio.to_thread(worker.stdout.readline)
        assert line.count(b"Let(") == 2
        await until(lambda: door._lanes.waiting == 6)
        assert len(door._lent) == 2
        async with asking(path) as other:
            waiting = asyncio.ensure_future(other.ask(attempt(STRANGER)))
            await until(lambda: door._lanes.waiting == 7)
            worker.kill()
            let = await waiting
            assert isinstance(let, Let)
            assert len(door._lent) == 1
            assert door._lanes.waiting == 0


async def test_what_a_worker_held_is_free_when_it_ends(path: Path, door: Door) -> None:
    """`close` leaves nothing behind on the other side."""
    async with asking(path) as worker:
        held = [await worker.ask(attempt(STRANGER, it)) for it in "ab"]
        assert all(isinstance(it, Let) for it in held)
        waiting = asyncio.ensure_future(worker.ask(attempt(STRANGER, "c")))
        await until(lambda: door._lanes.waiting == 1)
    await until(lambda: is_empty(door))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"x\n",
        b'{"door":"ping"}\n',
        b'{"notice":"bans"}\n',
        b'{"door":"ask","number":2}\n',
        b"x" * (wire.REQUEST_LIMIT_OCTETS + 1),
        b"x" * 1_000_000 + b"\n",
        b"\0\n",
        wire.encode(wire.Look(3, "nowhere")),
        wire.encode(wire.Ask.of(2, attempt())),  # a second time
    ],
)
async def test_a_worker_that_talks_nonsense_is_left(
    path: Path, door: Door, nonsense: bytes
) -> None:
    """It hears why, what it held is free, and others are served."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(wire.encode(wire.Ping(1)) + wire.encode(wire.Ask.of(2, attempt())))
    assert wire.decode_said((await reader.readline())[:-1]) == wire.Pong(1)
    assert isinstance(wire.decode_said((await reader.readline())[:-1]), wire.Allowed)
    assert len(door._lent) == 1
    writer.write(nonsense)
    with contextlib.suppress(ConnectionError):  # the rest of it was never read
        assert json.loads(await reader.read())["done"] is False
    await until(lambda: is_empty(door))
    writer.close()
    async with asking(path) as worker:
        assert isinstance(await worker.ask(attempt()), Let)


async def test_a_first_line_that_only_looks_like_a_workers_is_refused(
    path: Path, door: Door
) -> None:
    """And the notices go on as they were."""
    for line in (b'{"door":"open"}\n', b'{"door":1}\n', b'{"door":"ping"}\n'):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        assert json.loads(await reader.read())["done"] is False
        writer.close()
    assert await asyncio.to_thread(send_notice, path, {"notice": "bans"})
    assert is_empty(door)


async def test_without_a_door_a_worker_is_told_that_nobody_knows_that(path: Path) -> None:
    """It is a notice then, as any other."""
    heard = Heard()
    control = Control(path, heard.take)
    await control.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(wire.encode(wire.Ping(1)))
    assert json.loads(await reader.read()) == {"done": True}
    assert heard.notices == [{"door": "ping", "number": 1}]
    writer.close()
    control.close()


async def test_numbers_that_nobody_has_are_answered_alike(path: Path, door: Door) -> None:
    """A report of what is not held counts nothing, and right and wrong sound the same."""
    reader, writer = await asyncio.open_unix_connection(path)
    success = Success(ALICE, None, by_main_password=True)
    writer.write(wire.encode(wire.Fail(1, 77, ALICE)))
    writer.write(wire.encode(wire.Succeed.of(2, 77, success)))
    writer.write(wire.encode(wire.GiveUp(77)) + wire.encode(wire.Ping(3)))
    heard = [wire.decode_said((await reader.readline())[:-1]) for _ in range(3)]
    wrong, right, pong = heard
    assert isinstance(wrong, wire.Unavailable)
    assert isinstance(right, wire.Unavailable)
    assert wrong.reason == right.reason
    assert pong == wire.Pong(3)
    assert door.guesses(ALICE) == 0
    writer.close()


async def test_nobody_reports_what_another_worker_asked(path: Path, door: Door) -> None:
    """Numbers belong to a connection."""
    async with asking(path) as one, asking(path) as other:
        let = await one.ask(attempt())
        assert isinstance(let, Let)
        await until(lambda: other.is_reached)
        assert other._link is not None
        answer = await other._link.request(9999, wire.Fail(9999, let.ticket, ALICE))
        assert isinstance(answer, wire.Unavailable)
        assert door.guesses(ALICE) == 0
        await one.fail(let, account=ALICE)
        assert door.guesses(ALICE) == 1


async def test_a_worker_asks_so_much_and_no_more(
    path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it asks beyond the limit cannot be found out now; a report makes room."""
    monkeypatch.setattr(control_room, "OUTSTANDING_LIMIT", 3)
    async with asking(path) as worker:
        sources = [f"203.0.{number}.1" for number in range(4)]
        lets = [await worker.ask(attempt(it)) for it in sources[:3]]
        with pytest.raises(DoorUnavailable):
            await worker.ask(attempt(sources[3]))
        assert isinstance(lets[0], Let)
        await worker.give_up(lets[0])
        assert isinstance(await worker.ask(attempt(sources[3])), Let)
        assert len(door._lent) == 3


async def test_workers_are_so_many_and_no_more(
    path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more hears it; when one ends, there is room."""
    monkeypatch.setattr(control_room, "WORKERS_LIMIT", 1)
    async with asking(path) as one:
        await until(lambda: one.is_reached)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(wire.encode(wire.Ping(1)))
        assert json.loads(await reader.read())["done"] is False
        writer.close()
    async with asking(path) as another:
        assert isinstance(await another.ask(attempt()), Let)
    await until(lambda: is_empty(door))


async def test_workers_take_no_place_of_a_notice(path: Path, door: Door) -> None:
    """`device revoke` is in force at once, however many workers there are."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(control_room.NOTICES_AT_ONCE + 4):
            worker = await stack.enter_async_context(asking(path))
            assert isinstance(await worker.ask(attempt(is_sure=True)), Let)
        assert await asyncio.to_thread(send_notice, path, {"notice": "bans"})
    await until(lambda: is_empty(door))


@in_fake_time
async def test_a_worker_that_says_nothing_loses_its_places(path: Path) -> None:
    """One that has stopped, without its connection ending."""
    behind = make_door()
    async with answering(path, behind):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(wire.encode(wire.Ask.of(1, attempt())))
        await reader.readline()
        assert len(behind._lent) == 1
        await asyncio.sleep(SILENCE_S + 0.1)
        assert is_empty(behind)
        writer.close()


@in_fake_time
async def test_a_worker_that_takes_no_answers_is_left(path: Path) -> None:
    """What is written for it does not pile up: nothing is read meanwhile."""
    behind = make_door()
    async with answering(path, behind):
        reader, writer = await asyncio.open_unix_connection(path)
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        writer.write(wire.encode(wire.Ask.of(1, attempt())))
        flood = b"".join(wire.encode(wire.Ping(number)) for number in range(2, 50_000))
        writer.write(flood)
        await asyncio.sleep(SILENCE_S - 0.1)
        assert writer.transport.get_write_buffer_size() > len(flood) // 4
        assert len(behind._lent) == 1
        await asyncio.sleep(0.2)
        assert is_empty(behind)
        assert writer.transport.is_closing()  # and what was written for it is gone too
        writer.transport.abort()
        del reader
        await turns()


async def test_a_thousand_questions_at_once_are_answered(path: Path, door: Door) -> None:
    """On one connection, each with its own answer, and reported."""
    async with asking(path) as worker:
        sources = [str(IPv4Address("203.0.0.1") + 4 * number) for number in range(MANY)]
        lets = await asyncio.gather(
            *(worker.ask(attempt(it, name=it, is_sure=True)) for it in sources)
        )
        assert len({it.ticket for it in lets if isinstance(it, Let)}) == MANY
        assert len(door._lent) == MANY
        success = Success(ALICE, None, by_main_password=False)
        came = await asyncio.gather(
            *(worker.succeed(it, success) for it in lets if isinstance(it, Let))
        )
        assert all(map(is_in, came))
        assert is_empty(door)


class Broken(Door):
    """A door with a bug."""

    async def ask(self, attempt: Attempt) -> Let | Turned:
        del attempt
        raise ZeroDivisionError


async def test_a_bug_of_the_door_lets_nobody_in_and_nobody_wait(path: Path) -> None:
    """It is told where it happened, and the worker goes on."""
    told = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with reached(path, Broken(DoorRules())) as worker:
        with pytest.raises(DoorUnavailable):
            await worker.ask(attempt())
        assert worker.is_reached
    assert [type(it["exception"]) for it in told] == [ZeroDivisionError]


# Connections.


@in_fake_time
async def test_a_banned_source_is_refused_once_it_is_known(path: Path) -> None:
    """Nobody waits for that: the first connection comes in, and asks for the next.

    A ban that is lifted is over within a second.
    """
    behind, source = make_door(), ip_address(STRANGER)
    ban = BanRow(f"{STRANGER}/32", None, "test", times=1, made_by="operator")
    behind.replace_bans([ban])
    async with reached(path, behind) as door:
        assert not behind.admits(source)
        assert door.admits(source)
        await turns()
        assert not door.admits(source)
        assert door.admits(ip_address(HOME))
        behind.replace_bans([])
        await asyncio.sleep(REFUSED_FOR_S)
        assert door.admits(source)
        await turns()
        assert door.admits(source)


@in_fake_time
async def test_a_good_past_is_known_from_the_second_connection_on(path: Path) -> None:
    """From answers, and from the logins of this worker; for some minutes, and without the door."""
    behind, alike = make_door(), ip_address("2001:db8::1")
    assert is_in(await log_in(behind, ip_address("2001:db8::2")))
    async with asking(path) as door:
        async with answering(path, behind):
            await until(lambda: door.is_reached)
            assert not door.has_good_past(alike)
            assert door.admits(alike)
            await turns()
            assert door.has_good_past(alike)
            assert not door.has_good_past(ip_address(HOME))
            assert is_in(await log_in(seen_alike(door), HOME))
            assert door.has_good_past(ip_address(HOME))
        await asyncio.sleep(1)
        assert not door.is_reached
        assert door.has_good_past(alike)
        assert door.admits(alike)
        await asyncio.sleep(door_known.PAST_FOR_S)
        assert not door.has_good_past(alike)


async def test_a_flood_of_sources_costs_bounded_memory(
    path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many questions under way, and so many answers kept."""
    monkeypatch.setattr(door_known, "REMEMBERED", 50)
    monkeypatch.setattr(door_known, "LOOKS_LIMIT", 100)
    door.replace_bans([BanRow("203.0.0.0/16", None, "test", times=1, made_by="operator")])
    async with asking(path) as worker:
        await until(lambda: worker.is_reached)
        for number in range(MANY):
            worker.admits(IPv4Address("203.0.0.1") + number)
        assert len(worker._known._looks) == 100
        await until(lambda: not worker._known._looks)
        assert len(worker._known._refused) <= 50
