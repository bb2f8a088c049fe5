"""From what settings say to a run that can begin: destinations, folders, the login."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailkeep.fetch.account import Account
from mailkeep.fetch.events import Reporter
from mailkeep.fetch.job import Job
from mailkeep.fetch.run import AccountRun, LoginSource, Options
from mailkeep.fetch.secret_sources import Ask, Prompt, StandardInput, is_token, read_secret
from mailkeep.fetch.state_folder import AccountFolder
from mailkeep.sasl import Login
from mailkeep.values import Secret

if TYPE_CHECKING:
    from mailkeep.fetch.destinations import Destination


def make_run(
    job: Job, state: Path, login: LoginSource, report: Reporter, options: Options
) -> AccountRun:
    """Return one account's run; its destinations are made when they are needed."""
    folder = AccountFolder.of(state, job.account.name)

    def destinations() -> "Sequence[Destination]":
        return make_destinations(job, folder)

    return AccountRun(job.account, job.policy, destinations, folder, login, report, options)


def make_destinations(job: Job, folder: AccountFolder) -> "list[Destination]":
    """Return an account's destinations.

    Raises:
        WrongSettings: one of them is none.
    """
    from mailkeep.fetch.destinations import parse_destination

    recipient = job.recipient or recipient_of(job.account)
    return [
        parse_destination(text, recipient=recipient, spool=folder.spool)
        for text in dict.fromkeys(job.destinations)
    ]


def recipient_of(account: Account) -> str:
    """Return whom LMTP is told when nobody said: the user name, as an address."""
    return account.user if "@" in account.user else account.name


def login_source(job: Job, *, ask: Ask | None, warn: Callable[[str], None]) -> LoginSource:
    """Return what reads the secret of an account, off the loop.

    A token is read anew before every connection, because it may have expired; a password is read
    once. What a person types or pipes in is read at once, one account after the other.

    Raises:
        WrongSettings: it cannot be read there.
    """
    kept: list[Secret] = []

    def read() -> Secret:
        if job.account.mechanism == "EXTERNAL":  # the client's certificate says who it is
            return Secret(b"")
        if not kept or is_token(job.secret):
            kept[:] = [read_secret(job.secret, job.account, ask=ask, warn=warn)]
        return kept[0]

    async def login() -> Login:
        secret = await asyncio.to_thread(read)
        return Login(job.account.user, secret, is_token=is_token(job.secret))

    if isinstance(job.secret, Prompt | StandardInput):
        read()
    return login
