"""`mailkeep events`: what happened on the site, what an intruder got, and whether it is true.

Reads the audit trail while the server writes it; nothing here changes it. All times are UTC.
"""

import difflib
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.cli.arguments import AddressArgument, JsonOption
from mailkeep.cli.events_times import read_time, show_time
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import open_site, read_address
from mailkeep.cli.talk import printable, show, show_json
from mailkeep.events import EventType
from mailkeep.events.exporting import Format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailkeep.database.engine import Database
    from mailkeep.events.records import Record
    from mailkeep.events.verifying import Broken, Verified
    from mailkeep.site import Site
    from mailkeep.values import Address

commands = typer.Typer(
    help="Show what happened; report on a break-in; verify and export the audit trail."
)

FOLLOW_PAUSE_S = 0.5
"""Between two looks at the table: the server writes every fifth of a second."""

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="T", help="2026-11-22, 2026-11-22T08:44, 90m, 12h or 30d."),
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="T", help="The same.")]


@commands.callback(invoke_without_command=True)
def events(  # noqa: PLR0917  # the options of a command line
    context: typer.Context,
    account: Annotated[
        str | None, typer.Option("--account", metavar="A", help="Of one account only.")
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="X", help="login-refused; may be given again."),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="S", help="Of one session only.")
    ] = None,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what happens, until Ctrl-C.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List events, oldest first; with --json one object a line."""
    if context.invoked_subcommand is not None:
        return
    from mailkeep.events.queries import Question, follow_events, read_events

    site = open_site(context)
    now = datetime.now(UTC)
    address = None if account is None else read_address(site, account)
    question = Question(
        account=str(address) if address else None,
        names=_names(site, address) if address else (),
        since=read_time(since, now=now) if since else None,
        until=read_time(until, now=now) if until else None,
        types=[_read_type(text) for text in types or ()],
        session=session,
    )
    with open_events(site) as database:
        found = (
            follow_events(database, question, _pause) if follow else read_events(database, question)
        )
        for record in found:
            show(_json_line(record) if json else _human_line(record))


@commands.command("report")
def report_on(
    context: typer.Context,
    address: AddressArgument,
    since: SinceOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Tell what each session of an account was sent and removed, and what can be brought back."""
    from mailkeep.cli.events_report import describe_report, report_lines
    from mailkeep.events.queries import Question, read_events
    from mailkeep.events.report import report

    site = open_site(context)
    named = read_address(site, address)
    at = read_time(since, now=datetime.now(UTC)) if since else None
    names = _names(site, named)
    question = Question(account=str(named), names=names, since=at, whole_sessions=True)
    with open_events(site) as database:
        found = report(read_events(database, question), str(named), at, names=names)
    if json:
        show_json(describe_report(found))
        return
    for line in report_lines(found):
        show(printable(line))


@commands.command("verify")
def verify(
    context: typer.Context,
    witness: Annotated[
        Path | None,
        typer.Option(
            "--witness",
            metavar="FILE",
            help="A copy of SITE/trail/checkpoints that lay on another machine.",
        ),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", metavar="FILE", help="A copy of SITE/trail/signing.pub."),
    ] = None,
    *,
    json: JsonOption = False,
) -> None:
    """Verify the audit trail; name the first record that is not as it was written."""
    from mailkeep.events.verifying import Broken, verify_trail

    site = open_site(context)
    _refuse_missing(site)
    own = site.trail / "checkpoints"
    copy = witness or (own if own.exists() else None)
    try:
        found = verify_trail(site.trail, public_key, copy)
    except ValueError as cause:
        raise CommandFailed(str(cause), code=ExitCode.WRONG) from cause
    if json:
        show_json(_describe_verified(found))
    if isinstance(found, Broken):
        raise CommandFailed(
            f"record {found.seq} ({found.file}, line {found.line}): {found.reason}",
            hint="compare it with a backup of the trail; what stands before it is as it was",
        )
    if not json:
        show(
            f"as they were written: {found.events} events; checkpoints: {found.checkpoints};"
            f" not signed yet: {found.unsigned}"
        )


@commands.command("export")
def export(
    context: typer.Context,
    form: Annotated[Format, typer.Option("--format", help="What the other program reads.")],
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Write events for another program, one JSON object a line."""
    from importlib.metadata import version

    from mailkeep.events.exporting import export_line
    from mailkeep.events.ocsf import Source
    from mailkeep.events.queries import Question, read_events

    site = open_site(context)
    now = datetime.now(UTC)
    question = Question(
        since=read_time(since, now=now) if since else None,
        until=read_time(until, now=now) if until else None,
    )
    source = Source(site.settings.hostname, version("mailkeep"))
    with open_events(site) as database:
        for record in read_events(database, question):
            show(export_line(record, form, source))


@contextmanager
def open_events(site: "Site") -> "Iterator[Database]":
    """Open a site's table of events, with what a crash may have kept out of it.

    Raises:
        CommandFailed: nothing has happened yet.
        DatabaseUnavailable: it cannot be read.
    """
    from mailkeep.events.trail_database import open_trail_database

    _refuse_missing(site)
    database = open_trail_database(site.events_database, site.trail)
    try:
        yield database
    finally:
        database.close()


def _refuse_missing(site: "Site") -> None:
    if not site.trail.exists():
        raise CommandFailed(
            f"there is no audit trail in {site.folder} yet", hint="mailkeep serve begins one"
        )


def _names(site: "Site", address: "Address") -> tuple[str, ...]:
    """Return what an account may be called by who logs in."""
    if address.domain == site.settings.default_domain:
        return str(address), address.local
    return (str(address),)


def _read_type(text: str) -> str:
    name = text.replace("-", " ").lower()
    known = [event_type.value for event_type in EventType]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise CommandFailed(
            f"there is no event {text}",
            hint=f"did you mean {near[0].replace(' ', '-')}?" if near else None,
            code=ExitCode.WRONG,
        )
    return name


def _pause() -> bool:
    import time

    time.sleep(FOLLOW_PAUSE_S)
    return True


def _human_line(record: "Record") -> str:
    told = " ".join(f"{name}={_quoted(record.fields[name])}" for name in _in_order(record))
    return printable(f"{show_time(record.at)}  {record.type:<20}  {told}".rstrip())


def _in_order(record: "Record") -> list[str]:
    """Put last what a stranger wrote: it may read like other fields."""
    return sorted(record.fields, key=lambda name: name == "name")


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c in " ='\"" for c in text) else text


def _json_line(record: "Record") -> str:
    import json

    from mailkeep.events.records import time_text

    first = {"seq": record.seq, "time": time_text(record.at), "event": record.type}
    return json.dumps(first | dict(record.fields), separators=(",", ":"))


def _describe_verified(found: "Verified | Broken") -> dict[str, object]:
    from dataclasses import asdict

    from mailkeep.events.verifying import Verified

    return {"verified": isinstance(found, Verified)} | asdict(found)
