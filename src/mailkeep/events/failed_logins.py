"""Refused logins as lines that fail2ban's stock filter `courier-auth` understands.

The address stands before the name, and the name has nothing left that could look like an address
or a field: otherwise anybody could have any address banned. Only `LoginRefused` is written.

Known limits: a file that cannot be written and a syslog that is not there raise, for `Sinks` to
tell; syslog(3) waits where its daemon does not read.
"""

import os
import re
import socket
import syslog
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mailkeep.events.fanout import NeverFull
from mailkeep.events.log import NAME_LIMIT_OCTETS
from mailkeep.events.peers import read_peer
from mailkeep.events.types import Event, LoginRefused

SYSLOG = "syslog"
"""The word in the settings that stands for syslog(3) in the place of a file."""

TAG = "pop3d"
"""What the stock filter takes: `(courier)?(imapd?|pop3d?)(login)?(-ssl)?`."""

_MODE = 0o640
"""fail2ban runs as root; an operator's group may read, others need not know who logs in."""

_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
"""Not strftime(3), which writes them in the operator's language (RFC 3164 section 4.1.2)."""

_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9@._+~#!$%&*/^-]")
_UNSAFE_IN_MECHANISM = re.compile(r"[^A-Z0-9-]")


class Lines(Protocol):
    """Where the lines go."""

    def write(self, message: str) -> None:
        """Write one message.

        Raises:
            OSError: it cannot be written.
        """


class FailedLoginSink(NeverFull):
    """Writes a line for each refused login. Put it into `Sinks`, which takes its errors."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def wants(self, kind: type[Event]) -> bool:
        """Tell whether it may become a line; see `Choosing`."""
        return issubclass(kind, LoginRefused)

    def emit(self, event: Event) -> None:
        """Write a line if it is a refused login from an address.

        Raises:
            OSError: it cannot be written.
        """
        if isinstance(event, LoginRefused) and (message := failed_login_message(event)):
            self._lines.write(message)


class LinesInFile:
    """Lines in a file as syslog writes them; another file of that name is noticed (logrotate)."""

    def __init__(
        self,
        path: Path,
        now_s: Callable[[], float] = time.time,
        host: str | None = None,
    ) -> None:
        self._path = path
        self._now_s = now_s
        self._host = host or socket.gethostname().partition(".")[0] or "localhost"
        self._descriptor = -1

    def write(self, message: str) -> None:
        """Append one line; see `Lines`."""
        if not self._is_open():
            self.close()
            self._descriptor = _open_for_appending(self._path)
        line = f"{syslog_time(self._now_s())} {self._host} {TAG}: {message}\n"
        os.write(self._descriptor, line.encode("ascii"))

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_open(self) -> bool:
        if self._descriptor < 0:
            return False
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._descriptor))


class LinesToSyslog:
    """Lines to syslog(3), with the facility for logins."""

    def __init__(self) -> None:
        syslog.openlog(TAG, 0, syslog.LOG_AUTH)

    def write(self, message: str) -> None:
        """Send one message; see `Lines`."""
        syslog.syslog(syslog.LOG_NOTICE, message)


def open_failed_logins(where: str, folder: Path) -> FailedLoginSink:
    """Return the sink that the settings name.

    Args:
        where: `syslog`, or a path.
        folder: what a path that is not absolute begins at.
    """
    lines: Lines = LinesToSyslog() if where == SYSLOG else LinesInFile(folder / where)
    return FailedLoginSink(lines)


def failed_login_message(event: LoginRefused) -> str | None:
    """Return what stands behind the tag; None where there is no address to ban."""
    peer = read_peer(event.peer)
    if peer is None:
        return None
    mechanism = _UNSAFE_IN_MECHANISM.sub("", event.mechanism.upper())[:40] or "NONE"
    name = _UNSAFE_IN_NAME.sub("?", event.name[:NAME_LIMIT_OCTETS])
    return f"LOGIN FAILED, method={mechanism}, ip=[{peer.address}], user={name}"


def syslog_time(at_s: float) -> str:
    """Return a time as RFC 3164 section 4.1.2 has it: local, `Nov  2 01:49:16`."""
    local = time.localtime(at_s)
    clock = f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02}"
    return f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:2} {clock}"


def _open_for_appending(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, _MODE)
    os.fchmod(descriptor, _MODE)  # whatever the umask says
    return descriptor
