"""`mailkeep deliver`: take messages from a pipe or from files and put them into a maildrop.

It runs once a mail, so it must know neither typer nor the database's engine nor `app`, which
imports everything: it picks the account lookup and the delivery itself. `entry` calls it before
any of them is imported. The exit code is what an MTA acts on: Postfix sends mail back to its sender
on every code of sysexits(3) but 71 and 75, EX_CANTCREAT (73) and EX_IOERR (74) included (its
`global/sys_exits.c`), so whatever may pass by itself or can be mended here is a 75.

With `--smtputf8` the messages are marked as internationalised: an MTA says so of what came with
SMTPUTF8 (RFC 6531), and POP3 clients that do not understand such mail can then be told (RFC 6856).

Known limit: of several files those before a failed one stay delivered; it says how many.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from mailkeep.accounts.lookup import find_account
from mailkeep.cli.site_option import maildrop_of
from mailkeep.cli.talk import error, say
from mailkeep.database import DatabaseUnavailable
from mailkeep.maildrop.maildir import Written, deliver
from mailkeep.maildrop.maildir.digests import (
    Digest,
    Found,
    digests_path,
    remember_delivered,
)
from mailkeep.site import SiteError, find_site, read_site
from mailkeep.values import InvalidAddress

if TYPE_CHECKING:
    from mailkeep.site import Site
    from mailkeep.values import AccountId, Address


class SysExit(IntEnum):
    """sysexits(3), the codes that `deliver` ends with."""

    OK = 0
    """Every message is safe."""
    USAGE = 64
    NOINPUT = 66
    """A file that was named cannot be read."""
    NOUSER = 67
    """No account has the address."""
    TEMPFAIL = 75
    """Not now: the MTA keeps the mail."""


def only_listed() -> None:
    """Put messages into an account's maildrop: one a file, standard input without."""
    # It stands in the list of commands; `entry` has found a `deliver` before this could run.


_EXIT_CODES = """\
exit codes (sysexits):
  0   every message is safely stored
  64  wrong usage
  66  a file cannot be read; nothing was delivered
  67  no account has this address
  75  try again later: no site, wrong user, database or disk in trouble
"""


class _Ended(Exception):
    """The delivery is over, and this is how."""

    def __init__(self, code: SysExit, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.hint = hint


def run_delivery(said: Path | None, arguments: Sequence[str]) -> int:
    """Deliver and return the exit code.

    Args:
        said: what `--site` said.
        arguments: what stands behind `deliver`.
    """
    try:
        parsed = _parse(arguments)
        site = _open_site(said)
        account, address = _find_account(site, parsed.address)
        put = partial(
            deliver_message,
            site,
            address,
            account=account,
            is_internationalised=parsed.smtputf8,
        )
        with ExitStack() as stack:
            sources = [stack.enter_context(_open_source(path)) for path in parsed.files]
            _deliver_all(put, sources or [_standard_input()])
    except _Ended as end:
        if end.code is not SysExit.OK:
            error(str(end), hint=end.hint)
        return end.code
    return SysExit.OK


class _Parser(argparse.ArgumentParser):
    """Ends as sysexits(3) wants it instead of with argparse's 2."""

    def error(self, message: str) -> NoReturn:
        raise _Ended(SysExit.USAGE, message, "mailkeep deliver --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _Ended(SysExit.OK if status == 0 else SysExit.USAGE, message or "")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="mailkeep deliver",
        usage="mailkeep [--site DIR] deliver [--smtputf8] ADDRESS [FILE ...]",
        description=only_listed.__doc__,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("address", metavar="ADDRESS", help="alice, or alice@example.com")
    parser.add_argument(
        "--smtputf8", action="store_true", help="the messages came with SMTPUTF8 (RFC 6531)"
    )
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="one message each")
    return parser.parse_args(arguments)


def _open_site(said: Path | None) -> "Site":
    try:
        return read_site(find_site(said, environment=os.environ, here=Path.cwd()))
    except SiteError as failure:
        raise _Ended(SysExit.TEMPFAIL, str(failure), failure.hint) from failure
    except OSError as failure:  # the current folder was removed
        raise _Ended(SysExit.TEMPFAIL, f"cannot look for the site: {failure.strerror}") from failure


def _find_account(site: "Site", text_untrusted: str) -> "tuple[AccountId, Address]":
    try:
        address = site.address(text_untrusted)
    except InvalidAddress as refusal:
        text = f"{text_untrusted} can be no account: {refusal}"
        raise _Ended(SysExit.NOUSER, text) from refusal
    try:
        account = find_account(site.database, address)
    except DatabaseUnavailable as failure:
        raise _Ended(SysExit.TEMPFAIL, str(failure), failure.hint) from failure
    if account is None:
        raise _Ended(SysExit.NOUSER, f"there is no account {address}")
    return account, address


def _open_source(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as failure:
        raise _Ended(SysExit.NOINPUT, f"{path}: {failure.strerror}") from failure


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise _Ended(SysExit.TEMPFAIL, "standard input is closed", "pipe the message in")
    return sys.stdin.buffer


def _deliver_all(put: Callable[[BinaryIO], None], sources: Sequence[BinaryIO]) -> None:
    if sources[0].isatty():
        say("type the message and end it with Ctrl-D")
    for done, source in enumerate(sources):
        try:
            put(source)
        except OSError as failure:
            before = f"; {done} of {len(sources)} were delivered before" if done else ""
            raise _Ended(SysExit.TEMPFAIL, f"not delivered: {failure}{before}") from failure


def deliver_message(
    site: "Site",
    address: "Address",
    source: BinaryIO,
    *,
    account: "AccountId | None" = None,
    is_internationalised: bool = False,
) -> None:
    """Put one message into the maildrop of an address; it is safe on disk on return.

    Args:
        site: whose maildrop.
        address: whose, too.
        source: the message.
        account: that has the address. Where it is not said, the message's digest is not remembered
            and is worked out when the message is read.
        is_internationalised: whether it came with SMTPUTF8.

    Raises:
        OSError: it could not be stored, and is not there.
    """

    def remember(base: bytes, written: Written) -> None:
        if account is not None:
            found = Found(bytes.fromhex(written.sha256), is_as_sent=True, dots=written.dots)
            digest = Digest.found(base, written.stamp, found)
            remember_delivered(digests_path(site.index, account), digest)

    deliver(
        maildrop_of(site, address),
        source,
        site.settings.hostname,
        is_internationalised=is_internationalised,
        on_written=remember,
    )
