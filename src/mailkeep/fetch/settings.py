"""`fetch.toml`: the accounts to fetch, from a file to jobs, or to one line that says what is wrong.

The file holds no secret, so everybody may read it; but it names commands that are run, so nobody
else may change it. Paths in it are absolute or begin with `~/`: a timer starts in another folder
than a person does.

Known limit: a destination is looked at only as far as a relative path would be wrong; the rest is
said by who opens it.
"""

import re
from pathlib import Path

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.job import FetchSettings, Job
from mailkeep.fetch.pins import parse_pin
from mailkeep.fetch.places import settings_path, state_folder
from mailkeep.fetch.secret_files import OTHERS_WRITE, open_trusted
from mailkeep.fetch.settings_jobs import absolute_path, make_job
from mailkeep.fetch.settings_tables import AccountTable, SettingsTable
from mailkeep.fetch.settings_text import SettingsText

__all__ = [
    "SUBCOMMANDS",
    "FetchSettings",
    "parse_pin",
    "parse_settings",
    "read_settings",
    "settings_path",
    "state_folder",
]

SUBCOMMANDS = frozenset({"run", "list", "status", "probe", "login", "import", "state"})
"""Of `mailkeep fetch`: an account with such a name could not be called."""

_LIMIT_OCTETS = 1 << 20
"""Room for thousands of accounts."""


def read_settings(path: Path) -> FetchSettings:
    """Return what a settings file says.

    Raises:
        WrongSettings: it is missing, cannot be used, or somebody else can change it.
    """
    if not path.exists():
        raise WrongSettings(
            f"{path} does not exist",
            hint="name an account: mailkeep fetch pop3s://alice@mail.example.com"
            " --to maildir:~/Mail/alice; or write this file",
        )
    with open_trusted(path, forbidden=OTHERS_WRITE) as file:
        octets = file.read(_LIMIT_OCTETS + 1)
    if len(octets) > _LIMIT_OCTETS:
        raise WrongSettings(f"{path} is larger than {_LIMIT_OCTETS} octets")
    try:
        text = octets.decode()
    except UnicodeDecodeError as cause:
        line = octets.count(b"\n", 0, cause.start) + 1
        raise WrongSettings(f"{path}:{line}: this is not UTF-8, and TOML is") from cause
    return parse_settings(text.replace("\r\n", "\n"), source=str(path))


def parse_settings(text: str, *, source: str) -> FetchSettings:
    """Return what the text of a settings file says.

    Args:
        text: TOML.
        source: the file's name, for errors.

    Raises:
        WrongSettings: it cannot be used.
    """
    settings = SettingsText(text, source)
    raw = settings.parse()
    accounts = raw.pop("accounts", {})
    top = settings.convert(raw, SettingsTable, ())
    if not isinstance(accounts, dict):
        raise settings.wrong(("accounts",), "expected a table", "write [accounts.NAME]")
    state = None
    if top.state is not None:
        with settings.at(("state",)):
            state = absolute_path(top.state)
    jobs, disabled = _read_accounts(settings, accounts)
    return FetchSettings(top.parallel, state, jobs, disabled)


def _read_accounts(
    settings: SettingsText, accounts: dict[str, object]
) -> tuple[tuple[Job, ...], tuple[str, ...]]:
    """Return the jobs, and the labels of those that are switched off."""
    jobs: dict[str, Job] = {}
    disabled: list[str] = []
    for label, raw in accounts.items():
        place = ("accounts", label)
        with settings.at(place):
            _check_label(label)
        table = settings.convert(raw, AccountTable, place)
        job = make_job(settings, label, table)
        if twin := jobs.get(job.account.name):
            raise settings.wrong(
                (*place, "url"),
                f"{job.account.name} is fetched as `{twin.label}` already",
                "one account, several destinations: list them in `to`",
            )
        jobs[job.account.name] = job
        if not table.enabled:
            disabled.append(label)
    return tuple(job for job in jobs.values() if job.label not in disabled), tuple(disabled)


def _check_label(label: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.@][A-Za-z0-9_.@-]{0,63}", label):
        raise WrongSettings(
            "an account's name has letters, digits, hyphens, dots, @ and _",
            hint="it begins with another sign than a hyphen, and has 64 at most",
        )
    if label in SUBCOMMANDS:
        raise WrongSettings(
            f"`mailkeep fetch {label}` is a command, so no account can have this name"
        )
