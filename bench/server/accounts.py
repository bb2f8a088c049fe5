"""How each server learns of the accounts, which all have the same password.

Mailkeep keeps the argon2id hash that it always makes, the same for all accounts: a hash each would
take minutes to make and changes nothing that is measured, since a right password is remembered and
each account's is shown once before.

Dovecot's cache remembers the hash and compares the password with it at every login, so argon2id
would cost it 35 ms each time. What is compared here is everything but that: it is given a salted
SHA-256, the cheapest of its schemes that is no password in the clear. One group of accounts has
argon2id in both, so that a reader can see the difference.

Where logins are only the way to something else (five thousand open sessions), an account has a
device in Mailkeep, whose password costs no argon2 either; the first logins would take minutes.
"""

import base64
import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.server.people import PASSWORD, Population
from sqlalchemy import Table, insert, select

from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import ACCOUNTS, DEVICES, SCHEMA
from mailkeep.app.opening import open_keying
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.site import Site
from mailkeep.values import AccountId, Secret

ROWS_AT_ONCE = 10_000
"""Accounts in one transaction: few enough for memory, and one fsync each."""


def add_to_mailkeep(site: Site, populations: Iterable[Population]) -> None:
    """Make the accounts of a site that nobody serves at the moment.

    It writes the rows that `mailkeep account add` and `device add` would write, many at a time: a
    command each would take half an hour.
    """
    password_hash = Argon2Passwords().hash(Secret(PASSWORD.encode()))
    with contextlib.closing(open_database(site.database, SCHEMA, create=False)) as database:
        for population in populations:
            _insert(database, ACCOUNTS, _accounts(population, password_hash))
            if population.has_device:
                _insert(database, DEVICES, _devices(database, site, population))


def write_passwd_file(path: Path, populations: Iterable[Population]) -> None:
    """Write the same accounts as a passwd-file of Dovecot."""
    argon2 = "{ARGON2ID}" + Argon2Passwords().hash(Secret(PASSWORD.encode()))
    salt = secrets.token_bytes(4)  # as many as `doveadm pw` takes
    digest = hashlib.sha256(PASSWORD.encode() + salt).digest() + salt
    cheap = "{SSHA256}" + base64.b64encode(digest).decode()
    with path.open("w") as file:
        for population in populations:
            kept = argon2 if population.is_dear else cheap
            file.writelines(f"{address}:{kept}\n" for address in population.addresses)


def _accounts(population: Population, password_hash: str) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    same = {
        "state": "enabled",
        "created": now,
        "password_hash": password_hash,
        "password_version": 1,
        "password_changed": now,
        "counted_from": now,
        "confirmed": now,
    }
    return [{**same, "address": address} for address in population.addresses]


def _devices(database: Database, site: Site, population: Population) -> list[dict[str, Any]]:
    keying = open_keying(site)
    letters = Secret(PASSWORD.replace("-", "").encode())
    same = {
        "name": "bench",
        "name_key": "bench",
        "key_id": keying.key_identifier,
        "networks": json.dumps([]),
        "may": "delete",
        "created": datetime.now(UTC),
    }
    wanted = ACCOUNTS.c.address.like(f"{population.name}%@{population.domain}")
    with database.reading() as connection:
        numbers = connection.execute(select(ACCOUNTS.c.id).where(wanted)).scalars().all()
    return [
        {**same, "account_id": number, "password_hash": keying.seal(AccountId(number), letters)}
        for number in numbers
    ]


def _insert(database: Database, table: Table, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        with database.writing() as connection:
            connection.execute(insert(table), rows[start : start + ROWS_AT_ONCE])
