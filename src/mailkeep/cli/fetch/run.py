"""`mailkeep fetch`: fetch accounts, once or again and again, or say what would be done."""

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.fetch.options import AccountOptions, MailOptions, with_mail
from mailkeep.cli.fetch.signature import with_options
from mailkeep.cli.talk import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mailkeep.fetch.events import Ended, Reporter
    from mailkeep.fetch.job import Job
    from mailkeep.fetch.many import Turn
    from mailkeep.fetch.run import Options

TargetsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="URL|ACCOUNT",
        help="pop3s://alice@mail.example.com, or accounts of fetch.toml; all of them without.",
    ),
]


@with_options(AccountOptions, "account")
@with_options(MailOptions, "mail")
def run(
    targets: TargetsArgument = None,
    *,
    mail: MailOptions,
    account: AccountOptions,
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Stay, and look again after this time: 5m."),
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Accounts at a time; 4 unless said.")
    ] = None,
    max_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End after this time; the rest comes the next time."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print events, one JSON a line.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what goes wrong.")] = False,
) -> int:
    """Fetch mail: each message once, into files of your own; nothing is deleted unless said."""
    from mailkeep.cli.fetch.choosing import choose
    from mailkeep.cli.fetch.running import run_until_stopped, told
    from mailkeep.cli.fetch.showing import choose_reporter
    from mailkeep.fetch.many import fetch_all
    from mailkeep.fetch.policy import parse_duration
    from mailkeep.fetch.run import Options

    with told():
        chosen = choose(targets or (), account, os.environ)
        jobs = [with_mail(job, mail) for job in chosen.jobs]
        interval = None if every is None else max(1, parse_duration(every))
        jobs = [replace(j, every_s=interval and (j.every_s or interval)) for j in jobs]
    _refuse_homeless(jobs)
    if dry_run:
        return _preview(jobs, chosen.state, account, json=json)
    _tell_of_destinations(jobs, chosen.state, quiet=json or quiet)
    with choose_reporter(json=json, quiet=quiet) as report:
        with told():
            options = Options(
                accept_change=account.accept_change,
                max_s=None if max_time is None else parse_duration(max_time),
            )
            turns = [_turn(job, chosen.state, options, report) for job in jobs]
        return run_until_stopped(
            lambda stop: fetch_all(
                [turn(stop) for turn in turns], parallel=parallel or chosen.parallel, stop=stop
            )
        )


def _tell_of_destinations(jobs: "Sequence[Job]", state: "Path", *, quiet: bool) -> None:
    """Say once where a crash may double a message."""
    from mailkeep.cli.fetch.running import told
    from mailkeep.cli.fetch.showing import describe_destinations
    from mailkeep.fetch.start import make_destinations
    from mailkeep.fetch.state_folder import AccountFolder

    with told():
        folders = [(job, AccountFolder.of(state, job.account.name)) for job in jobs]
        note = describe_destinations(
            [one for job, folder in folders for one in make_destinations(job, folder)]
        )
    if note and not quiet:
        say(f"note: {note}")


def _refuse_homeless(jobs: "Sequence[Job]") -> None:
    for job in jobs:
        if not job.destinations:
            raise CommandFailed(
                f"where shall the mail of {job.label} go?",
                hint="--to maildir:~/Mail/alice",
                code=ExitCode.WRONG,
            )


def _turn(
    job: "Job", state: "Path", options: "Options", report: "Reporter"
) -> "Callable[[asyncio.Event], Turn]":
    """Return what makes an account's turn once there is an event loop."""
    from mailkeep.cli.fetch.running import asker
    from mailkeep.fetch.many import Turn
    from mailkeep.fetch.start import login_source, make_run

    login = login_source(job, ask=asker(), warn=say)

    def make(stop: asyncio.Event) -> Turn:
        delays = [0]

        async def fetch() -> "Ended":
            one = make_run(job, state, login, report, replace(options, stop=stop))
            ended = await one.fetch()
            delays[0] = one.login_delay_s
            return ended

        return Turn(fetch, lambda: delays[0], job.every_s)

    return make


def _preview(jobs: "Sequence[Job]", state: "Path", account: AccountOptions, *, json: bool) -> int:
    """Print what a run would do, account by account."""
    from mailkeep.cli.fetch.preview import show_preview
    from mailkeep.cli.fetch.running import asker, run_to_end, told
    from mailkeep.fetch.run import Options
    from mailkeep.fetch.start import login_source, make_run

    for job in jobs:
        with told():
            login = login_source(job, ask=asker(), warn=say)
            options = Options(accept_change=account.accept_change)
            one = make_run(job, state, login, lambda _account, _event: None, options)
        show_preview(job.account.name, run_to_end(one.preview()), json=json)
    return ExitCode.DONE
