"""Attacks on a machine with one hashing thread, in fake time: who waits in the queue for it."""

import asyncio
from ipaddress import IPv4Address
from statistics import median

import pytest
from tests.defence.knocking import CHECK_S, EPOCH_S, attempt, dice, is_in, make_door, now_s

from mailkeep.defence import DoorUnavailable, Let, Success, Turned
from mailkeep.defence.door import Door
from mailkeep.defence.remembered import FamiliarRow, Remembered
from mailkeep.defence.strangers import USUALLY
from mailkeep.values import AccountId, IpAddress

SECONDS = 60
OWNERS = 20
ATTACKED = [f"user{number}@example.com" for number in range(50)]
UNLIMITED = 1_000_000
OWNERS_WAIT_S = (USUALLY + 3) * CHECK_S
"""The few strangers, another owner or two, and his own hash."""


class Site:
    """A door, and one thread behind it that hashes passwords one after the other."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.looked_at = 0
        self._thread = asyncio.Lock()

    async def guess(
        self, source: IpAddress, name: str, password: str, *, account: AccountId | None = None
    ) -> bool:
        """Guess wrongly; return whether it was looked at."""
        try:
            let = await self.door.ask(attempt(source, name, password))
        except DoorUnavailable:
            return False
        if isinstance(let, Turned):
            return False
        await self._hash()
        self.looked_at += 1
        await self.door.fail(let, account=account)
        return True

    async def log_in(self, source: IpAddress, name: str) -> float:
        """Log in; return how long that took, from the first try on."""
        began_s = now_s()
        while True:
            try:
                let = await self.door.ask(attempt(source, name, f"right for {name}"))
            except DoorUnavailable:
                continue
            assert isinstance(let, Let)
            await self._hash()
            welcome = await self.door.succeed(let, Success(AccountId(1), None, True))
            assert is_in(welcome)
            return now_s() - began_s

    async def _hash(self) -> None:
        async with self._thread:
            await asyncio.sleep(CHECK_S)


def home(number: int) -> IPv4Address:
    """Return where an owner logs in."""
    return IPv4Address("198.51.100.1") + number


def remembered() -> Remembered:
    """Return what the door knew before a restart: from where the owners log in."""
    rows = [
        FamiliarRow(ATTACKED[number], f"{home(number)}/32", EPOCH_S - 3600, None)
        for number in range(OWNERS)
    ]
    return Remembered(familiar=rows)


class Attack:
    """Attackers who all begin in the same moment, each with several connections.

    Args:
        site: attacked.
        attackers: addresses, 41 apart.
    """

    def __init__(self, site: Site, attackers: int) -> None:
        self._site = site
        self._sources = [IPv4Address("127.8.0.1") + 41 * number for number in range(attackers)]
        self._dice = dice(attackers)

    def begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Return what to cancel when it has lasted long enough."""
        return [group.create_task(self._guess(it)) for it in self._sources for _ in range(3)]

    async def _guess(self, source: IPv4Address) -> None:
        while True:
            password = str(self._dice.random())
            if not await self._site.guess(source, self._dice.choice(ATTACKED), password):
                await asyncio.sleep(0.25)


async def attacked(site: Site, attackers: int, visits: list[tuple[float, IpAddress, str]]) -> (
    list[float]
):  # fmt: skip
    """Return how long logins took that were made while the site was attacked."""

    async def visit(at_s: float, source: IpAddress, name: str) -> float:
        await asyncio.sleep(at_s)
        return await site.log_in(source, name)

    async with asyncio.TaskGroup() as group:
        attacking = Attack(site, attackers).begin(group)
        logins = [group.create_task(visit(*one)) for one in visits]
        await asyncio.sleep(SECONDS)
        await asyncio.gather(*logins)
        for task in attacking:
            task.cancel()
    return [it.result() for it in logins]


OWNERS_LOOK: list[tuple[float, IpAddress, str]] = [
    (at_s + number / 4, home(number), ATTACKED[number])
    for at_s in range(0, SECONDS, 5)
    for number in range(OWNERS)
]


@pytest.mark.parametrize("attackers", [200, 1000])
async def test_no_owner_queues_behind_strangers(attackers: int) -> None:
    """From the first second after a restart on, with the attack already there."""
    site = Site(make_door(remembered=remembered()))
    took_s = await attacked(site, attackers, OWNERS_LOOK)
    assert max(took_s) <= OWNERS_WAIT_S
    assert median(took_s) <= (USUALLY + 1) * CHECK_S + 0.01
    assert site.looked_at > 200


async def test_without_few_places_they_would() -> None:
    """The simulation can find against a door: hundreds of guesses are in the queue at once."""
    site = Site(make_door(remembered=remembered(), strangers_at_a_time=UNLIMITED))
    assert max(await attacked(site, 200, OWNERS_LOOK)) > 4


@pytest.mark.parametrize("attackers", [200, 1000])
async def test_a_stranger_who_failed_nothing_goes_before_an_attack(attackers: int) -> None:
    """Also in the first second, when nobody has failed yet: he comes alone, they in crowds."""
    site = Site(make_door(remembered=remembered()))
    strangers: list[tuple[float, IpAddress, str]] = [
        (at_s, IPv4Address(f"203.{number}.7.9"), f"guest{number}@example.com")
        for number, at_s in enumerate((0.0, 0.1, 1, 3, 10, 20, 30, 40, 50))
    ]
    took_s = await attacked(site, attackers, strangers)
    ranges = attackers * 41 / 2048
    busy_s = (ranges + 2 * USUALLY + 2) * CHECK_S
    # Three hundred failures on the whole site are a step: two seconds, and four at most.
    assert max(took_s[:3]) <= busy_s
    assert max(took_s) <= 4 + busy_s


async def test_the_attack_still_keeps_the_thread_busy() -> None:
    """Few places are enough: a stranger waits for the thread, and it never for a stranger."""
    site = Site(make_door())
    began_s = now_s()
    await asyncio.gather(
        *(site.log_in(IPv4Address(f"203.{number}.7.9"), "guest") for number in range(100))
    )
    assert now_s() - began_s == pytest.approx(100 * CHECK_S, abs=0.01)


async def answered_at(account: AccountId | None) -> list[float]:
    """Return when the guesses of 60 sources at one name are answered."""
    site, began_s, times = Site(make_door()), now_s(), list[float]()

    async def one(number: int) -> None:
        source = IPv4Address("203.0.113.1") + 50 * (number % 60)
        for turn in range(4):
            await site.guess(source, "alice@example.com", f"{number} {turn}", account=account)
            times.append(round(now_s() - began_s, 2))

    await asyncio.gather(*(one(number) for number in range(120)))
    return times


async def test_names_that_nobody_has_wait_as_long_as_others() -> None:
    """The same attack at an account and at nothing: each answer comes in the same moment."""
    known, unknown = await answered_at(AccountId(1)), await answered_at(None)
    assert known == unknown
    assert len(known) == 480
    assert len(set(known)) > 100
