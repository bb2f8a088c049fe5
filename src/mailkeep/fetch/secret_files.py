"""Files that are trusted: who may read and change them is asked of the open file, never of a path.

A check of a path is worth nothing: the file behind it may be another one a moment later. Links are
followed, and what they lead to is checked. Blocking I/O on small files.

Known limits: access control lists are not read, nor are the modes of the folders above. Of several
entries for one host in a netrc file the standard library keeps the last.
"""

import contextlib
import netrc
import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mailkeep.fetch.account import Account
from mailkeep.fetch.failures import WrongSettings
from mailkeep.values import Secret

SECRET_LIMIT_OCTETS = 1 << 16
"""A whole netrc, or one line elsewhere. Access tokens are the longest secrets: some 4 kB."""

OTHERS_READ_OR_WRITE = 0o066
OTHERS_WRITE = 0o022
CREDENTIAL_FORBIDDEN = 0o026
"""systemd lets a service's user read a credential through an access control list, and then the
group's bits of the mode show that list's mask; nobody else can enter the folder."""


def first_line(octets: bytes) -> Secret:
    """Return the first line without what ends it."""
    return Secret(octets.partition(b"\n")[0].rstrip(b"\r"))


def problem_of(secret: Secret, *, is_token: bool) -> str | None:
    """Return why this can be no password or token, or None; never a part of it.

    A line break would end a command early and begin another one. A token is of printable ASCII
    (RFC 6749 appendix A.12); OAUTHBEARER puts it between control characters.
    """
    octets = secret.reveal()
    if not octets:
        return "is empty"
    if len(octets) > SECRET_LIMIT_OCTETS:
        return f"is longer than {SECRET_LIMIT_OCTETS} octets"
    if re.search(rb"[\r\n\0]", octets):
        return "has a line break or a NUL in it"
    if is_token and re.search(rb"[^\x20-\x7e]", octets):
        return "has something in it that no token has"
    return None


@contextlib.contextmanager
def open_trusted(path: Path, *, forbidden: int) -> Iterator[BinaryIO]:
    """Open a regular file that belongs to us or root and that others cannot touch.

    Args:
        path: links are followed.
        forbidden: the bits of the mode that must not be set.

    Raises:
        WrongSettings: it cannot be opened, or not be trusted.
    """
    try:
        # A named pipe would let us wait for its writer: see what it is first.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else str(cause)
        raise WrongSettings(f"{path} cannot be read: {reason}") from cause
    try:
        _check(os.fstat(descriptor), path, forbidden)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _check(status: os.stat_result, path: Path, forbidden: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise WrongSettings(f"{path} is not a regular file")
    if status.st_uid not in {os.geteuid(), 0}:
        raise WrongSettings(
            f"{path} belongs to somebody else (user {status.st_uid})",
            hint=f"have a file of your own: chown {os.geteuid()} {shlex.quote(str(path))}",
        )
    if open_to_others := stat.S_IMODE(status.st_mode) & forbidden:
        verb = "changed" if open_to_others & OTHERS_WRITE else "read"
        mode, fix = stat.S_IMODE(status.st_mode), "go-w" if forbidden == OTHERS_WRITE else "600"
        raise WrongSettings(
            f"{path} can be {verb} by others (mode {mode:04o})",
            hint=f"chmod {fix} {shlex.quote(str(path))}",
        )


def read_secret_file(path: Path, *, forbidden: int = OTHERS_READ_OR_WRITE) -> Secret:
    """Return the first line of a file.

    Raises:
        WrongSettings: it cannot be read, or others can read or change it.
    """
    with open_trusted(path, forbidden=forbidden) as file:
        # One more than a line may have, and what may end it: a longer one is refused as such.
        return first_line(file.read(SECRET_LIMIT_OCTETS + 3))


def read_netrc(path: Path, account: Account) -> Secret:
    """Return the password that a netrc file has for an account's host and user.

    Raises:
        WrongSettings: it has none, is malformed, or others can read or change it.
    """
    with open_trusted(path, forbidden=OTHERS_READ_OR_WRITE) as file:
        if os.fstat(file.fileno()).st_size > SECRET_LIMIT_OCTETS:
            raise WrongSettings(f"{path} is larger than {SECRET_LIMIT_OCTETS} octets")
        found = _look_up(file.fileno(), account)
    if isinstance(found, Secret):
        return found
    at = path if found is None else f"{path}:{found}"
    what = "is not in the form of a netrc file"
    if found is None:
        what = f"has no password for {account.user} at {account.host}"
    raise WrongSettings(
        f"{at} {what}",
        hint=f"write: machine {account.host} login {account.user} password PASSWORD",
    )


def _look_up(descriptor: int, account: Account) -> Secret | int | None:
    """Return the password, the line that is malformed, or None for no password.

    The parser's own errors quote what it did not understand, which may be a password, so they end
    here.
    """
    try:
        entries = netrc.netrc(f"/dev/fd/{descriptor}")  # the file that was checked, no other
    except netrc.NetrcParseError as refusal:
        return refusal.lineno or 1
    except UnicodeError:
        return 1
    match entries.authenticators(account.host):
        case (login, _, password) if login == account.user and password:
            return Secret(password.encode())
    return None
