"""Killed at any step of a change, an account has what it had before or all of what is new."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from mailkeep.accounts.changes import Changes
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

CHANGE = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.site_key import SiteKey
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.opening import open_database
from mailkeep.values import Address, Secret

path, step, moment, change = sys.argv[1:5]

def reach(name, when):
    if name == step and when == moment:
        os.kill(os.getpid(), signal.SIGKILL)

def before(connection, cursor, statement, *_):
    reach(statement.split()[0], "before")

def after(connection, cursor, statement, *_):
    reach(statement.split()[0], "after")

database = open_database(Path(path), SCHEMA, create=False)
event.listen(database._engine, "before_cursor_execute", before)
event.listen(database._engine, "after_cursor_execute", after)
event.listen(database._engine, "commit", lambda _: reach("COMMIT", "before"))
passwords = Argon2Passwords(time_cost=1, memory_kib=8)
keying = Keying(SiteKey(Secret(b"k" * 32)), scram_iterations=4096)
directory = AccountDirectory(database, passwords, keying, by="root")
alice = Address.parse("alice", default_domain="mail.example.com")
match change:
    case "password":
        directory.set_password(alice, Secret(b"new"))
    case "add":
        directory.devices.add(alice, "scanner")
    case "revoke":
        directory.devices.revoke(alice, "printer")
reach("DONE", "before")
"""


@pytest.mark.parametrize(
    ("step", "moment", "password", "version"),
    [
        ("BEGIN", "before", b"old", 1),
        ("BEGIN", "after", b"old", 1),
        ("UPDATE", "before", b"old", 1),
        ("UPDATE", "after", b"old", 1),
        ("SELECT", "after", b"old", 1),
        ("INSERT", "before", b"old", 1),
        ("INSERT", "after", b"old", 1),
        ("COMMIT", "before", b"old", 1),
        ("DONE", "before", b"new", 2),
    ],
)
async def test_a_change_of_the_password_is_whole_or_not_at_all(
    database: Database,
    keying: Keying,
    address: Callable[[str], Address],
    step: str,
    moment: str,
    password: bytes,
    version: int,
) -> None:
    """Hash, version and time change together, and are kept once the command has ended."""
    passwords = Argon2Passwords(time_cost=1, memory_kib=8)
    directory = AccountDirectory(database, passwords, keying, by="root")
    before = directory.add(address("alice"), Secret(b"old"))
    command = [sys.executable, "-c", CHANGE, str(database.path), step, moment, "password"]
    assert await asyncio.to_thread(subprocess.call, command) == -signal.SIGKILL
    credential = await Credentials(database, nobodys_hash="").find(address("alice"))
    assert credential.version == version
    assert passwords.verify(credential.password_hash, Secret(password))
    assert (credential.account.password_changed > before.password_changed) == (version > 1)
    directory.set_password(address("alice"), Secret(b"and on"))


@pytest.mark.parametrize(
    ("change", "step", "moment", "names"),
    [
        ("add", "BEGIN", "after", ["printer"]),
        ("add", "UPDATE", "after", ["printer"]),
        ("add", "INSERT", "before", ["printer"]),
        ("add", "INSERT", "after", ["printer"]),
        ("add", "COMMIT", "before", ["printer"]),
        ("add", "DONE", "before", ["printer", "scanner"]),
        ("revoke", "DELETE", "before", ["printer"]),
        ("revoke", "DELETE", "after", ["printer"]),
        ("revoke", "INSERT", "after", ["printer"]),
        ("revoke", "COMMIT", "before", ["printer"]),
        ("revoke", "DONE", "before", []),
    ],
)
async def test_a_change_of_a_device_is_whole_or_not_at_all(
    database: Database,
    directory: AccountDirectory,
    change: str,
    step: str,
    moment: str,
    names: list[str],
) -> None:
    """The device, the account's salt and the note of the change come and go together."""
    alice = Address("alice", "mail.example.com")
    directory.add(alice, Secret(b"old"))
    directory.devices.add(alice, "printer")
    noted = len(Changes(database).take(10))
    command = [sys.executable, "-c", CHANGE, str(database.path), step, moment, change]
    assert await asyncio.to_thread(subprocess.call, command) == -signal.SIGKILL
    assert [device.name for device in directory.devices.list(alice)] == names
    assert len(Changes(database).take(10)) == noted + (names != ["printer"])
    credential = await Credentials(database, nobodys_hash="").find(alice)
    assert [len(one.keys) for one in credential.devices] == [2] * len(names)
    directory.devices.add(alice, "and on")


async def test_the_salt_comes_with_the_first_keys(
    database: Database, directory: AccountDirectory
) -> None:
    """A kill before the commit leaves an account that has neither."""
    alice = Address("alice", "mail.example.com")
    directory.add(alice, Secret(b"old"))
    command = [sys.executable, "-c", CHANGE, str(database.path), "INSERT", "before", "add"]
    assert await asyncio.to_thread(subprocess.call, command) == -signal.SIGKILL
    credential = await Credentials(database, nobodys_hash="").find(alice)
    assert (credential.base, credential.devices) == (None, ())
