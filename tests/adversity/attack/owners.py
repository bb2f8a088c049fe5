"""Owners who read their mail: a process that logs in when it is told to and times what it sees.

    python -m tests.adversity.attack.owners < VISITS

Visits are a JSON list in the order of their times; what came of each is printed as JSON.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tests.adversity.attack.client import Client, TurnedAway, Where, careless_context
from tests.adversity.attack.plan import LISTENED_ON


@dataclass(frozen=True, slots=True)
class Visit:
    """A login to come."""

    kind: str
    """For whoever reads what came of it."""
    at_s: float
    """After the start."""
    port: int
    source: str
    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Visited:
    """A login and how it went."""

    kind: str
    at_s: float
    name: str
    took_s: float
    """From the first packet to the answer to PASS."""
    answer: str

    @property
    def let_in(self) -> bool:
        """Whether the owner saw mail."""
        return self.answer.startswith("+OK")


def visits_text(visits: Sequence[Visit]) -> str:
    """Return what the process reads."""
    return json.dumps([asdict(visit) for visit in visits])


def read_visited(text: str) -> list[Visited]:
    """Return what the process printed."""
    return [Visited(**each) for each in json.loads(text)]


async def visit_all(visits: Sequence[Visit]) -> list[Visited]:
    """Make each visit at its time, whether those before it are over or not."""
    context = careless_context()
    start_s = asyncio.get_running_loop().time()
    return await asyncio.gather(*(_visit(each, start_s, context) for each in visits))


async def _visit(visit: Visit, start_s: float, context: ssl.SSLContext) -> Visited:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(start_s + visit.at_s - loop.time())
    began_s = loop.time()
    try:
        answer = await _log_in(visit, context)
    except TurnedAway:
        answer = b"turned away"
    took_s = loop.time() - began_s
    return Visited(visit.kind, visit.at_s, visit.name, took_s, answer.decode().strip())


async def _log_in(visit: Visit, context: ssl.SSLContext) -> bytes:
    client = await Client.connect(Where(LISTENED_ON, visit.port, visit.source), context)
    try:
        await client.ask(f"USER {visit.name}")
        answer = await client.ask(f"PASS {visit.password}")
        if answer.startswith(b"+OK"):
            await client.ask("QUIT")
        return answer
    finally:
        client.drop()


if __name__ == "__main__":
    told = [Visit(**each) for each in json.load(sys.stdin)]
    outcome = asyncio.run(visit_all(told))
    print(json.dumps([asdict(each) for each in outcome]))  # noqa: T201  # a program's answer
