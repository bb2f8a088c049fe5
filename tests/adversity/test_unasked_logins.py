"""A worker lets in without asking who was let in a moment ago, until anything goes wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.adversity.test_control import Heard
from tests.adversity.test_door_over_socket import in_fake_time, turns, until
from tests.defence.knocking import ALICE, HOME, attempt, guess, is_in, log_in, make_door, now_s

from mailkeep.defence import Attempt, Let, Success, Turned, Turning, Welcome
from mailkeep.defence.door import Door
from mailkeep.server.control import Control
from mailkeep.server.door_asking import DoorOverSocket
from mailkeep.server.door_known import LOOKED_FOR_S
from mailkeep.server.permissions import PERMITTED_FOR_S, REPORTED_EVERY_S
from mailkeep.values import IpAddress

ELSEWHERE = "198.51.100.9"


class CountingDoor:
    """The real door; counts what it is asked."""

    def __init__(self) -> None:
        self.door = make_door()
        self.asked = 0
        self.looked = 0
        self.shut: set[IpAddress] = set()

    def admits(self, source: IpAddress) -> bool:
        self.looked += 1
        return source not in self.shut and self.door.admits(source)

    def has_good_past(self, source: IpAddress) -> bool:
        return self.door.has_good_past(source)

    async def ask(self, attempt: Attempt) -> Let | Turned:
        self.asked += 1
        return await self.door.ask(attempt)

    def __getattr__(self, name: str) -> object:
        return getattr(self.door, name)


class Shared:
    """One door, two workers."""

    def __init__(self, behind: CountingDoor, control: Control, *workers: DoorOverSocket) -> None:
        self.behind = behind
        self.control = control
        self.first, self.second = workers


@contextlib.asynccontextmanager
async def shared(path: Path, *, lasts: bool = True) -> AsyncIterator[Shared]:
    behind = CountingDoor()
    control = Control(path, Heard().take, behind, lasts=lasts)  # type: ignore[arg-type]
    await control.start()
    workers = [DoorOverSocket(path), DoorOverSocket(path)]
    try:
        for worker in workers:
            worker.start()
        await until(lambda: all(worker.is_reached for worker in workers))
        yield Shared(behind, control, *workers)
    finally:
        for worker in workers:
            await worker.close()
        control.close()
        await turns()


def at(worker: DoorOverSocket) -> Door:
    """Let those knock on a worker's door who were made for the real one."""
    return worker  # type: ignore[return-value]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@in_fake_time
async def test_who_was_let_in_comes_again_without_a_question(path: Path) -> None:
    """With a password or a proof that cannot be guessed, in any number of sessions."""
    async with shared(path) as it:
        for is_sure in (False, True):
            assert is_in(await log_in(at(it.first), is_sure=is_sure))
        asked = it.behind.asked
        for is_sure in (False, True) * 20:
            assert is_in(await log_in(at(it.first), is_sure=is_sure))
        assert it.behind.asked == asked
        assert is_in(await log_in(at(it.second)))
        assert it.behind.asked == asked + 1


@in_fake_time
async def test_another_password_is_always_asked_about(path: Path) -> None:
    """A guess is slowed down and counted as ever, even where its owner comes and goes."""
    async with shared(path) as it:
        assert is_in(await log_in(at(it.first)))
        waits = []
        for number in range(4):
            let = await guess(at(it.first), password=f"guess {number}")
            waits.append(round(let.delayed_s))
        assert waits == [0, 2, 4, 8]


@pytest.mark.parametrize(
    ("source", "name", "password"),
    [
        (ELSEWHERE, "alice@example.com", "x"),
        (HOME, "bob@example.com", "x"),
        (ELSEWHERE, "bob@example.com", "right"),
    ],
    ids=["of her name", "from her network", "of her password"],
)
@in_fake_time
async def test_a_failure_anywhere_takes_it_back(
    path: Path, source: str, name: str, password: str
) -> None:
    """At another worker, too."""
    async with shared(path) as it:
        assert is_in(await log_in(at(it.first)))
        await guess(at(it.second), source, name, password)
        await turns()
        asked = it.behind.asked
        assert is_in(await log_in(at(it.first)))
        assert it.behind.asked == asked + 1


@in_fake_time
async def test_what_fails_by_permission_is_counted(path: Path) -> None:
    """The password was changed meanwhile: the old one is a wrong guess from now on."""
    async with shared(path) as it:
        assert is_in(await log_in(at(it.first), "203.0.113.1"))
        for _ in range(2):
            await guess(at(it.first), "203.0.113.1", password="right")
        assert it.behind.asked == 3
        assert not len(it.first._permissions)


@in_fake_time
async def test_a_permission_that_is_taken_back_while_it_is_used_is_none(path: Path) -> None:
    """An operator's ban between the question and the answer."""
    async with shared(path) as it:
        assert is_in(await log_in(at(it.first)))
        asked = it.behind.asked
        let = await it.first.ask(attempt(password="right"))
        assert isinstance(let, Let)
        it.control.take_everything_back()
        await turns()
        welcome = await it.first.succeed(let, Success(ALICE, None, by_main_password=True))
        assert is_in(welcome)
        assert it.behind.asked == asked + 1


@in_fake_time
async def test_changes_and_a_lost_door_take_all_back(path: Path) -> None:
    """What was taken back while nobody could hear it must not last."""
    async with shared(path) as it:
        for end in (it.control.take_everything_back, it.control.close, None):
            assert is_in(await log_in(at(it.first)))
            assert len(it.first._permissions) == 1
            if end is None:
                break
            end()
            await turns()
            assert not len(it.first._permissions)
            if end == it.control.close:
                await it.control.start()
                await until(lambda: it.first.is_reached)


@in_fake_time
async def test_who_comes_every_day_stays_familiar(path: Path) -> None:
    """The door hears of it now and then; for months nobody is a stranger."""
    async with shared(path) as it:
        for _ in range(200):
            assert is_in(await log_in(at(it.first)))
            await asyncio.sleep(REPORTED_EVERY_S / 2)
        assert 90 <= it.behind.asked <= 110
        await asyncio.sleep(PERMITTED_FOR_S)
        asked = it.behind.asked
        assert is_in(await log_in(at(it.first)))
        assert it.behind.asked == asked + 1


@in_fake_time
async def test_where_each_login_counts_each_is_asked_about(path: Path) -> None:
    """LOGIN-DELAY, a policy server."""
    async with shared(path, lasts=False) as it:
        for _ in range(3):
            assert is_in(await log_in(at(it.first)))
        assert it.behind.asked == 3


@in_fake_time
async def test_a_hot_password_is_refused_at_every_worker(path: Path) -> None:
    """Though its owner was let in with it a moment ago."""
    async with shared(path) as it:
        assert is_in(await log_in(at(it.first), password="hot"))
        for number in range(7):
            await guess(at(it.second), f"203.0.{number}.1", f"n{number}", "hot", account=None)
        await turns()
        welcome = await log_in(at(it.first), password="hot")
        assert isinstance(welcome, Welcome)
        assert welcome.refused is Turning.HOT_PASSWORD


# Connections.


@in_fake_time
async def test_a_source_is_looked_at_once_a_minute(path: Path) -> None:
    """Not at each connection."""
    async with shared(path) as it:
        source = ip_address(HOME)
        for _ in range(30):
            assert it.first.admits(source)
            await turns()
        assert it.behind.looked == 2
        await asyncio.sleep(LOOKED_FOR_S)
        assert it.first.admits(source)
        await turns()
        assert it.behind.looked == 4


@in_fake_time
async def test_who_should_not_have_been_let_in_is_named(path: Path) -> None:
    """The first connection from a banned source has to go when the answer comes."""
    async with shared(path) as it:
        refused = list[IpAddress]()
        it.first.on_refusal = refused.append
        source = ip_address(ELSEWHERE)
        it.behind.shut.add(source)
        assert it.first.admits(source)
        await turns()
        assert refused == [source]
        assert not it.first.admits(source)


@in_fake_time
async def test_a_ban_is_in_force_at_every_worker_at_once(path: Path) -> None:
    """Also for a source that was looked at a moment ago."""
    async with shared(path) as it:
        source = ip_address(ELSEWHERE)
        assert it.first.admits(source)
        await turns()
        for number in range(10):
            await guess(at(it.second), ELSEWHERE, password=str(number))
        await turns()
        assert not it.first.admits(source)
        assert now_s() > 0
