"""`mailkeep fetch`: fetch accounts, once or again and again, or say what would be done."""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.fetch.arguments import argument, at_least, group, option, switch
from mailkeep.cli.fetch.options import TARGETS, AccountOptions, MailOptions, with_mail
from mailkeep.cli.talk import say

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mailkeep.fetch.events import Ended, Reporter
    from mailkeep.fetch.job import Job
    from mailkeep.fetch.many import Turn
    from mailkeep.fetch.run import Options


@dataclass(frozen=True, slots=True)
class RunOptions:
    """All of `mailkeep fetch run`."""

    targets: list[str] = argument("targets", "URL|ACCOUNT", TARGETS, count="*")
    every: str | None = option("--every", "TIME", "Stay, and look again after this time: 5m.")
    parallel: int | None = option(
        "--parallel", "N", "Accounts at a time; 4 unless said.", convert=at_least(1)
    )
    max_time: str | None = option(
        "--max-time", "TIME", "End after this time; the rest comes the next time."
    )
    retry: bool = switch("--retry", "Ask again for messages that are in quarantine.")
    dry_run: bool = switch("--dry-run", "Print what would be done, and do nothing.")
    json: bool = switch("--json", "Print events, one JSON a line.")
    quiet: bool = switch("--quiet", "Say only what goes wrong.")
    mail: MailOptions = group(MailOptions, "the mail")
    account: AccountOptions = group(AccountOptions, "the account")


def run(options: RunOptions) -> int:
    """Fetch mail: each message once, into files of your own; nothing is deleted unless said."""
    from mailkeep.cli.fetch.choosing import choose
    from mailkeep.cli.fetch.running import run_until_stopped, told
    from mailkeep.cli.fetch.showing import choose_reporter
    from mailkeep.fetch.many import fetch_all
    from mailkeep.fetch.policy import parse_duration
    from mailkeep.fetch.run import Options

    with told():
        chosen = choose(options.targets, options.account, os.environ)
        jobs = [with_mail(job, options.mail) for job in chosen.jobs]
        every = None if options.every is None else max(1, parse_duration(options.every))
        jobs = [replace(job, every_s=every and (job.every_s or every)) for job in jobs]
        max_s = None if options.max_time is None else parse_duration(options.max_time)
        _check_destinations(jobs)
    if options.dry_run:
        return _preview(jobs, chosen.state, options)
    _tell_of_destinations(jobs, quiet=options.json or options.quiet)
    settings = Options(
        accept_change=options.account.accept_change, retry=options.retry, max_s=max_s
    )
    with told():  # passwords are typed before a bar is drawn
        make_turns = [_turn(job, chosen.state, settings) for job in jobs]
    parallel = options.parallel or chosen.parallel
    with choose_reporter(json=options.json, quiet=options.quiet) as report:
        return run_until_stopped(
            lambda stop: fetch_all(
                [make(report, stop) for make in make_turns], parallel=parallel, stop=stop
            )
        )


def _tell_of_destinations(jobs: "Sequence[Job]", *, quiet: bool) -> None:
    """Say once where a crash may double a message."""
    from mailkeep.cli.fetch.showing import describe_destinations

    note = describe_destinations([text for job in jobs for text in job.destinations])
    if note and not quiet:
        say(f"note: {note}")


def _check_destinations(jobs: "Sequence[Job]") -> None:
    from mailkeep.fetch.job import check_destination

    for job in jobs:
        for text in job.destinations:
            check_destination(text)
        if not job.destinations:
            raise CommandFailed(
                f"where shall the mail of {job.label} go?",
                hint="say it: --to maildir:~/Mail/alice",
                code=ExitCode.WRONG,
            )


def _turn(
    job: "Job", state: "Path", options: "Options"
) -> "Callable[[Reporter, asyncio.Event], Turn]":
    """Return what makes an account's turn once there is an event loop; its secret is at hand."""
    from mailkeep.cli.fetch.running import asker
    from mailkeep.fetch.many import Turn
    from mailkeep.fetch.start import login_source, make_run

    login = login_source(job, ask=asker(), warn=say)

    def make(report: "Reporter", stop: "asyncio.Event") -> Turn:
        delays = [0]

        async def fetch() -> "Ended":
            one = make_run(job, state, login, report, replace(options, stop=stop))
            ended = await one.fetch()
            delays[0] = one.login_delay_s
            return ended

        return Turn(fetch, lambda: delays[0], job.every_s)

    return make


def _preview(jobs: "Sequence[Job]", state: "Path", options: RunOptions) -> int:
    """Print what a run would do, account by account."""
    from mailkeep.cli.fetch.preview import show_preview
    from mailkeep.cli.fetch.running import asker, run_to_end, told
    from mailkeep.fetch.run import Options
    from mailkeep.fetch.start import login_source, make_run

    settings = Options(accept_change=options.account.accept_change)
    for job in jobs:
        with told():
            login = login_source(job, ask=asker(), warn=say)
        one = make_run(job, state, login, lambda _account, _event: None, settings)
        show_preview(job.account.name, run_to_end(one.preview()), json=options.json)
    return ExitCode.DONE
