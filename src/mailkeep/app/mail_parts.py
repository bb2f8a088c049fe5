"""What a process that serves mail stands on, and how it is put together.

The same in a worker as where all is one process; they differ in who is told of events, in whose the
door is, and in how many hashes they compute at a time.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from mailkeep.accounts import MainPasswordPolicy
from mailkeep.accounts.check import CheckSettings, PasswordChecker
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.hashing import HashingPool
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.site_key import SiteKey, open_site_key
from mailkeep.accounts.tables import SCHEMA
from mailkeep.accounts.uses import LastUses
from mailkeep.app.opening import open_keying, open_store
from mailkeep.app.tokens import make_token_check
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.defence import LoginDoor
from mailkeep.defence.seals import Seals
from mailkeep.events import RunSink
from mailkeep.server import Gate, Holders, Meeting, Offers, Sessions, SiteCertificate, TokenHints
from mailkeep.site import Site


@dataclass(frozen=True, slots=True)
class MailParts:
    """What is open before the event loop runs."""

    site: Site
    key: SiteKey
    database: Database
    hashing: HashingPool
    certificate: SiteCertificate
    sink: RunSink
    on_command: Callable[[str, float], None]


def open_mail_parts(
    site: Site, closing: contextlib.ExitStack, *, threads: int
) -> tuple[SiteKey, Database, HashingPool]:
    """Open what is needed to check passwords; what is opened is closed in the reverse order.

    Args:
        site: whose.
        closing: closes it.
        threads: hashes that are computed at a time.

    Raises:
        DatabaseUnavailable, SiteKeyProblem: it cannot be opened.
    """
    key = open_site_key(site.site_key)
    database = open_database(site.database, SCHEMA, create=False)
    closing.callback(database.close)
    hashing = HashingPool(
        threads=threads, waiting_limit=site.settings.limits.password_checks_waiting or sys.maxsize
    )
    closing.callback(hashing.close)
    return key, database, hashing


def check_mail_parts(site: Site) -> None:
    """Find out here what would keep a worker from beginning, so that its error is told well.

    Raises:
        SiteKeyProblem, OSError, ValueError: a key, a secret or a choice cannot be used.
    """
    open_site_key(site.site_key)
    tokens = make_token_check(site.settings.oauth, site.folder)
    if tokens is not None:
        tokens.close()


def make_password_check(parts: MailParts) -> PasswordChecker:
    """Return what checks passwords; must be called in a running event loop.

    Raises:
        SiteKeyProblem, OSError, ValueError: a key, a secret or a choice cannot be used.
    """
    settings = parts.site.settings
    passwords = Argon2Passwords()
    return PasswordChecker(
        Credentials(parts.database, nobodys_hash=passwords.nobodys_hash()),
        passwords,
        parts.hashing,
        open_keying(parts.site),
        LastUses(parts.database, time.monotonic),
        settings=CheckSettings(
            default_domain=settings.default_domain,
            remembered_s=settings.limits.password_memory_s,
            main_password=MainPasswordPolicy(settings.login.main_password.value),
        ),
        tokens=make_token_check(settings.oauth, parts.site.folder),
    )


def make_meeting(
    parts: MailParts, check: PasswordChecker, door: LoginDoor, holders: Holders
) -> Meeting:
    """Return what every session has in common.

    Raises:
        OSError: the leases cannot be opened.
    """
    settings, limits = parts.site.settings, parts.site.settings.limits
    oauth = settings.oauth
    gate = Gate(
        check=check,
        door=door,
        seal=Seals(parts.key.derive("wrong passwords")).seal,
        sink=parts.sink,
        credentials_s=limits.credentials_s,
        refusal_s=limits.refusal_ms / 1000,
        login_delay_s=limits.login_delay_s,
        utf8=settings.utf8,
        token_hints=TokenHints(oauth.configuration, oauth.scope) if oauth else TokenHints(),
    )
    return Meeting(
        gate=gate,
        store=open_store(parts.site),
        sink=parts.sink,
        limits=limits,
        holders=holders,
        sessions=Sessions(),
        certificate=parts.certificate.current,
        offers=Offers(scram_plus=settings.login.scram_plus, tokens=oauth is not None),
        on_command=parts.on_command,
    )
