"""The site's one secret, and what is derived from it.

Whoever has read the database alone can check no guess of a device's password, because the key is
not in it. It knows no account and no database. Known limit: a site whose key is lost gets another
one, and its device passwords are no longer good; `doctor` finds them by the key's identifier.
"""

import contextlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import final

from mailkeep.values import Secret

_KEY_OCTETS = 32
"""As long as what SHA-256 returns: a longer key would add nothing."""

_IDENTIFIER_OCTETS = 8
"""Tells the keys that a site has ever had apart; nobody gains by finding another with the same."""

_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SiteKeyProblem(Exception):
    """The site's key cannot be used; it was left as it is.

    Attributes:
        hint: the next step, for an operator.
    """

    def __init__(self, path: Path, reason: str, hint: str) -> None:
        super().__init__(f"site key {path}: {reason}")
        self.hint = hint


@final
class SiteKey:
    """Random octets that never leave the site; it prints as nothing and is not pickled."""

    __slots__ = ("_key",)

    def __init__(self, key: Secret) -> None:
        self._key = key

    @property
    def identifier(self) -> bytes:
        """What tells this key from another one without giving it away; 8 octets."""
        return self.derive("identifier").reveal()[:_IDENTIFIER_OCTETS]

    def derive(self, purpose: str) -> Secret:
        """Return a key for one purpose, 32 octets; from none of them another can be found.

        Source: HMAC-SHA256 as a key derivation function, NIST SP 800-108 section 4.1.
        """
        return Secret(hmac.digest(self._key.reveal(), f"mailkeep {purpose}".encode(), "sha256"))

    def __repr__(self) -> str:
        return "SiteKey(***)"


def open_site_key(path: Path) -> SiteKey:
    """Read the site's key; make it when there is none.

    Of several programs that make it at once one does, and all get the same.

    Args:
        path: the file; its folder exists.

    Raises:
        SiteKeyProblem: it is damaged, is not this user's alone, or cannot be read or made.
    """
    try:
        if not path.exists():
            _make(path)
        return SiteKey(_read(path))
    except OSError as cause:
        raise SiteKeyProblem(
            path,
            cause.strerror or str(cause),
            f"see that {path.parent} belongs to the user who runs this and is writable",
        ) from cause


def _read(path: Path) -> Secret:
    with path.open("rb") as file:
        _check_private(path, os.fstat(file.fileno()))
        key = file.read(_KEY_OCTETS + 1)
    if len(key) != _KEY_OCTETS:
        raise SiteKeyProblem(
            path,
            f"it is damaged: not {_KEY_OCTETS} octets",
            "restore it from a backup; if there is none, remove it, and every device needs"
            " another password",
        )
    return Secret(key)


def _check_private(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise SiteKeyProblem(path, "it belongs to another user", f"run this as user {path.owner()}")
    if status.st_mode & _READABLE_BY_OTHERS:
        raise SiteKeyProblem(
            path,
            "others may read it",
            f"chmod 600 {path}; if somebody may have read it, give every device another password",
        )


def _make(path: Path) -> None:
    """Write a key beside its place and link it there whole: a link never replaces what is there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_OCTETS))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another program was quicker: its key counts
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    _sync_folder(path.parent)  # also for the other's: nothing is kept under a key that could vanish


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
