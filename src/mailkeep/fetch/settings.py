"""`fetch.toml`: the accounts to fetch, from a file to jobs, or to one line that says what is wrong.

The file holds no secret, so everybody may read it; but it names commands that are run, so nobody
else may change it. Paths in it are absolute or begin with `~/`: a timer starts in another folder
than a person does.

Known limit: a destination is looked at only as far as a relative path would be wrong; the rest is
said by who opens it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.job import Job
from mailkeep.fetch.pins import parse_pin
from mailkeep.fetch.secret_files import OTHERS_WRITE, open_trusted
from mailkeep.fetch.settings_jobs import absolute_path, make_job
from mailkeep.fetch.settings_tables import PARALLEL, AccountTable, SettingsTable
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


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """What the settings file says.

    Attributes:
        parallel: accounts at a time, one session each.
        state: where journals are; None for the usual place (see `state_folder`).
        jobs: the accounts to fetch, in the order of the file.
        disabled: labels of the accounts with `enabled = false`.
    """

    parallel: int = PARALLEL
    state: Path | None = None
    jobs: tuple[Job, ...] = ()
    disabled: tuple[str, ...] = ()


def settings_path(environment: Mapping[str, str]) -> Path:
    """Return where the settings are: `~/.config/mailkeep/fetch.toml`.

    Source: XDG Base Directory Specification.

    Args:
        environment: of the process.
    """
    return _base(environment, "XDG_CONFIG_HOME", ".config") / "mailkeep" / "fetch.toml"


def state_folder(environment: Mapping[str, str], said: Path | None) -> Path:
    """Return the folder for journals, which whoever uses it makes with mode 0700.

    Source: XDG Base Directory Specification.

    Args:
        environment: of the process.
        said: by an option or the settings; else it is `~/.local/state/mailkeep/fetch`.
    """
    if said is not None:
        return said
    return _base(environment, "XDG_STATE_HOME", ".local/state") / "mailkeep" / "fetch"


def _base(environment: Mapping[str, str], variable: str, usual: str) -> Path:
    said = Path(environment.get(variable, ""))
    if said.is_absolute():  # the specification: a relative path is to be ignored
        return said
    home = environment.get("HOME")
    return (Path(home) if home else Path.home()) / usual


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
