"""Which accounts a command is about: a URL, names of the settings file, or all of that file."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mailkeep.cli.talk import say
from mailkeep.fetch.account import parse_url
from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.job import FetchSettings, Job
from mailkeep.fetch.places import settings_path, state_folder
from mailkeep.fetch.policy import Policy
from mailkeep.fetch.secret_sources import Prompt

if TYPE_CHECKING:
    from mailkeep.cli.fetch.options import AccountOptions
    from mailkeep.fetch.run import LoginSource
    from mailkeep.fetch.state_folder import AccountFolder


@dataclass(frozen=True, slots=True)
class Chosen:
    """The accounts, and what the settings say for all of them."""

    jobs: tuple[Job, ...]
    state: Path
    parallel: int


def choose(
    targets: Sequence[str], options: "AccountOptions", environment: Mapping[str, str]
) -> Chosen:
    """Return the accounts that were named.

    Args:
        targets: one URL, or labels or `user@host` of accounts in the settings; empty for all.
        options: that change how they are reached.
        environment: of the process.

    Raises:
        WrongSettings: there is no such account, or the settings cannot be used.
    """
    path = options.config or settings_path(environment)
    if any("://" in target for target in targets):
        if len(targets) > 1:
            raise WrongSettings("one URL at a time", hint=f"several accounts belong into {path}")
        settings = FetchSettings()
        jobs: tuple[Job, ...] = (_job_of(targets[0]),)
    else:
        if not path.exists() and (address := next(filter(_is_address, targets), None)):
            raise WrongSettings(f"{address} is no URL", hint=f"write {_as_url(address)}")
        from mailkeep.fetch.settings import read_settings

        settings = read_settings(path)
        jobs = _named(targets, settings, path)
    said = options.state or settings.state
    jobs = tuple(
        replace(
            job,
            account=options.apply(job.account),
            secret=options.secret(job.account) or job.secret,
        )
        for job in jobs
    )
    return Chosen(jobs, state_folder(environment, said), settings.parallel)


def choose_logins(
    targets: Sequence[str], options: "AccountOptions"
) -> "Iterator[tuple[Job, AccountFolder, LoginSource]]":
    """Yield each chosen account with the folder of its state, and what reads its secret.

    Raises:
        CommandFailed: there is no such account, or its secret cannot be read.
    """
    from mailkeep.cli.fetch.running import asker, told
    from mailkeep.fetch.start import login_source
    from mailkeep.fetch.state_folder import AccountFolder

    with told():
        chosen = choose(targets, options, os.environ)
    for job in chosen.jobs:
        with told():
            source = login_source(job, ask=asker(), warn=say)
        yield job, AccountFolder.of(chosen.state, job.account.name), source


def _job_of(url: str) -> Job:
    account = parse_url(url)
    return Job(account.name, account, Policy(), (), Prompt())


def _is_address(target: str) -> bool:
    """Tell whether somebody has probably left `pop3s://` out."""
    return "@" in target or "." in target


def _as_url(address: str) -> str:
    return f"pop3s://{address if '@' in address else f'alice@{address}'}"


def _named(targets: Sequence[str], settings: FetchSettings, path: Path) -> tuple[Job, ...]:
    if not targets:
        if not settings.jobs:
            raise WrongSettings(f"{path} has no account to fetch")
        return settings.jobs
    by_name = {job.account.name: job for job in settings.jobs}
    by_name |= {job.label: job for job in settings.jobs}
    for target in targets:
        if target in settings.disabled:
            raise WrongSettings(f"{target} has enabled = false in {path}")
        if target not in by_name:
            known = ", ".join(job.label for job in settings.jobs) or "none"
            address = f"; or write {_as_url(target)}" if _is_address(target) else ""
            raise WrongSettings(
                f"there is no account {target} in {path}", hint=f"known: {known}{address}"
            )
    return tuple(dict.fromkeys(by_name[target] for target in targets))
