"""Putting a server together, and running it."""

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

from mailkeep.accounts import MainPasswordPolicy
from mailkeep.accounts.changes import POLICY, Changes
from mailkeep.accounts.check import CheckSettings, PasswordChecker
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.hashing import HashingPool, hashing_threads
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.site_key import SiteKey, open_site_key
from mailkeep.accounts.tables import SCHEMA
from mailkeep.accounts.uses import LastUses
from mailkeep.app.door import KeptDoor, make_door
from mailkeep.app.notices import Notices, ToldNotes, event_of_ban, event_of_change
from mailkeep.app.opening import account_directory, open_keying, open_store
from mailkeep.app.tokens import make_token_check
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.defence.ban_notes import BanNotes
from mailkeep.defence.keeping import EVERY_S as KEPT_EVERY_S
from mailkeep.defence.seals import Seals
from mailkeep.defence.tables import SCHEMA as DOOR_SCHEMA
from mailkeep.events import EventSink
from mailkeep.events.failed_logins import open_failed_logins
from mailkeep.events.fanout import Sinks
from mailkeep.events.log import LogSink, Style
from mailkeep.events.metrics import CONTENT_TYPE, MetricsSink, Reading
from mailkeep.events.trail import Trail, open_trail
from mailkeep.server import (
    Gate,
    Holders,
    Inherited,
    Listener,
    Meeting,
    Offers,
    OnReady,
    RunningSite,
    Sessions,
    SiteCertificate,
    TokenHints,
    Upkeep,
    inherit_sockets,
    open_listeners,
)
from mailkeep.server.metrics_listener import Exposition, MetricsListener
from mailkeep.site import Service, Site

CHANGES_EVERY_S = 5.0
"""How often changes that no notice came about are looked for: one query."""

STALE_EVERY_S = 3600.0
"""How often accounts that nobody uses are looked for: days are counted."""

SWITCH_S = 0.000_5
"""How long a thread may keep Python's lock while others want it; Python's own 5 ms are a tenth of
what a session may notice, and the loop lets go of the lock at each piece of TLS."""

MAPPED_FROM_OCTETS = 4 << 20
KEPT_OCTETS = 2 * MAPPED_FROM_OCTETS
"""What malloc asks the kernel for alone, and what it keeps for the next: more than any piece of
mail on its way, less than the memory of a password hash."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
"""Parameters of mallopt(3), from glibc's malloc.h."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is open before the event loop runs."""

    site: Site
    key: SiteKey
    database: Database
    door_database: Database
    hashing: HashingPool
    certificate: SiteCertificate
    sink: EventSink
    metrics: MetricsSink
    trail: Trail


def serve(site: Site, on_ready: OnReady, inherited: Sequence[Inherited] = ()) -> None:
    """Serve a site until SIGTERM or SIGINT; SIGHUP reloads certificate and settings.

    Args:
        site: as it is on disk now.
        on_ready: told the services and the addresses that are really listened on.
        inherited: sockets that the caller opened, beside those from systemd.

    Raises:
        CannotListen, CertificateProblem, DatabaseUnavailable, SiteKeyProblem, TrailHeld, OSError,
        ValueError: it cannot begin.
    """
    listeners = open_listeners(site.settings.listen, [*inherit_sockets(os.environ), *inherited])
    with contextlib.ExitStack() as closing:
        for listener in listeners:
            closing.callback(listener.socket.close)
        parts = _open_parts(site, closing)
        tune_malloc()
        sys.setswitchinterval(SWITCH_S)
        run_loop(_run(parts, listeners, on_ready))


def _open_parts(site: Site, closing: contextlib.ExitStack) -> _Parts:
    """Open what a server stands on; what is opened is closed in the reverse order."""
    key = open_site_key(site.site_key)
    database = open_database(site.database, SCHEMA, create=False)
    closing.callback(database.close)
    door_database = open_database(site.door_database, DOOR_SCHEMA, create=True)
    closing.callback(door_database.close)
    log = LogSink(Style(site.settings.log.style.value))
    metrics = MetricsSink()
    trail = open_trail(site.trail, site.events_database, Sinks(log, metrics))
    closing.callback(trail.close)
    sinks: list[EventSink] = [trail, log, metrics]
    if site.settings.log.failed_logins:
        sinks.append(open_failed_logins(site.settings.log.failed_logins, site.folder))
    sink = Sinks(*sinks)
    certificate = SiteCertificate(site, sink)
    hashing = HashingPool(
        threads=hashing_threads(),
        waiting_limit=site.settings.limits.password_checks_waiting or sys.maxsize,
    )
    closing.callback(hashing.close)
    return _Parts(site, key, database, door_database, hashing, certificate, sink, metrics, trail)


async def _run(parts: _Parts, listeners: Sequence[Listener], on_ready: OnReady) -> None:
    """Serve until a signal says to stop, then write down what was learnt."""
    kept = make_door(parts.site, parts.door_database, parts.sink)
    check = _password_check(parts)
    await check.look_again()
    meeting = _meeting(parts, check, kept)
    notices = _notices(parts, check, meeting.sessions, kept)
    exposition = Exposition(parts.metrics.exposition, CONTENT_TYPE)
    for_mail = [one for one in listeners if one.settings.service is not Service.METRICS]
    for_metrics = [one for one in listeners if one.settings.service is Service.METRICS]
    running = RunningSite(
        parts.site,
        for_mail,
        meeting,
        parts.certificate,
        parts.sink,
        on_notice=notices.take,
        metrics=[MetricsListener(one, exposition) for one in for_metrics],
        upkeep=_upkeep(parts, kept, notices),
    )
    _watch(parts, running, kept)
    try:
        await running.run(on_ready)
    finally:
        await check.close()
        await kept.close()


def _password_check(parts: _Parts) -> PasswordChecker:
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


def _meeting(parts: _Parts, check: PasswordChecker, kept: KeptDoor) -> Meeting:
    settings, limits = parts.site.settings, parts.site.settings.limits
    oauth = settings.oauth
    gate = Gate(
        check=check,
        door=kept.door,
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
        holders=Holders(),
        sessions=Sessions(),
        certificate=parts.certificate.current,
        offers=Offers(scram_plus=settings.login.scram_plus, tokens=oauth is not None),
        on_command=parts.metrics.command,
    )


def _notices(parts: _Parts, check: PasswordChecker, sessions: Sessions, kept: KeptDoor) -> Notices:
    settled = parts.trail.settled
    changes, deeds = Changes(parts.database), BanNotes(parts.door_database)
    return Notices(
        check,
        sessions,
        kept.keeper,
        told_accounts=ToldNotes(parts.database, changes, event_of_change, parts.sink, settled),
        told_bans=ToldNotes(parts.door_database, deeds, event_of_ban, parts.sink, settled),
        sink=parts.sink,
    )


def _upkeep(parts: _Parts, kept: KeptDoor, notices: Notices) -> list[Upkeep]:
    upkeep = [
        Upkeep(kept.keeper.keep, KEPT_EVERY_S),
        Upkeep(notices.look_for_changes, CHANGES_EVERY_S),
    ]
    if days := parts.site.settings.login.disable_stale_after_d:
        directory = account_directory(parts.site, parts.database, by=POLICY)

        async def disable_stale() -> None:
            await parts.database.run(directory.disable_stale, days)
            await notices.look_at_account(None)

        upkeep.append(Upkeep(disable_stale, STALE_EVERY_S))
    return upkeep


def _watch(parts: _Parts, running: RunningSite, kept: KeptDoor) -> None:
    """Let the figures be looked up where they are."""
    watch = parts.metrics.watch
    watch(Reading.CONNECTIONS, lambda: running.connections)
    watch(Reading.BANS, lambda: sum(it.is_in_force(time.time()) for it in kept.door.bans()))
    watch(Reading.CHECKS_RUNNING, lambda: parts.hashing.running)
    watch(Reading.CHECKS_WAITING, lambda: parts.hashing.waiting)
    watch(Reading.TRAIL_QUEUE, lambda: parts.trail.waiting)


def run_loop(main: Coroutine[object, object, None]) -> None:
    """Run a coroutine in the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def tune_malloc() -> None:
    """Make glibc's malloc fit a server with a few threads; elsewhere nothing happens (mallopt(3)).

    One arena: each thread would otherwise keep what it once needed to open a big maildrop (12 MB a
    session of 100,000 messages instead of 9). And fixed thresholds: with those that glibc begins
    with, encrypting a megabyte costs three times as much, because its memory goes back to the
    kernel each time; with those that it learns, the 19 MiB of a password hash never do.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_OCTETS)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_OCTETS)
