"""Last uses are written seldom, together, and without anybody waiting."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event
from tests.accounts.counting import CountingPasswords, cheap_keying

from mailkeep.accounts import uses as uses_module
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.uses import WRITTEN_AGAIN_AFTER_S, LastUses, Use
from mailkeep.database.engine import Database
from mailkeep.values import AccountId, Address, DeviceId, Secret

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = Address("alice", "example.com")


class Site:
    """An account with a device, and its uses, which are counted when they are written."""

    def __init__(self, database: Database) -> None:
        self.directory = AccountDirectory(database, CountingPasswords(), cheap_keying(), by="root")
        self.account = self.directory.add(ALICE, Secret(b"x")).id
        self.device = self.directory.devices.add(ALICE, "printer").device.id
        self.now_s = 0.0
        self.uses = LastUses(database, lambda: self.now_s)
        self.transactions = 0
        event.listen(database._engine, "commit", self._count)

    def _count(self, _: object) -> None:
        self.transactions += 1

    async def use(self, address: str = "192.0.2.7", *, by_device: bool = True) -> None:
        """Note a use, and let it be written."""
        at = START + timedelta(seconds=self.now_s)
        device = self.device if by_device else None
        self.uses.note((self.account, device), Use(at, address, "PLAIN"))
        await self.uses.close()


@pytest.fixture
def one(database: Database) -> Site:
    return Site(database)


async def test_a_poller_is_written_once_in_five_minutes(one: Site) -> None:
    """A login a minute for an hour is twelve writes and not sixty."""
    for minute in range(60):
        one.now_s = minute * 60.0
        await one.use()
    assert one.transactions == 12
    assert WRITTEN_AGAIN_AFTER_S == 300.0
    last = one.directory.devices.get(ALICE, "printer").last_used
    assert last == START + timedelta(minutes=55)


async def test_another_address_is_written_at_once(one: Site) -> None:
    """The last address is what somebody looks for after a break-in."""
    for address in ("192.0.2.7", "198.51.100.1", "198.51.100.1", "192.0.2.7"):
        await one.use(address)
    assert one.transactions == 3
    assert one.directory.devices.get(ALICE, "printer").last_address == "192.0.2.7"


async def test_device_and_main_password_are_two_credentials(one: Site) -> None:
    """A login without a device is the account's use only."""
    await one.use(by_device=False)
    assert one.directory.get(ALICE).last_used == START
    assert one.directory.devices.get(ALICE, "printer").last_used is None
    await one.use()
    assert one.transactions == 2


async def test_what_comes_while_one_is_written_is_written_together(one: Site) -> None:
    """Many logins at once are few transactions, and nobody waits for any."""
    for number in range(500):
        use = Use(START, f"192.0.2.{number % 250}", "PLAIN")
        one.uses.note((AccountId(1000 + number), None), use)
    assert one.transactions == 0
    await one.uses.close()
    assert one.transactions == 1
    assert len(one.uses) == 0


async def test_closing_writes_what_waits(one: Site) -> None:
    """The last uses before a restart are not lost."""
    one.uses.note((one.account, one.device), Use(START, "192.0.2.7", "SCRAM"))
    await one.uses.close()
    assert one.directory.devices.get(ALICE, "printer").last_client == "SCRAM"
    await one.uses.close()


async def test_a_database_that_fails_stops_nobody(one: Site, database: Database) -> None:
    """What could not be written is written when it can be."""
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE devices RENAME TO away")
    await one.use()
    assert len(one.uses) == 1
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO devices")
    await one.use()
    assert len(one.uses) == 0
    assert one.directory.devices.get(ALICE, "printer").last_used == START


async def test_the_next_login_writes_what_could_not_be_written(
    one: Site, database: Database
) -> None:
    """Also when it is the same again, and nobody else comes."""
    use = Use(START, "192.0.2.7", "PLAIN")
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE devices RENAME TO away")
    await one.use()
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO devices")
    one.uses.note((one.account, one.device), use)
    assert one.uses._writing is not None
    await one.uses._writing
    assert len(one.uses) == 0


async def test_what_waits_is_bounded(one: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is what is remembered: the oldest is forgotten first."""
    monkeypatch.setattr(uses_module, "WAITING_LIMIT", 10)
    monkeypatch.setattr(uses_module, "WRITTEN_LIMIT", 5)
    for number in range(100):
        one.uses.note((AccountId(100 + number), None), Use(START, "192.0.2.7", "PLAIN"))
        assert len(one.uses) <= 10
    await one.uses.close()
    assert [account for account, _ in one.uses._written] == [*map(AccountId, range(195, 200))]


async def test_a_revoked_device_is_not_brought_back(one: Site) -> None:
    """A use that is written late changes nothing of what was removed."""
    one.uses.note((one.account, one.device), Use(START, "192.0.2.7", "PLAIN"))
    one.directory.devices.revoke(ALICE, "printer")
    await one.uses.close()
    assert one.directory.devices.list(ALICE) == []
    one.directory.remove(ALICE)
    one.uses.note((one.account, DeviceId(77)), Use(START, "192.0.2.7", "PLAIN"))
    await one.uses.close()
    assert one.directory.list() == []


async def test_a_long_client_is_cut(one: Site) -> None:
    """Part of it may come from the client."""
    one.uses.note((one.account, one.device), Use(START, "192.0.2.7", "x" * 9000))
    await one.uses.close()
    assert one.directory.devices.get(ALICE, "printer").last_client == "x" * 200


async def test_noting_does_not_wait(one: Site, database: Database) -> None:
    """Nobody's login is held up while another program writes."""
    with database.writing():
        await asyncio.wait_for(_note(one), timeout=1.0)
    await one.uses.close()
    assert one.directory.get(ALICE).last_used == START


async def _note(one: Site) -> None:
    one.uses.note((one.account, None), Use(START, "192.0.2.7", "PLAIN"))


async def test_what_was_written_need_not_be_noted(one: Site) -> None:
    """Not for five minutes, from the same address, and while nothing waits to be written."""
    used_by = (one.account, one.device)
    assert not one.uses.has_written(used_by, "192.0.2.7")
    await one.use()
    assert one.uses.has_written(used_by, "192.0.2.7")
    assert not one.uses.has_written(used_by, "192.0.2.8")
    assert not one.uses.has_written((one.account, None), "192.0.2.7")
    one.now_s = WRITTEN_AGAIN_AFTER_S
    assert not one.uses.has_written(used_by, "192.0.2.7")
    one.now_s = 1.0
    one.uses.note((one.account, None), Use(START, "192.0.2.7", "PLAIN"))
    assert not one.uses.has_written(used_by, "192.0.2.7")
    await one.uses.close()
