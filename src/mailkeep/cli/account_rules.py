"""`mailkeep account policy|expire|import`: on what terms somebody may log in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.accounts import AccountExists, MainPasswordPolicy
from mailkeep.cli.account import commands
from mailkeep.cli.arguments import AddressArgument
from mailkeep.cli.changing import tell_of_account, this_user
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import open_accounts, open_site, read_address
from mailkeep.cli.spans import read_moment, show_moment
from mailkeep.cli.talk import printable, say

if TYPE_CHECKING:
    from mailkeep.accounts.directory import AccountDirectory
    from mailkeep.accounts.passwd_file import Entry
    from mailkeep.site import Site

_AS_THE_SITE = "site"
_NEVER = "never"


@commands.command("policy")
def policy(
    context: typer.Context,
    address: AddressArgument,
    main_password: Annotated[
        str,
        typer.Argument(metavar="POLICY", help="allow, devices_only, or site: as its settings say."),
    ],
) -> None:
    """Say whether an account's main password is good for POP3."""
    site = open_site(context)
    chosen = _policy(main_password)
    with open_accounts(site, by=this_user()) as directory:
        account = directory.set_policy(read_address(site, address), chosen)
        has_devices = bool(directory.devices.list(account.address))
    tell_of_account(site, account)
    say(f"main password of {account.address}: {main_password}")
    in_force = chosen.value if chosen else site.settings.login.main_password.value
    if in_force == MainPasswordPolicy.DEVICES_ONLY.value and not has_devices:
        say(f"it has no device yet: mailkeep device add {account.address} NAME")


@commands.command("expire")
def expire(
    context: typer.Context,
    address: AddressArgument,
    moment: Annotated[str, typer.Argument(metavar="DATE", help="2027-06-01, or never.")],
) -> None:
    """Refuse an account's logins from a day on, or at once if that is over."""
    site = open_site(context)
    expires = None if moment == _NEVER else read_moment(moment)
    with open_accounts(site, by=this_user()) as directory:
        account = directory.set_expiry(read_address(site, address), expires)
    tell_of_account(site, account)
    if expires is None:
        say(f"{account.address} never expires")
    elif expires <= datetime.now(UTC):
        say(f"{account.address} expired {show_moment(expires)}: nobody may log in to it now")
    else:
        say(f"{account.address} expires {show_moment(expires)}")


@commands.command("import")
def import_accounts(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Dovecot passwd-file.")],
    *,
    scheme: Annotated[
        str,
        typer.Option(
            "--default-scheme", metavar="SCHEME", help="Of hashes that do not name theirs."
        ),
    ] = "CRYPT",
) -> None:
    """Add the accounts of a passwd-file, with their hashes.

    A hash is replaced by a better one at the first good login.
    """
    from mailkeep.accounts.passwd_file import Entry, read_passwd_file

    site = open_site(context)
    lines = _read_lines(file)
    found = read_passwd_file(lines, site.settings.default_domain, default_scheme=scheme)
    entries = [one for one in found if isinstance(one, Entry)]
    for problem in found:
        if not isinstance(problem, Entry):
            _leave_out(file, problem.line, problem.reason, problem.hint)
    with open_accounts(site, by=this_user()) as directory:
        added = sum(_import(site, directory, file, entry) for entry in entries)
    left_out = len(found) - added
    say(f"added {added} accounts, left out {left_out}")
    if left_out:
        raise CommandFailed("not every line became an account", hint="the lines above say why")


def _read_lines(file: Path) -> list[str]:
    """Return the lines of a file of users; a name that is not UTF-8 becomes a line's problem."""
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as cause:
        raise CommandFailed(
            f"{file} cannot be read: {cause.strerror}",
            hint="name a passwd-file that the site's user may read",
            code=ExitCode.WRONG,
        ) from cause
    if "\0" in text:
        raise CommandFailed(
            f"{file} is not a text file",
            hint="a passwd-file has a line user:{SCHEME}hash for each account",
            code=ExitCode.WRONG,
        )
    return text.split("\n")


def _import(site: "Site", directory: "AccountDirectory", file: Path, entry: "Entry") -> bool:
    """Add one account; tell whether it is there now and was not before."""
    if not site.settings.has_own_maildrop(entry.address):
        reason = "it would share the maildrop of its namesake"
        _leave_out(file, entry.line, reason, "have {domain} in maildrops.path")
        return False
    try:
        directory.add_with_hash(entry.address, entry.kept)
    except AccountExists as refusal:
        _leave_out(file, entry.line, str(refusal), "it was left as it is")
        return False
    for note in entry.notes:
        say(printable(f"{file}:{entry.line}: {note}"))
    return True


def _leave_out(file: Path, line: int, reason: str, hint: str) -> None:
    say(printable(f"{file}:{line}: left out: {reason}; {hint}"))


def _policy(text: str) -> MainPasswordPolicy | None:
    if text == _AS_THE_SITE:
        return None
    try:
        return MainPasswordPolicy(text)
    except ValueError:
        raise CommandFailed(
            f"{text} is no policy", hint="allow, devices_only or site", code=ExitCode.WRONG
        ) from None
