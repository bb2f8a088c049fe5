"""How a command is given a password: from a terminal, twice, or from standard input."""

import sys
from typing import TYPE_CHECKING

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.values import Address, Secret

if TYPE_CHECKING:
    from mailkeep.site import Site

_PASSWORD_LIMIT_OCTETS = 8192
"""More than any password has after it was prepared (1024 characters)."""


def ask_for_new_password(site: "Site", address: Address, *, from_standard_input: bool) -> Secret:
    """Return the password that somebody types or pipes in for an account.

    Raises:
        CommandFailed: there is no terminal, it is more than a line, not the same twice, or one that
            the site's rules forbid.
    """
    secret = _read_password() if from_standard_input else _ask_password(address)
    _refuse_weak(site, address, secret)
    return secret


def _refuse_weak(site: "Site", address: Address, secret: Secret) -> None:
    from mailkeep.accounts.rules import Breached, BreachedFileProblem, judge_password

    rules = site.settings.login
    breached = rules.breached_passwords
    try:
        reason = judge_password(
            secret,
            address=address,
            minimum_length=rules.minimum_length,
            breached=None if breached is None else Breached(site.folder / breached),
        )
    except BreachedFileProblem as problem:
        raise CommandFailed(str(problem), hint=problem.hint, code=ExitCode.WRONG) from problem
    if reason is not None:
        raise CommandFailed(
            f"this can be no password: {reason}",
            hint="take four or five words that have nothing to do with each other",
            code=ExitCode.WRONG,
        )


def _read_password() -> Secret:
    """Read a line of standard input; what ends it is not part of the password."""
    line = sys.stdin.buffer.read(_PASSWORD_LIMIT_OCTETS + 1)
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in text or len(line) > _PASSWORD_LIMIT_OCTETS:
        raise CommandFailed(
            "standard input has more than one line", hint="printf %s PASSWORD | mailkeep ..."
        )
    return Secret(text)


def _ask_password(address: Address) -> Secret:
    import getpass

    if not sys.stdin.isatty():
        raise CommandFailed(
            "there is no terminal to ask for a password",
            hint="--password-stdin reads it from standard input",
            code=ExitCode.WRONG,
        )
    first = getpass.getpass(f"Password for {address}: ")
    if getpass.getpass("Once more: ") != first:
        raise CommandFailed("the two are not alike; nothing was changed")
    return Secret(first.encode(errors="surrogateescape"))
