"""Putting a server together, and running it: all in this process, or with workers."""

import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from mailkeep.accounts.changes import POLICY, Changes
from mailkeep.accounts.hashing import hashing_threads
from mailkeep.accounts.tables import SCHEMA
from mailkeep.app.door import KeptDoor, make_door
from mailkeep.app.mail_parts import (
    MailParts,
    check_mail_parts,
    make_meeting,
    make_password_check,
    open_mail_parts,
)
from mailkeep.app.notices import (
    Notices,
    Recheck,
    RecheckHere,
    ToldNotes,
    event_of_ban,
    event_of_change,
)
from mailkeep.app.opening import account_directory
from mailkeep.app.process import cores, run_process
from mailkeep.app.working import launch_worker
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.defence.ban_notes import BanNotes
from mailkeep.defence.keeping import EVERY_S as KEPT_EVERY_S
from mailkeep.defence.tables import SCHEMA as DOOR_SCHEMA
from mailkeep.events import EventSink
from mailkeep.events.failed_logins import open_failed_logins
from mailkeep.events.fanout import Sinks
from mailkeep.events.forwarding import unpack
from mailkeep.events.gathering import GatheringSink
from mailkeep.events.log import GATHERED_S, LogSink, Style
from mailkeep.events.metrics import CONTENT_TYPE, MetricsSink, Reading
from mailkeep.events.trail import Trail, open_trail
from mailkeep.server import (
    Control,
    Ears,
    Holders,
    Inherited,
    Listener,
    OnReady,
    RunningSite,
    Serving,
    ServingHere,
    SiteCertificate,
    Upkeep,
    Workers,
    inherit_sockets,
    open_listeners,
    share_listeners,
)
from mailkeep.server.metrics_listener import Exposition, MetricsListener
from mailkeep.site import Endpoint, Service, Site

CHANGES_EVERY_S = 5.0
"""How often changes that no notice came about are looked for: one query."""

STALE_EVERY_S = 3600.0
"""How often accounts that nobody uses are looked for: days are counted."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What there is one of however many serve mail; open before the event loop runs."""

    site: Site
    database: Database
    door_database: Database
    certificate: SiteCertificate
    sink: EventSink
    log: LogSink
    metrics: MetricsSink
    trail: Trail


@dataclass(frozen=True, slots=True)
class _Mail:
    """Who serves the mail."""

    serving: Serving
    recheck: Recheck
    checks_running: Callable[[], float]
    checks_waiting: Callable[[], float]
    close: Callable[[], Awaitable[None]]


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
    inherited = [*inherit_sockets(os.environ), *inherited]
    listeners = open_listeners(site.settings.listen, inherited)
    workers = site.settings.serve.workers or cores()
    with contextlib.ExitStack() as closing:
        for listener in listeners:
            closing.callback(listener.socket.close)
        for_mail = [one for one in listeners if one.settings.service is not Service.METRICS]
        for_metrics = [one for one in listeners if one.settings.service is Service.METRICS]
        shared = share_listeners(for_mail, inherited, workers)
        for listener in (one for each in shared for one in each):
            closing.callback(listener.socket.close)
        parts = _open_parts(site, closing)
        make_mail = _with_workers(parts) if workers > 1 else _without_workers(parts, closing)
        run_process(_run(parts, shared, for_metrics, on_ready, make_mail))


def _open_parts(site: Site, closing: contextlib.ExitStack) -> _Parts:
    """Open what a server stands on; what is opened is closed in the reverse order."""
    database = open_database(site.database, SCHEMA, create=False)
    closing.callback(database.close)
    door_database = open_database(site.door_database, DOOR_SCHEMA, create=True)
    closing.callback(door_database.close)
    log = LogSink(Style(site.settings.log.style.value), gathered_s=GATHERED_S)
    closing.callback(log.close)
    metrics = MetricsSink()
    trail = open_trail(site.trail, site.events_database, Sinks(log, metrics))
    closing.callback(trail.close)
    sinks: list[EventSink] = [trail, log, metrics]
    if site.settings.log.failed_logins:
        sinks.append(open_failed_logins(site.settings.log.failed_logins, site.folder))
    sink = Sinks(*sinks)
    certificate = SiteCertificate(site, sink)
    return _Parts(site, database, door_database, certificate, sink, log, metrics, trail)


_MakeMail = Callable[[_Parts, Sequence[Sequence[Listener]], KeptDoor], Awaitable[_Mail]]


async def _run(
    parts: _Parts,
    listeners: Sequence[Sequence[Listener]],
    for_metrics: Sequence[Listener],
    on_ready: OnReady,
    make_mail: _MakeMail,
) -> None:
    """Serve until a signal says to stop, then write down what was learnt."""
    kept = make_door(parts.site, parts.door_database, parts.sink)
    mail = await make_mail(parts, listeners, kept)
    notices = _notices(parts, mail.recheck, kept)
    settings = parts.site.settings
    counts_each_login = settings.limits.login_delay_s or settings.door.policy_server
    control = Control(parts.site.control, notices.take, kept.door, lasts=not counts_each_login)
    notices.on_change = control.take_everything_back
    exposition = Exposition(parts.metrics.exposition, CONTENT_TYPE)
    running = RunningSite(
        parts.site,
        mail.serving,
        parts.certificate,
        parts.sink,
        control=control,
        metrics=[MetricsListener(one, exposition) for one in for_metrics],
        upkeep=_upkeep(parts, kept, notices),
    )
    _watch(parts, mail, kept)

    def announce(listening: Sequence[tuple[Service, Endpoint]]) -> None:
        parts.log.flush()  # its thread would write into the middle of what is said now
        on_ready(listening)

    try:
        await running.run(announce)
    finally:
        await mail.close()
        await kept.close()


def _without_workers(parts: _Parts, closing: contextlib.ExitStack) -> _MakeMail:
    """Serve mail in this process."""
    key, database, hashing = open_mail_parts(parts.site, closing, threads=hashing_threads())
    sink = GatheringSink(parts.sink)
    closing.callback(sink.flush)
    mail_parts = MailParts(
        parts.site, key, database, hashing, parts.certificate, sink, parts.metrics.command
    )

    async def make(
        _parts: _Parts, listeners: Sequence[Sequence[Listener]], kept: KeptDoor
    ) -> _Mail:
        check = make_password_check(mail_parts)
        await check.look_again()
        meeting = make_meeting(mail_parts, check, kept.door, Holders())
        return _Mail(
            ServingHere(listeners[0], meeting, sink),
            RecheckHere(check, meeting.sessions, sink),
            lambda: hashing.running,
            lambda: hashing.waiting,
            check.close,
        )

    return make


def _with_workers(parts: _Parts) -> _MakeMail:
    """Serve mail in workers, which ask the door over the control socket."""
    check_mail_parts(parts.site)

    async def make(
        parts: _Parts, listeners: Sequence[Sequence[Listener]], _kept: KeptDoor
    ) -> _Mail:
        ears = Ears(parts.sink, unpack, parts.metrics.command)
        workers = Workers(parts.site, version("mailkeep"), listeners, launch_worker, ears)
        return _Mail(
            workers,
            workers,
            lambda: workers.checks_running,
            lambda: workers.checks_waiting,
            _nothing_to_close,
        )

    return make


async def _nothing_to_close() -> None:
    return


def _notices(parts: _Parts, recheck: Recheck, kept: KeptDoor) -> Notices:
    settled = parts.trail.settled
    changes, deeds = Changes(parts.database), BanNotes(parts.door_database)
    return Notices(
        recheck,
        kept.keeper,
        told_accounts=ToldNotes(parts.database, changes, event_of_change, parts.sink, settled),
        told_bans=ToldNotes(parts.door_database, deeds, event_of_ban, parts.sink, settled),
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


def _watch(parts: _Parts, mail: _Mail, kept: KeptDoor) -> None:
    """Let the figures be looked up where they are."""
    watch = parts.metrics.watch
    watch(Reading.CONNECTIONS, lambda: mail.serving.connections)
    watch(Reading.BANS, lambda: sum(it.is_in_force(time.time()) for it in kept.door.bans()))
    watch(Reading.CHECKS_RUNNING, mail.checks_running)
    watch(Reading.CHECKS_WAITING, mail.checks_waiting)
    watch(Reading.TRAIL_QUEUE, lambda: parts.trail.waiting)
