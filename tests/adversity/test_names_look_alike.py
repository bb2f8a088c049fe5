"""Known, unknown, disabled and revoked: nobody can tell them apart by text or by time.

408 logins, each with a name that was never tried, from an address in a /21 of its own, so that the
counters are the same for all. Each round has every kind in every way once, in an order of its own,
so that whatever else the machine does, and whatever changes with time, falls on all alike. The
first half comes one by one, the second in a crowd that is answered later than the least time; in
between the server is started anew, because 300 failures slow a whole site down.
"""

import asyncio
import base64
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random
from statistics import median

import pytest
from tests.adversity.attack.client import Client, Where, careless_context
from tests.adversity.attack.likeness import chance_of_difference
from tests.adversity.attack.plan import LISTENED_ON
from tests.harness.site import PASSWORD, RunningSite, running_site

from mailkeep import app
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.sasl import ClientMechanism, Login, client_mechanism
from mailkeep.values import Address, Secret

CROWD = 3
"""At a time: they wait for each other's hashes. More would wait for little else."""

KINDS = ("known", "unknown", "disabled", "revoked")
WAYS = ("USER", "PLAIN", "SCRAM-SHA-256")
ROUND = len(KINDS) * len(WAYS)
LOGINS = 34 * ROUND
HALF = LOGINS // 2

MEDIANS_APART_S = 0.01
UNLIKELY = 0.001
"""So rarely may servers that tell nothing fail, with all their comparisons together."""

REFUSED = b"-ERR [AUTH] login refused\r\n"
NONCE = "rOprNGfwEbeRWgbNEkqO"

pytestmark = pytest.mark.timeout(900)
"""306 accounts are made and 408 hashes computed, on a machine that others use too."""


@dataclass(frozen=True, slots=True)
class Try:
    """A login that must be refused."""

    kind: str
    way: str
    name: str
    password: str
    source: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What its client saw."""

    tried: Try
    answer: bytes
    took_s: float
    """From the last word of the login to the answer."""
    first: bytes = b""
    """What SCRAM's server said first."""
    first_took_s: float = 0.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Seen]:
    """Try all logins, for all tests."""
    with running_site(tmp_path_factory.mktemp("alike") / "site", limits={}) as site:
        tries = _make_tries(site)
        site.tell_changed()
        results: list[Seen] = []
        for some, at_a_time in ((tries[:HALF], 1), (tries[HALF:], CROWD)):
            results += asyncio.run(_try_all(site.pop3s.number, some, at_a_time))
            site.restart()
        return results


def _make_tries(site: RunningSite) -> list[Try]:
    """Make the accounts, and return the logins round by round, each in a random order."""
    tries: list[Try] = []
    random = Random("names")  # noqa: S311  # to be repeated
    with app.open_accounts(site.site) as directory:
        for number in range(LOGINS):
            kind, way = KINDS[number % len(KINDS)], WAYS[number // len(KINDS) % len(WAYS)]
            name, password = f"{kind}{number}", f"{PASSWORD} {number}"
            if kind != "unknown":
                password = _make_account(directory, site.site.address(name), kind, password)
            tries.append(Try(kind, way, name, password, _own_address(number)))
    starts = range(0, LOGINS, ROUND)
    return [one for at in starts for one in random.sample(tries[at : at + ROUND], ROUND)]


def _make_account(directory: AccountDirectory, address: Address, kind: str, password: str) -> str:
    """Make an account and return the password that is tried on it."""
    directory.add(address, Secret(password.encode()))
    device = directory.devices.add(address, "telephone")
    match kind:
        case "disabled":
            directory.disable(address)
            return password
        case "revoked":
            directory.devices.revoke(address, "telephone")
            return device.password.reveal().decode()
        case _:
            return f"{password} is wrong"


def _own_address(number: int) -> str:
    """Return an address in a /21 that no other number has."""
    return f"127.{30 + number // 32}.{8 * (number % 32)}.7"


async def _try_all(port: int, tries: Sequence[Try], at_a_time: int) -> list[Seen]:
    """Try them in their order, some at a time."""
    room = asyncio.Semaphore(at_a_time)

    async def one(tried: Try) -> Seen:
        async with room:
            return await _try(port, tried)

    return await asyncio.gather(*(one(tried) for tried in tries))


async def _try(port: int, tried: Try) -> Seen:
    client = await Client.connect(Where(LISTENED_ON, port, tried.source), careless_context())
    try:
        if tried.way == "SCRAM-SHA-256":
            return await _prove(client, tried)
        if tried.way == "PLAIN":
            response = base64.b64encode(f"\0{tried.name}\0{tried.password}".encode()).decode()
            answer, took_s = await _timed(client, f"AUTH PLAIN {response}")
        else:
            await client.ask(f"USER {tried.name}")
            answer, took_s = await _timed(client, f"PASS {tried.password}")
        return Seen(tried, answer, took_s)
    finally:
        client.drop()


async def _prove(client: Client, tried: Try) -> Seen:
    mechanism = _scram(tried.name, tried.password)
    response = mechanism.start()
    assert response is not None
    line, first_took_s = await _timed(client, f"AUTH SCRAM-SHA-256 {_encode(response)}")
    first = base64.b64decode(line.removeprefix(b"+ "))
    answer, took_s = await _timed(client, _encode(mechanism.step(first)))
    return Seen(tried, answer, took_s, first, first_took_s)


async def _timed(client: Client, line: str) -> tuple[bytes, float]:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    answer = await client.ask(line)
    return answer, loop.time() - began_s


def _scram(name: str, password: str) -> ClientMechanism:
    return client_mechanism(
        "SCRAM-SHA-256",
        Login(name, Secret(password.encode())),
        nonce=NONCE,
        binding=None,
        offers_plus=False,
        host="localhost",
        port=995,
    )


def _encode(secret: Secret) -> str:
    return base64.b64encode(secret.reveal()).decode()


def _by_way_and_kind(
    seen: Sequence[Seen],
) -> Mapping[str, Mapping[str, list[float]]]:
    """Return the times of each kind for each moment at which a server could tell."""
    times: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in seen:
        times[one.tried.way][one.tried.kind].append(one.took_s)
        if one.first:
            times["SCRAM's first message"][one.tried.kind].append(one.first_took_s)
    return times


def _pairs(seen: Sequence[Seen]) -> Iterator[tuple[str, list[float], list[float]]]:
    """Yield every comparison that a guesser can make, and what it is of."""
    for way, kinds in _by_way_and_kind(seen).items():
        for one, other in combinations(KINDS, 2):
            yield f"{way}: {one} and {other}", kinds[one], kinds[other]


def test_the_text_is_the_same(seen: Sequence[Seen]) -> None:
    """One answer for wrong, unknown, disabled and revoked."""
    assert len(seen) == LOGINS
    assert {one.answer for one in seen} == {REFUSED}


def test_the_medians_are_within_ten_milliseconds(seen: Sequence[Seen]) -> None:
    """Whoever asks often enough to take a median learns nothing."""
    one_by_one = seen[:HALF]
    medians_s = {
        kind: median(one.took_s for one in one_by_one if one.tried.kind == kind) for kind in KINDS
    }
    assert max(medians_s.values()) - min(medians_s.values()) <= MEDIANS_APART_S, medians_s


def test_no_kind_tends_to_be_slower(seen: Sequence[Seen]) -> None:
    """Nor does a guesser who compares all times by their ranks."""
    chances = {what: chance_of_difference(one, other) for what, one, other in _pairs(seen)}
    limit = UNLIKELY / len(chances)
    assert {what: chance for what, chance in chances.items() if chance < limit} == {}


def test_scram_says_as_much_about_every_name(seen: Sequence[Seen]) -> None:
    """RFC 5802 section 9: a salt for names that nobody has; as long, and with the same count."""
    firsts = [one.first for one in seen if one.first]
    assert len(firsts) > LOGINS // 4
    assert len({len(first) for first in firsts}) == 1
    assert len({first.rpartition(b",i=")[2] for first in firsts}) == 1
    assert len({_salt(first) for first in firsts}) == len(firsts)


def test_a_name_keeps_its_salt(tmp_path: Path) -> None:
    """An invented salt that changed, with the day or with a restart, would tell that it is one."""
    with running_site(tmp_path / "site", limits={}) as site:
        with app.open_accounts(site.site) as directory:
            directory.add(site.site.address("keyless"), Secret(PASSWORD.encode()))
            directory.add(site.site.address("known"), Secret(PASSWORD.encode()))
            directory.devices.add(site.site.address("known"), "telephone")
        site.tell_changed()
        names = ("known", "keyless", "nobody")
        before = [asyncio.run(_first_of(site.pop3s.number, name, 1)) for name in names]
        again = [asyncio.run(_first_of(site.pop3s.number, name, 2)) for name in names]
        site.restart()
        after = [asyncio.run(_first_of(site.pop3s.number, name, 3)) for name in names]
    assert [*map(_salt, before)] == [*map(_salt, again)] == [*map(_salt, after)]
    assert len({*map(_salt, before)}) == len(names)


async def _first_of(port: int, name: str, place: int) -> bytes:
    """Return what SCRAM's server says first about a name; the exchange is given up."""
    where = Where(LISTENED_ON, port, _own_address(place))
    client = await Client.connect(where, careless_context())
    try:
        response = _scram(name, "guess").start()
        assert response is not None
        line = await client.ask(f"AUTH SCRAM-SHA-256 {_encode(response)}")
        assert (await client.ask("*")).startswith(b"-ERR")
        return base64.b64decode(line.removeprefix(b"+ "))
    finally:
        client.drop()


def _salt(first: bytes) -> bytes:
    [salt] = [part for part in first.split(b",") if part.startswith(b"s=")]
    return salt


def _sample(seed: str, shift_s: float = 0.0) -> list[float]:
    """Return times as a server with a floor has them: a little above it, now and then far."""
    random = Random(seed)  # noqa: S311  # to be repeated
    return [0.25 + shift_s + random.expovariate(500) for _ in range(LOGINS // ROUND)]


def test_the_statistic_finds_a_server_that_tells() -> None:
    """Two milliseconds between kinds, which no eye sees, are found; none are not."""
    assert chance_of_difference(_sample("one"), _sample("other", 0.002)) < UNLIKELY
    assert chance_of_difference(_sample("other", 0.002), _sample("one")) < UNLIKELY


def test_the_statistic_is_rarely_wrong() -> None:
    """Of 400 comparisons of like with like about one in twenty lies below 0.05."""
    pairs = ((_sample(f"a{n}"), _sample(f"b{n}")) for n in range(400))
    below = sum(chance_of_difference(one, other) < 0.05 for one, other in pairs)
    assert 5 < below < 40


def test_equal_samples_cannot_be_told_apart() -> None:
    """Ties are no difference."""
    assert chance_of_difference([0.25] * 30, [0.25] * 30) == 1.0
    assert chance_of_difference([1.0, 2.0] * 15, [1.0, 2.0] * 15) > 0.9
