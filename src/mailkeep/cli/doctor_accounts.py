"""What `doctor` looks at in the accounts: the site's key, who can log in with what, maildrops.

The key is looked at first, because every other command makes one where there is none. Known limit:
an account's devices are asked for one account at a time, some thousands a second.
"""

import os
import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from mailkeep.accounts import Account, AccountState, Device, MainPasswordPolicy
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.site_key import SiteKey, SiteKeyProblem, open_site_key
from mailkeep.accounts.tables import SCHEMA
from mailkeep.cli.findings import Finding, note, ok, wrong
from mailkeep.cli.site_option import maildrop_of
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.opening import open_database
from mailkeep.site import MainPassword, Site
from mailkeep.values import Secret

_NAMED = 5
"""Of many accounts as many are named; the hint's command names all."""


_ITERATIONS = 600_000
"""OWASP's figure for PBKDF2 with HMAC-SHA-256, which is what SCRAM-SHA-256 keeps."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of the accounts at one time."""

    accounts: Sequence[Account]
    devices: dict[Account, Sequence[Device]]
    stale: Sequence[str]
    of_other_keys: Sequence[str]
    """Whose password was made with a key that is not the site's."""


def check_accounts(site: Site) -> Iterator[Finding]:
    """Look at the key, open the database, and look at every account."""
    key = yield from _check_key(site)
    try:
        found = _read(site, key)
    except DatabaseUnavailable as failure:
        yield wrong("database", str(failure), failure.hint)
        return
    accounts = found.accounts
    counted = "1 account" if len(accounts) == 1 else f"{len(accounts)} accounts"
    yield ok("database", f"{site.database}: {counted}")
    if not accounts:
        yield note("accounts", "nobody can log in", "mailkeep account add NAME")
    yield from _check_devices(site, found, key)
    yield from _check_main_passwords(site, found)
    yield from _check_stale(site, found)
    for account in accounts:
        yield from _check_maildrop(site, account)
    yield from _check_root_of_maildrops(site)


def _check_key(site: Site) -> Generator[Finding, None, SiteKey | None]:
    """Look at the site's key without making one; return it if it can be used."""
    if not site.site_key.exists():
        return None
    try:
        key = open_site_key(site.site_key)
    except SiteKeyProblem as problem:
        yield wrong("site key", str(problem), problem.hint)
        return None
    yield ok("site key", f"{site.site_key} is its owner's alone; back it up with the database")
    return key


def _read(site: Site, key: SiteKey | None) -> Found:
    """Read the accounts; a key that no device was made with stands in for one that is missing."""
    keying = Keying(
        key or SiteKey(Secret(secrets.token_bytes(32))),
        scram_iterations=site.settings.login.scram_iterations,
    )
    days = site.settings.login.stale_after_d
    with closing(open_database(site.database, SCHEMA, create=False)) as database:
        directory = AccountDirectory(database, Argon2Passwords(), keying, by="nobody")
        accounts = directory.list()
        stale = directory.stale(days) if days else None
        return Found(
            accounts,
            {account: directory.devices.list(account.address) for account in accounts},
            [
                *(str(one.address) for one in (stale.accounts if stale else ())),
                *(_named(one.account, one.device) for one in (stale.devices if stale else ())),
            ],
            [f'{address} "{one.name}"' for address, one in directory.devices.of_other_keys()],
        )


def _check_devices(site: Site, found: Found, key: SiteKey | None) -> Iterator[Finding]:
    """Look for devices whose password was made with another key: it is wrong now."""
    others = found.of_other_keys
    if key is None and site.site_key.exists():
        return  # it cannot be used, and of the devices nothing is known
    if others and key is not None:
        yield wrong(
            "devices",
            f"the password of {_some(others)} was made with another site key and is wrong now",
            f"put the {site.site_key.name} back that was backed up with this database, or revoke"
            " and add them anew",
        )
    elif others:
        yield wrong(
            "site key",
            f"{site.site_key} is missing, and {_some(others)} cannot log in without it",
            "put it back from the backup; the next command makes another one, and then they need"
            " new passwords",
        )
    elif key is None:
        yield note(
            "site key",
            f"{site.site_key} is not there; no device needs it yet",
            "the next command that needs one makes it: back it up with the database",
        )


def _check_main_passwords(site: Site, found: Found) -> Iterator[Finding]:
    """Look for accounts that nobody can use, and for main passwords that nobody may need."""
    devices_only = [a for a in found.accounts if _is_devices_only(site, a)]
    shut_out = [str(a.address) for a in devices_only if _may_log_in(a) and not found.devices[a]]
    if shut_out and site.settings.oauth is None:
        yield note(
            "passwords",
            f"{_some(shut_out)} cannot log in: main passwords are refused, and there is no device",
            "mailkeep device add ADDRESS NAME",
        )
    if site.settings.login.main_password is MainPassword.ALLOW:
        both = [
            str(a.address)
            for a in found.accounts
            if a.main_password is None and _may_log_in(a) and found.devices[a]
        ]
        if both:
            yield note(
                "passwords",
                f"{_some(both)}: the main password is good for POP3 beside the devices",
                "mailkeep account policy ADDRESS devices_only, when every program has a device;"
                " otherwise allow, and this is said no more",
            )
    if site.settings.login.scram_main and site.settings.login.scram_iterations < _ITERATIONS:
        yield note(
            "passwords",
            "scram_main keeps what main passwords can be guessed from with few iterations",
            f"scram_iterations = {_ITERATIONS} under [login]",
        )


def _check_stale(site: Site, found: Found) -> Iterator[Finding]:
    days = site.settings.login.stale_after_d
    if found.stale:
        yield note(
            "stale",
            f"nobody has used {_some(found.stale)} for {days} days",
            f"mailkeep account list --stale {days}d; then account disable or device revoke",
        )


def _check_maildrop(site: Site, account: Account) -> Iterator[Finding]:
    if not site.settings.has_own_maildrop(account.address):
        yield wrong(
            "maildrops",
            f"{account.address} shares its maildrop with a namesake of another domain",
            "have {domain} in maildrops.path",
        )
    folder = maildrop_of(site, account.address)
    for part in ("new", "cur", "tmp"):
        if (folder / part).exists() and not os.access(folder / part, os.R_OK | os.W_OK | os.X_OK):
            yield wrong(
                "maildrops",
                f"{folder / part} cannot be read and written",
                f"see that {folder} belongs to the site's user and is not mounted read-only",
            )


def _check_root_of_maildrops(site: Site) -> Iterator[Finding]:
    """Look whether a maildrop could be made where the first placeholder of the path is."""
    pattern = site.folder / site.settings.maildrops.path
    root = next(folder for folder in pattern.parents if "{" not in str(folder))
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        yield ok("maildrops", f"{root} takes mail")
    else:
        yield wrong(
            "maildrops",
            f"no maildrop can be made in {there}",
            "see that it belongs to the site's user and is not mounted read-only",
        )


def _is_devices_only(site: Site, account: Account) -> bool:
    policy = account.main_password or MainPasswordPolicy(site.settings.login.main_password.value)
    return policy is MainPasswordPolicy.DEVICES_ONLY


def _may_log_in(account: Account) -> bool:
    return account.state is AccountState.ENABLED


def _named(account: Account, device: Device) -> str:
    return f'{account.address} "{device.name}"'


def _some(names: Sequence[str]) -> str:
    """Return the first of many names, and how many there are beside them."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
