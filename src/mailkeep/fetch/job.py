"""What one account's fetch needs to start: where, what, into what, and where its secret is.

It holds no secret, only where one is read, so it may be printed and compared.
"""

from dataclasses import dataclass
from pathlib import Path

from mailkeep.fetch.account import Account
from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.policy import Policy
from mailkeep.fetch.secret_sources import SecretSource

PARALLEL = 4
"""Sessions at a time: enough to hide the slow ones, few enough for one host's limit."""


_DESTINATION_HINT = "write maildir:PATH, mbox:FILE, dir:FOLDER, pipe:COMMAND or lmtp:HOST:PORT"
_DESTINATION_KINDS = frozenset({"maildir", "mbox", "dir", "pipe", "lmtp"})


def check_destination(text: str) -> None:
    """See that a text can be a destination, before anybody is asked for a password.

    Raises:
        WrongSettings: it names no kind that there is, or nothing behind the kind.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _DESTINATION_KINDS:
        raise WrongSettings(f"{text} is no destination", hint=_DESTINATION_HINT)
    if not rest.strip() or "\0" in rest:
        raise WrongSettings(f"{kind}: says nothing behind the colon", hint=_DESTINATION_HINT)


@dataclass(frozen=True, slots=True)
class Job:
    """One account to fetch.

    Attributes:
        label: the account's name in the settings file, or `user@host`.
        destinations: texts such as `maildir:/home/a/Mail`, with `~` expanded; at least one.
        secret: where the password or the token is read when it is needed.
        recipient: whom LMTP is told; None where nothing was said.
        every_s: poll again after so many seconds; None for once.
    """

    label: str
    account: Account
    policy: Policy
    destinations: tuple[str, ...]
    secret: SecretSource
    recipient: str | None = None
    every_s: int | None = None


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """What the settings file says.

    Attributes:
        parallel: accounts at a time, one session each.
        state: where journals are; None for the usual place (see `mailkeep.fetch.places`).
        jobs: the accounts to fetch, in the order of the file.
        disabled: labels of the accounts with `enabled = false`.
    """

    parallel: int = PARALLEL
    state: Path | None = None
    jobs: tuple[Job, ...] = ()
    disabled: tuple[str, ...] = ()
