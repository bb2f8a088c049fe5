"""A site's folder: where it is, whose it is, what lies where in it.

It must not know what the files hold; only `mailkeep.toml` is read here. Nothing is written.
"""

import contextlib
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailkeep.site.errors import NoSite, SettingsError, WrongUser
from mailkeep.site.reading import parse_settings
from mailkeep.site.settings import Settings
from mailkeep.values import Address

SETTINGS_NAME = "mailkeep.toml"
SITE_VARIABLE = "MAILKEEP_SITE"
SITE_DEFAULT = Path("/var/lib/mailkeep")
"""FHS 3.0 section 5.8: what a program keeps across its runs."""

SETTINGS_LIMIT_OCTETS = 1 << 20
"""A settings file of a megabyte is some other file."""


@dataclass(frozen=True, slots=True)
class Site:
    """One installation."""

    folder: Path
    """Absolute."""
    settings: Settings

    @property
    def settings_file(self) -> Path:
        """What the operator wrote."""
        return self.folder / SETTINGS_NAME

    @property
    def database(self) -> Path:
        """Accounts."""
        return self.folder / "mailkeep.db"

    @property
    def site_key(self) -> Path:
        """The site's secret: device passwords and what names nobody are keyed with it."""
        return self.folder / "site.key"

    @property
    def door_database(self) -> Path:
        """What the door remembers: who has been here, bans, failed guesses."""
        return self.folder / "door.db"

    @property
    def events_database(self) -> Path:
        """The audit trail, for questions."""
        return self.folder / "events.db"

    @property
    def trail(self) -> Path:
        """The audit trail as chained and signed files."""
        return self.folder / "trail"

    @property
    def control(self) -> Path:
        """The socket on which a running server takes notices."""
        return self.run / "control.sock"

    @property
    def index(self) -> Path:
        """What is remembered about maildrops."""
        return self.folder / "index"

    @property
    def run(self) -> Path:
        """What only running programs need: leases, sockets."""
        return self.folder / "run"

    @property
    def tls(self) -> Path:
        """The site's own certificate authority and certificate."""
        return self.folder / "tls"

    @property
    def certificate(self) -> Path:
        """The chain that the server shows."""
        return self.folder / self.settings.tls.certificate

    @property
    def key(self) -> Path:
        """The private key of `certificate`."""
        return self.folder / self.settings.tls.key

    def address(self, text_untrusted: str) -> Address:
        """Return the address of this site that a user or an operator named.

        Raises:
            InvalidAddress: it can name no account.
        """
        return Address.parse(text_untrusted, default_domain=self.settings.default_domain)


def find_site(said: Path | None, *, environment: Mapping[str, str], here: Path) -> Path:
    """Return the folder of the site that a command is about.

    Args:
        said: what `--site` said.
        environment: of the process; `MAILKEEP_SITE` may name the folder.
        here: the current folder; it or one above may hold a `mailkeep.toml`.

    Returns:
        An absolute path that holds a `mailkeep.toml`, or may hold one that this user may not see.

    Raises:
        NoSite: there is none.
    """
    if said is not None:
        return _existing(here / said, "--site")
    if named := environment.get(SITE_VARIABLE):
        return _existing(here / named, SITE_VARIABLE)
    for folder in (here, *here.parents):
        with contextlib.suppress(PermissionError):  # sudo from a folder of somebody else's
            if _holds_settings(folder):
                return folder
    return _existing(SITE_DEFAULT, "the default")


def read_site(folder: Path) -> Site:
    """Read a site's settings.

    Args:
        folder: absolute, as `find_site` returns it.

    Raises:
        NoSite: the folder is not there.
        WrongUser: this process does not run as the owner of the folder.
        SettingsError: the settings cannot be read or used.
    """
    check_owner(folder)
    path = folder / SETTINGS_NAME
    try:
        with path.open("rb") as file:
            _check_writer(path, os.fstat(file.fileno()).st_uid)
            octets = file.read(SETTINGS_LIMIT_OCTETS + 1)
        text = octets.decode()
    except OSError as cause:
        raise SettingsError(f"{path}: {cause.strerror}") from cause
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8", hint="save it as UTF-8") from None
    if len(octets) > SETTINGS_LIMIT_OCTETS:
        raise SettingsError(f"{path}: longer than {SETTINGS_LIMIT_OCTETS} octets")
    return Site(folder, parse_settings(text, source=str(path)))


def check_owner(folder: Path) -> None:
    """Refuse everybody but the user that the site belongs to, root included.

    What root writes into a site its owner can no longer remove, and mail would stay behind.

    Raises:
        NoSite: the folder is not there.
        WrongUser: this process runs as somebody else.
    """
    try:
        owner = folder.stat().st_uid
    except OSError as cause:
        raise NoSite(f"no site at {folder}: {cause.strerror}") from cause
    if owner != os.geteuid():
        raise WrongUser(
            f"{folder} belongs to {_user_name(owner)}, and this is {_user_name(os.geteuid())}",
            hint=f"sudo -u {_user_name(owner)} mailkeep ...",
        )


def _check_writer(path: Path, owner: int) -> None:
    """Refuse settings that somebody else laid in our way, as anybody can in /tmp."""
    if owner not in {0, os.geteuid()}:
        raise SettingsError(
            f"{path}: belongs to {_user_name(owner)}, who could change what this site does",
            hint=f"chown {_user_name(os.geteuid())} {path}",
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"  # as sudo writes a user without a name


def _existing(folder: Path, why: str) -> Path:
    try:
        found = _holds_settings(folder)
    except PermissionError:
        return folder  # it is somebody else's: `read_site` says whose
    if not found:
        raise NoSite(
            f"no site at {folder} ({why}): it has no {SETTINGS_NAME}",
            hint=f"mailkeep --site {folder} init --hostname NAME makes one",
        )
    return folder


def _holds_settings(folder: Path) -> bool:
    try:
        return stat.S_ISREG((folder / SETTINGS_NAME).stat().st_mode)
    except PermissionError:
        raise
    except OSError:
        return False  # not there, not a folder, a circle of links: no site in any case
