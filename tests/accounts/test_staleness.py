"""Accounts and devices that nobody uses are found, and disabled when a policy says so."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.accounts.counting import CountingPasswords, cheap_keying

from mailkeep.accounts import AccountState
from mailkeep.accounts.changes import POLICY, Changes
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.staleness import Stale
from mailkeep.accounts.uses import LastUses, Use
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

MADE = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 90
ALICE, BOB = (Address(name, "example.com") for name in ("alice", "bob"))


class Site:
    """Alice with two devices, bob without; the clock is set by hand."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = MADE
        self.directory = AccountDirectory(
            database, CountingPasswords(), cheap_keying(), by=POLICY, now=lambda: self.now
        )
        self.alice = self.directory.add(ALICE, Secret(b"x"))
        self.bob = self.directory.add(BOB, Secret(b"x"))
        self.printer, self.scanner = (
            self.directory.devices.add(ALICE, name).device for name in ("printer", "scanner")
        )
        Changes(database).done([change.id for change in Changes(database).take(100)])

    async def use_printer(self) -> None:
        """Let alice's printer log in now."""
        uses = LastUses(self.database, lambda: 0.0)
        uses.note((self.alice.id, self.printer.id), Use(self.now, "192.0.2.7", "PLAIN"))
        await uses.close()


@pytest.fixture
def site(database: Database) -> Site:
    return Site(database)


def names(stale: Stale) -> tuple[list[str], list[str]]:
    accounts = [account.address.local for account in stale.accounts]
    return accounts, [one.device.name for one in stale.devices]


def test_what_was_never_used_counts_from_when_it_was_made(site: Site) -> None:
    """On the last day it is not stale, a moment later it is."""
    site.now = MADE + timedelta(days=DAYS)
    assert names(site.directory.stale(DAYS)) == ([], [])
    site.now += timedelta(microseconds=1)
    assert names(site.directory.stale(DAYS)) == (["alice", "bob"], ["printer", "scanner"])
    assert site.directory.stale(DAYS).devices[0].account == site.alice


async def test_a_use_by_one_device_is_one_of_the_account(site: Site) -> None:
    """The other device stays unused."""
    site.now = MADE + timedelta(days=DAYS)
    await site.use_printer()
    site.now += timedelta(days=1)
    assert names(site.directory.stale(DAYS)) == (["bob"], ["scanner"])


def test_disabled_accounts_are_left_out(site: Site) -> None:
    """And their devices: nobody can log in with them."""
    site.directory.disable(ALICE)
    site.now = MADE + timedelta(days=2 * DAYS)
    assert names(site.directory.stale(DAYS)) == (["bob"], [])


async def test_stale_accounts_are_disabled_and_stale_devices_revoked(site: Site) -> None:
    """By the policy, which the record says; the next run finds nothing."""
    site.now = MADE + timedelta(days=DAYS)
    await site.use_printer()
    site.now += timedelta(days=1)
    assert names(site.directory.disable_stale(DAYS)) == (["bob"], ["scanner"])
    assert site.directory.get(BOB).state is AccountState.DISABLED
    assert site.directory.get(ALICE).state is AccountState.ENABLED
    assert [device.name for device in site.directory.devices.list(ALICE)] == ["printer"]
    told = [(c.account, c.device, c.what, c.by) for c in Changes(site.database).take(10)]
    assert told == [
        (str(BOB), None, "disabled: not used for 90 days", "policy"),
        (str(ALICE), "scanner", "revoked: not used for 90 days", "policy"),
    ]
    assert names(site.directory.disable_stale(DAYS)) == ([], [])
    assert len(Changes(site.database).take(10)) == 2


async def test_an_account_that_is_enabled_again_has_all_its_days(site: Site) -> None:
    """Else the policy would disable it in the same hour, for its old last use."""
    await site.use_printer()
    site.now = MADE + timedelta(days=2 * DAYS)
    site.directory.disable_stale(DAYS)
    site.directory.enable(ALICE)
    assert names(site.directory.stale(DAYS)) == ([], [])
    site.now += timedelta(days=DAYS + 1)
    assert names(site.directory.stale(DAYS)) == (["alice"], [])
