"""The attack: a process that guesses as fast as its core lets it, until its time is over.

    python -m tests.adversity.attack.guessing < ORDERS

Every address keeps several connections open, makes three guesses on each and reconnects at once.
The orders are JSON; what came of it is printed as JSON.
"""

import asyncio
import json
import ssl
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import repeat

from tests.adversity.attack.client import Client, TurnedAway, Where, careless_context
from tests.adversity.attack.plan import (
    LISTENED_ON,
    attackers,
    guesses,
    six_in_one_32,
    six_in_one_48,
    six_in_one_64,
)

CONNECTIONS_AN_ADDRESS = 3
STLS_EVERY = 10
"""One address in so many speaks STLS."""

SIX_CONNECTIONS = 120
"""In each of the three IPv6 networks."""

GUESSES_A_CONNECTION = 3


@dataclass(frozen=True, slots=True)
class Orders:
    """Where the server is, and for how long it is attacked."""

    seconds: float
    pop3s: int
    pop3: int
    proxied: int | None
    """The port that believes PROXY headers from 127.0.0.1; None where there is none."""

    def text(self) -> str:
        """Return what the process reads."""
        return json.dumps(asdict(self))


async def attack(orders: Orders) -> Counter[str]:
    """Guess until the time is over; return how often what came."""
    heard: Counter[str] = Counter()
    context = careless_context()
    workers = [
        _guess_for_ever(where, f"{number}", context, heard)
        for number, where in enumerate(_places(orders))
    ]
    tasks = [asyncio.create_task(worker) for worker in workers]
    await asyncio.wait(tasks, timeout=orders.seconds)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    return heard


def _places(orders: Orders) -> Iterator[Iterator[Where]]:
    """Yield, for every connection that is kept open, from where each new one comes."""
    for number, address in enumerate(attackers()):
        stls = number % STLS_EVERY == 0
        where = Where(LISTENED_ON, orders.pop3 if stls else orders.pop3s, address, stls)
        yield from repeat(repeat(where), CONNECTIONS_AN_ADDRESS)
    if orders.proxied is not None:
        for addresses in (six_in_one_64(), six_in_one_48(), six_in_one_32()):
            yield from repeat(_proxied(orders.proxied, addresses), SIX_CONNECTIONS)


def _proxied(port: int, addresses: Iterator[str]) -> Iterator[Where]:
    return (Where(LISTENED_ON, port, LISTENED_ON, False, address) for address in addresses)


async def _guess_for_ever(
    places: Iterator[Where], seed: str, context: ssl.SSLContext, heard: Counter[str]
) -> None:
    tries = guesses(seed)
    for where in places:
        try:
            client = await Client.connect(where, context)
        except TurnedAway:
            heard["turned away"] += 1
            await asyncio.sleep(0)  # somebody else's turn
            continue
        try:
            for _ in range(GUESSES_A_CONNECTION):
                guess = next(tries)
                await client.ask(f"USER {guess.name}")
                heard[_told(await client.ask(f"PASS {guess.password}"))] += 1
        except TurnedAway:
            heard["cut off"] += 1
        finally:
            client.drop()


def _told(reply: bytes) -> str:
    if reply.startswith(b"-ERR [AUTH]"):
        return "refused"
    return "deferred" if reply.startswith(b"-ERR") else "let in"


if __name__ == "__main__":
    outcome = asyncio.run(attack(Orders(**json.load(sys.stdin))))
    print(json.dumps(outcome))  # noqa: T201  # a program's answer
