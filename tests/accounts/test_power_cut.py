"""Killed at any step of a change of the password, the account has the old one or the new one."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

CHANGE = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.opening import open_database
from mailkeep.values import Address, Secret

path, step, moment = sys.argv[1:4]

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
directory = AccountDirectory(database, Argon2Passwords(time_cost=1, memory_kib=8))
directory.set_password(Address.parse("alice", default_domain="mail.example.com"), Secret(b"new"))
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
        ("COMMIT", "before", b"old", 1),
        ("DONE", "before", b"new", 2),
    ],
)
async def test_a_change_of_the_password_is_whole_or_not_at_all(
    database: Database,
    address: Callable[[str], Address],
    step: str,
    moment: str,
    password: bytes,
    version: int,
) -> None:
    """Hash, version and time change together, and are kept once the command has ended."""
    passwords = Argon2Passwords(time_cost=1, memory_kib=8)
    directory = AccountDirectory(database, passwords)
    before = directory.add(address("alice"), Secret(b"old"))
    command = [sys.executable, "-c", CHANGE, str(database.path), step, moment]
    assert await asyncio.to_thread(subprocess.call, command) == -signal.SIGKILL
    credential = await Credentials(database, nobodys_hash="").find(address("alice"))
    assert credential.version == version
    assert passwords.verify(credential.password_hash, Secret(password))
    assert (credential.account.password_changed > before.password_changed) == (version > 1)
    directory.set_password(address("alice"), Secret(b"and on"))
