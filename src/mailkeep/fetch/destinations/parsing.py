"""A destination from the text that a user writes: `maildir:~/Mail`, `lmtp:localhost:24`.

The name it gets is the journal's key, so a path becomes absolute and `~` is expanded: the same
place has the same name from every folder. Symbolic links stay as they are written.
"""

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from mailkeep.fetch.destinations.folder import FolderDestination
from mailkeep.fetch.destinations.maildir import MaildirDestination
from mailkeep.fetch.destinations.mbox import MboxDestination
from mailkeep.fetch.destinations.pipe import PipeDestination
from mailkeep.fetch.destinations.seam import Destination
from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.job import check_destination

_PORT_LIMIT = 65_535
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%a-z]+\]|[^:/\[\]\s]+):([0-9]{1,5})")
_NOT_IN_A_RECIPIENT = re.compile(r"[\x00-\x20\x7f-\x9f<>\u2028\u2029]")

_Maker = Callable[[str, str, Path], Destination]


def parse_destination(text: str, *, recipient: str, spool: Path) -> Destination:
    """Return the destination that a text names.

    Args:
        text: the kind, a colon, and what the kind needs.
        recipient: whose mail it is, for LMTP.
        spool: a folder for messages on their way, for mbox, pipe and LMTP; made when needed.

    Raises:
        WrongSettings: it names none.
    """
    check_destination(text)
    kind, _, rest = text.partition(":")
    return _KINDS[kind](rest, recipient, spool)


def _path(text: str) -> Path:
    expanded = os.path.expanduser(text)  # noqa: PTH111  # it leaves what it does not know
    if expanded.startswith("~"):
        raise WrongSettings(f"{text} names a home folder that is not there")
    return Path(os.path.abspath(expanded))  # noqa: PTH100  # links must stay, resolve() follows


def _maildir(text: str, recipient: str, spool: Path) -> Destination:
    del recipient, spool
    return MaildirDestination(_path(text))


def _folder(text: str, recipient: str, spool: Path) -> Destination:
    del recipient, spool
    return FolderDestination(_path(text))


def _mbox(text: str, recipient: str, spool: Path) -> Destination:
    del recipient
    if text.endswith("/"):
        raise WrongSettings(f"mbox:{text} is a folder", hint="write mbox:FILE")
    return MboxDestination(_path(text), spool)


def _pipe(text: str, recipient: str, spool: Path) -> Destination:
    del recipient
    try:
        command = shlex.split(text)
    except ValueError as cause:
        raise WrongSettings(
            f"pipe:{text}: a quote is not closed", hint="quotes are as in a shell"
        ) from cause
    if not command or not command[0]:
        raise WrongSettings("pipe: names no command", hint="write pipe:PROGRAM ARGUMENTS")
    if "/" in command[0]:
        command[0] = str(_path(command[0]))
    return PipeDestination(command, spool)


def _lmtp(text: str, recipient: str, spool: Path) -> Destination:
    if not recipient or _NOT_IN_A_RECIPIENT.search(recipient):
        raise WrongSettings(
            "LMTP needs a recipient without spaces, line breaks and angle brackets",
            hint="write their address, as the server knows it",
        )
    from mailkeep.fetch.destinations.lmtp import LmtpDestination, LmtpServer  # smtplib is slow

    host, port = _lmtp_server(text)
    return LmtpDestination(LmtpServer(host, port), recipient, spool)


def _lmtp_server(text: str) -> tuple[str, int | None]:
    if text.startswith(("/", "~", "./")):
        return str(_path(text)), None
    found = _HOST_AND_PORT.fullmatch(text)
    if not found or not 0 < int(found[2]) <= _PORT_LIMIT:
        raise WrongSettings(f"lmtp:{text} is no server", hint="write lmtp:HOST:PORT or lmtp:/PATH")
    return found[1].strip("[]").lower(), int(found[2])


_KINDS: dict[str, _Maker] = {
    "maildir": _maildir,
    "mbox": _mbox,
    "dir": _folder,
    "pipe": _pipe,
    "lmtp": _lmtp,
}
