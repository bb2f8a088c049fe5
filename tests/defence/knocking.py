"""Somebody who knocks: a door in fake time, and guesses and logins in one call."""

import asyncio
import random
from collections.abc import Callable
from hashlib import sha256
from ipaddress import ip_address

from mailkeep.defence import Attempt, Consequences, Let, Success, Turned, Welcome
from mailkeep.defence.door import Door, PlaceFinder
from mailkeep.defence.policy_server import PolicyServer
from mailkeep.defence.remembered import Remembered
from mailkeep.defence.rules import DoorRules
from mailkeep.defence.strangers import USUALLY
from mailkeep.values import AccountId, IpAddress

EPOCH_S = 1_800_000_000.0
ALICE = AccountId(1)
HOME = "198.51.100.7"
CHECK_S = 0.04
"""A password hash."""


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # the same attack each time


def now_s() -> float:
    return asyncio.get_running_loop().time()


def wall_s() -> float:
    return EPOCH_S + now_s()


def make_door(
    rules: DoorRules | None = None,
    *,
    remembered: Remembered | None = None,
    places: PlaceFinder | None = None,
    policy_server: PolicyServer | None = None,
    strangers_at_a_time: int = USUALLY,
    chance: Callable[[], float] = lambda: 0.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Door:
    return Door(
        rules or DoorRules(),
        remembered=remembered,
        places=places,
        policy_server=policy_server,
        strangers_at_a_time=strangers_at_a_time,
        wall_s=wall_s,
        chance=chance,
        tell=tell,
    )


def attempt(
    source: str | IpAddress = HOME,
    name: str = "alice@example.com",
    password: str | None = "wrong",
    *,
    is_sure: bool = False,
) -> Attempt:
    return Attempt(
        session="s",
        source=ip_address(source) if isinstance(source, str) else source,
        name=name,
        mechanism="PLAIN",
        password_seal=None if password is None else sha256(password.encode()).digest()[:16],
        is_sure=is_sure,
    )


async def guess(
    door: Door,
    source: str | IpAddress = HOME,
    name: str = "alice@example.com",
    password: str | None = None,
    *,
    account: AccountId | None = ALICE,
) -> Let | Turned:
    """Make a wrong guess; return what the door said."""
    return (await guess_and_see(door, source, name, password, account=account))[0]


async def guess_and_see(
    door: Door,
    source: str | IpAddress = HOME,
    name: str = "alice@example.com",
    password: str | None = None,
    *,
    account: AccountId | None = ALICE,
) -> tuple[Let | Turned, Consequences]:
    """Make a wrong guess; return what the door said and what came of it."""
    let = await door.ask(attempt(source, name, password))
    if isinstance(let, Turned):
        return let, Consequences()
    await asyncio.sleep(CHECK_S)
    return let, await door.fail(let, account=account)


async def log_in(
    door: Door,
    source: str | IpAddress = HOME,
    name: str = "alice@example.com",
    password: str | None = "right",
    *,
    account: AccountId = ALICE,
    is_sure: bool = False,
    by_main_password: bool = True,
) -> Welcome | Turned:
    """Log in with right credentials."""
    let = await door.ask(attempt(source, name, password, is_sure=is_sure))
    if isinstance(let, Turned):
        return let
    await asyncio.sleep(CHECK_S)
    return await door.succeed(let, Success(account, None, by_main_password))


def is_in(outcome: Welcome | Turned) -> bool:
    """Tell whether a login succeeded."""
    return isinstance(outcome, Welcome) and outcome.refused is None
