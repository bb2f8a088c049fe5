"""What a command opens of a site: accounts, bans, maildrops; and a word to the running server."""

import contextlib
from collections.abc import Iterator, Mapping

from mailkeep.accounts.changes import POLICY
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.site_key import open_site_key
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.defence.ban_directory import BanDirectory
from mailkeep.defence.tables import SCHEMA as DOOR_SCHEMA
from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.maildrop.maildir.store import MaildirStore
from mailkeep.server import send_notice
from mailkeep.site import Site


@contextlib.contextmanager
def open_accounts(
    site: Site, *, create: bool = False, by: str = POLICY
) -> Iterator[AccountDirectory]:
    """Open the accounts of a site for a command.

    Args:
        site: whose.
        create: make the database when it is missing.
        by: who makes changes, for the record.

    Raises:
        DatabaseUnavailable: it cannot be used.
        SiteKeyProblem: the site's key cannot be used.
    """
    database = open_database(site.database, SCHEMA, create=create)
    try:
        yield account_directory(site, database, by=by)
    finally:
        database.close()


def account_directory(site: Site, database: Database, *, by: str) -> AccountDirectory:
    """Return the accounts in an open database.

    Raises:
        SiteKeyProblem: the site's key cannot be used.
    """
    return AccountDirectory(database, Argon2Passwords(), open_keying(site), by=by)


def open_keying(site: Site) -> Keying:
    """Return what seals a site's device passwords.

    Raises:
        SiteKeyProblem: the site's key cannot be used.
    """
    key = open_site_key(site.site_key)
    return Keying(key, scram_iterations=site.settings.login.scram_iterations)


@contextlib.contextmanager
def open_bans(site: Site) -> Iterator[BanDirectory]:
    """Open the bans of a site for a command; they are made when they are missing.

    Raises:
        DatabaseUnavailable: they cannot be used.
    """
    database = open_database(site.door_database, DOOR_SCHEMA, create=True)
    try:
        yield BanDirectory(database)
    finally:
        database.close()


def open_store(site: Site) -> MaildirStore:
    """Return the maildrops of a site, for as long as the process lives.

    Raises:
        OSError: the site's file of leases cannot be opened.
    """
    paths = MaildirPaths(site.folder, site.settings.maildrops.path)
    return MaildirStore(paths, Leases(site.run / "leases"), site.index)


def tell_server(site: Site, notice: Mapping[str, object]) -> bool:
    """Tell a running server that something was changed; False when none runs or it is too busy."""
    return send_notice(site.control, notice)
