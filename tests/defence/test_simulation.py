"""Whole attacks, in fake time: what they get, what they cost, and whom they do not reach."""

import asyncio
import random
from collections import Counter, defaultdict
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from tests.defence.knocking import (
    CHECK_S,
    HOME,
    attempt,
    dice,
    guess,
    is_in,
    log_in,
    make_door,
    now_s,
)

from mailkeep.defence import DoorUnavailable, Let
from mailkeep.defence.door import Door
from mailkeep.defence.prefixes import prefixes_of
from mailkeep.defence.strangers import USUALLY
from mailkeep.values import AccountId, IpAddress

NAMES = [f"user{number}@example.com" for number in range(50)]


class Answers:
    """When guesses were answered as wrong, by prefix."""

    def __init__(self) -> None:
        self.times: defaultdict[str, list[float]] = defaultdict(list)

    def note(self, source: IpAddress, let: Let) -> None:
        """What is familiar counts for itself, and not in the wider prefixes."""
        prefixes = prefixes_of(source)
        wider = () if let.familiar else (prefixes.middle, prefixes.wide)
        for prefix in (prefixes.narrow, *wider):
            self.times[prefix].append(now_s())

    def most_in_a_minute(self, bits: int) -> int:
        times = [it for prefix, it in self.times.items() if prefix.endswith(f"/{bits}")]
        return max(max(sum(1 for t in it if s <= t < s + 60) for s in it) for it in times)


async def attack(
    door: Door,
    source: IpAddress,
    names: list[str],
    answers: Answers,
    until_s: float,
    chance: random.Random,
) -> None:
    """Guess again and again, as soon as there is an answer."""
    while now_s() < until_s:
        name = chance.choice(names)
        account = AccountId(100 + NAMES.index(name))
        try:
            let = await guess(door, source, name, str(chance.random()), account=account)
        except DoorUnavailable:
            continue
        if isinstance(let, Let):
            answers.note(source, let)
        else:
            await asyncio.sleep(0.25)


async def owner(
    door: Door, number: int, sources: list[IpAddress], until_s: float, waits: list[float]
) -> None:
    """Look for mail now and then, from where one always does, and from the attackers' addresses."""
    name, account = NAMES[number], AccountId(100 + number)
    while now_s() < until_s:
        before = now_s()
        assert is_in(await log_in(door, sources[number], name, f"owner {number}", account=account))
        waits.append(now_s() - before)
        await asyncio.sleep(5)


async def test_the_attack_from_200_addresses_on_50_accounts() -> None:
    """Ten guesses a minute and prefix at most, 30 and 90 in the wider ones; no owner waits."""
    door, chance, answers = make_door(chance=dice(1).random), dice(2), Answers()
    attackers = [IPv4Address("127.8.0.1") + 41 * number for number in range(200)]
    assert len({prefixes_of(it).wide for it in attackers}) > 3
    # Half of the owners share an address with an attacker, who guesses at all others.
    owners: list[IpAddress] = [
        attackers[number] if number % 2 else IPv4Address("198.51.100.1") + number
        for number in range(50)
    ]
    for number in range(50):
        name, account = NAMES[number], AccountId(100 + number)
        assert is_in(await log_in(door, owners[number], name, "owner", account=account))
    until_s, waits = now_s() + 60, list[float]()
    async with asyncio.TaskGroup() as group:
        for source in attackers:
            names = [it for it, home in zip(NAMES, owners, strict=True) if home != source]
            for _ in range(10):
                group.create_task(attack(door, source, names, answers, until_s, chance))
        for number in range(50):
            group.create_task(owner(door, number, owners, until_s, waits))
    assert answers.most_in_a_minute(32) <= 10
    assert answers.most_in_a_minute(26) <= 30
    assert answers.most_in_a_minute(21) <= 90
    assert len(waits) >= 500
    assert max(waits) <= 2.0
    assert len(door._counters) < 200 * 50 + 2000
    assert (len(door._lanes), len(door._lent), door._lanes.waiting) == (0, 0, 0)


@pytest.mark.parametrize(("bits", "most"), [(48, 30), (32, 90)])
async def test_an_ipv6_range_gives_no_more_guesses(bits: int, most: int) -> None:
    """A new /64 for every guess, inside one /48 or one /32: the wider prefixes count."""
    door, chance, answers = make_door(chance=dice(1).random), dice(2), Answers()
    base = int(IPv6Address("2001:db8::"))

    def source() -> IPv6Address:
        return IPv6Address(base | chance.getrandbits(64 - bits) << 64 | chance.getrandbits(64))

    async def rotate(until_s: float) -> None:
        while now_s() < until_s:
            here = source()
            let = await guess(door, here, f"{chance.random()}@x.test", str(chance.random()))
            if isinstance(let, Let):
                answers.note(here, let)

    async with asyncio.TaskGroup() as group:
        for _ in range(300):
            group.create_task(rotate(now_s() + 120))
    assert 0 < answers.most_in_a_minute(bits) <= most


async def test_a_thousand_guesses_at_once_gain_nothing() -> None:
    """Guesses side by side: two are looked at, then one after each wait, the rest are turned away.

    Dovecot's penalty lets all of them through, because none has failed when they come.
    """
    door, outcomes = make_door(), list[Let | object]()
    started_s = now_s()

    async def one(number: int) -> None:
        outcomes.append(await guess(door, "203.0.113.9", f"n{number}", str(number), account=None))

    await asyncio.gather(*(one(number) for number in range(1000)))
    let = [it for it in outcomes if isinstance(it, Let)]
    assert 2 <= len(let) <= 5
    assert now_s() - started_s < 25


async def test_an_attack_from_100_sources_never_keeps_the_owner_out() -> None:
    """A hundred sources guess at one account for a day; at home its owner comes in at once."""
    door = make_door()
    assert is_in(await log_in(door))
    for hour in range(24):
        sources = [(f"203.{hour}.{number}.1", f"{hour} {number}") for number in range(100)]
        await asyncio.gather(*(guess(door, it, password=password) for it, password in sources))
        before = now_s()
        assert is_in(await log_in(door))
        assert now_s() - before < 0.1
        await asyncio.sleep(3600)
    assert door.guesses(AccountId(1)) > 100


async def test_a_storm_of_cancellations_leaves_no_place_taken() -> None:
    """Clients that go while they wait, at any moment, leave everything as it was."""
    door, chance = make_door(chance=dice(1).random), dice(3)
    held: Counter[str] = Counter()
    strangers = door._strangers

    async def one(source: IPv4Address) -> None:
        let = await door.ask(attempt(source, f"n{chance.randrange(5)}", str(chance.random())))
        if not isinstance(let, Let):
            return
        held[str(source)] += 1
        assert held[str(source)] <= 2
        assert held.total() <= USUALLY
        try:
            await asyncio.sleep(chance.choice([0, CHECK_S, CHECK_S]))
        finally:
            held[str(source)] -= 1
            await (door.fail(let, account=None) if chance.random() < 0.3 else door.give_up(let))

    sources = [IPv4Address("203.0.113.1") + number for number in range(5)]
    tasks = list[asyncio.Task[None]]()
    for _ in range(1500):
        tasks.append(asyncio.ensure_future(one(chance.choice(sources))))
        if chance.random() < 0.7:
            chance.choice(tasks).cancel()
        if chance.random() < 0.1:
            await asyncio.sleep(chance.choice([0, 0.01, 1]))
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (len(door._lanes), len(door._lent), door._lanes.waiting) == (0, 0, 0)
    assert not door._lanes._held
    assert (strangers.free, len(strangers), strangers._last_rounds) == (USUALLY, 0, {})


async def test_a_flood_of_names_and_addresses_stays_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each table has its own end: names do not push out prefixes."""
    from mailkeep.defence import counters

    for table in ("NARROW_KEYS", "WIDER_KEYS", "NAME_KEYS", "PAIR_KEYS", "PASSWORD_KEYS"):
        monkeypatch.setattr(counters, table, 100)
    door = make_door()
    for number in range(8):
        await guess(door, "203.0.113.1", "same", str(number), account=None)
    before = door._counters.record(door._who(attempt("203.0.113.1", "x")), now_s()).failures
    for number in range(1000):
        who = door._who(attempt("203.0.113.1", f"name{number}"))
        door._counters.note_wrong(who, str(number).encode(), now_s(), 0)
    after = door._counters.record(door._who(attempt("203.0.113.1", "x")), now_s()).failures
    assert len(door._counters) <= 500
    assert after == before + 1000


async def test_an_office_that_comes_to_work_at_once_gets_in() -> None:
    """A hundred strangers behind one address, none of whom fails, wait for a hash and no more."""
    door, started_s = make_door(), now_s()

    async def one(number: int) -> None:
        name, account = f"colleague{number}", AccountId(number)
        assert is_in(await log_in(door, ip_address(HOME), name, "x" * number, account=account))

    await asyncio.gather(*(one(number) for number in range(1, 101)))
    assert now_s() - started_s < 3
