"""`mailkeep init`: make a site.

`mailkeep.toml` is written last, in one step: a folder without it is no site yet, so an `init` that
was interrupted can be run again, and one that is run on a site changes nothing.
"""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import site_option
from mailkeep.cli.talk import say
from mailkeep.site import (
    SETTINGS_NAME,
    SITE_DEFAULT,
    SITE_VARIABLE,
    Service,
    Settings,
    Site,
    check_owner,
    parse_settings,
)

_FOLDERS = ("mail", "index", "run")

_DATABASE = ("mailkeep.db", "mailkeep.db-wal", "mailkeep.db-shm")
_MAY_BE_THERE = {*_FOLDERS, *_DATABASE, "site.key", "tls", "mailkeep.toml.new", "lost+found"}
"""What an interrupted `init` leaves, mail that waits for its site, a file system's own folder."""

_HEAD = """\
# Settings of this Mailkeep site. Everything that is not set has a safe default; all keys are
# described in docs/settings.md. `mailkeep doctor` checks this file, and `mailkeep serve` takes
# changes on SIGHUP.

hostname = {hostname}  # what clients connect to
# default_domain = "example.com"  # what a name without @ belongs to; the hostname unless set
"""

_LISTEN = """
[[listen]]
service = "{service}"
address = "{address}"
"""

_TAIL = """
# [tls]                              # a certificate that everybody trusts, for example certbot's
# certificate = "tls/fullchain.pem"
# key = "tls/privkey.pem"

# [maildrops]                        # an existing tree of Maildirs that belongs to this user
# path = "mail/{domain}/{local}"
"""


def init(
    context: typer.Context,
    hostname: Annotated[
        str, typer.Option(metavar="NAME", help="The name that clients connect to.")
    ],
    pop3s: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDR:PORT",
            help="Speak POP3S here; more than one is fine. Otherwise on port 995 everywhere.",
        ),
    ] = None,
    pop3: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDR:PORT",
            help="Speak POP3 with STLS here; more than one is fine. Otherwise nowhere.",
        ),
    ] = None,
) -> None:
    """Make a site: its folder, settings, certificate and empty database."""
    said = site_option(context).said or os.environ.get(SITE_VARIABLE) or SITE_DEFAULT
    folder = Path.cwd() / said
    listeners = [(Service.POP3S, address) for address in pop3s or ()]
    listeners += [(Service.POP3, address) for address in pop3 or ()]
    make_site(folder, settings_text(hostname, listeners))
    say(f"made the site {folder}")
    if os.geteuid() == 0:
        say("it belongs to root, so everything will run as root: better make it as another user")
    option = "" if folder == SITE_DEFAULT else f" --site {folder}"
    say(f"next: mailkeep{option} account add NAME")
    say(f"      mailkeep{option} serve")
    say(f"      give {folder}/tls/ca.pem to the clients, or set a certificate they trust already")


def settings_text(hostname: str, listeners: Sequence[tuple[Service, str]]) -> str:
    """Return the text of a new `mailkeep.toml`.

    Args:
        hostname: what clients connect to.
        listeners: what to speak at which `address:port`; none for the defaults.
    """
    quoted = json.dumps(hostname, ensure_ascii=False)  # for text TOML's quoting is JSON's
    said = listeners or [
        (listener.service, str(listener.address))
        for listener in Settings(hostname="localhost").listen
    ]
    tables = (_LISTEN.format(service=service.value, address=address) for service, address in said)
    return _HEAD.format(hostname=quoted) + "".join(tables) + _TAIL


def make_site(folder: Path, text: str) -> None:
    """Make a site with these settings.

    Args:
        folder: absolute; made if it is not there, with what is above it.
        text: of `mailkeep.toml`.

    Raises:
        CommandFailed: there is a site already, or it cannot be made.
        SettingsError: the settings cannot be used; nothing was made.
        WrongUser: the folder is there and is another user's.
        DatabaseUnavailable: the database cannot be made.
        OSError: the settings cannot be written.
    """
    from mailkeep.app import open_accounts
    from mailkeep.tls import CertificateProblem
    from mailkeep.tls.authority import create_authority, renew_if_due

    settings = parse_settings(text, source=SETTINGS_NAME)
    _make_folders(folder)
    now = datetime.now(UTC)
    try:
        if not (folder / "tls" / "ca.pem").exists():
            create_authority(folder / "tls", settings.hostname, now)
        renew_if_due(folder / "tls", settings.hostname, now)
    except CertificateProblem as problem:
        raise CommandFailed(str(problem), hint=problem.hint) from problem
    with open_accounts(Site(folder, settings), create=True):
        pass  # made, and empty
    _write_new(folder / SETTINGS_NAME, text)


def _make_folders(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_owner(folder)
        _refuse_used(folder)
        folder.chmod(0o700)
        for name in _FOLDERS:
            (folder / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as cause:
        raise CommandFailed(
            f"cannot make {cause.filename}: {cause.strerror}",
            hint="name a folder that you may write to: mailkeep --site DIR init ...",
        ) from cause


def _refuse_used(folder: Path) -> None:
    """Keep out of a folder that is a site, or is something else: a home, /tmp."""
    there = {path.name for path in folder.iterdir()}
    if SETTINGS_NAME in there:
        raise CommandFailed(
            f"{folder} is a site already; nothing was changed",
            hint=f"mailkeep --site {folder} doctor tells how it is",
            code=ExitCode.WRONG,
        )
    if others := there - _MAY_BE_THERE:
        raise CommandFailed(
            f"{folder} has other files in it ({min(others)}); nothing was changed",
            hint="name a folder that is empty or not there yet",
            code=ExitCode.WRONG,
        )


def _write_new(path: Path, text: str) -> None:
    """Write a file that nobody may have made meanwhile, durably and in one step."""
    draft = path.with_name(path.name + ".new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    finally:
        draft.unlink()
