"""`mailkeep account`: who may log in."""

import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.accounts import Account, AccountExists, UnknownAccount
from mailkeep.cli.arguments import AddressArgument, JsonOption
from mailkeep.cli.changing import tell_of_account, this_user
from mailkeep.cli.events_times import show_time
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.secret_input import ask_for_new_password
from mailkeep.cli.site_option import maildrop_of, open_accounts, open_site, read_address
from mailkeep.cli.spans import read_days
from mailkeep.cli.talk import say, show_json, show_table
from mailkeep.values import Address

if TYPE_CHECKING:
    from mailkeep.accounts.directory import AccountDirectory
    from mailkeep.site import Site

commands = typer.Typer(help="Add, show, change and remove accounts.")

PasswordOption = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input, one line."),
]


@commands.command("add")
def add(
    context: typer.Context, address: AddressArgument, *, password_stdin: PasswordOption = False
) -> None:
    """Add an account that may log in."""
    site = open_site(context)
    named = read_address(site, address)
    if not site.settings.has_own_maildrop(named):
        raise CommandFailed(
            f"{named} would share the maildrop of its namesake at {site.settings.default_domain}",
            hint=f"have {{domain}} in maildrops.path in {site.settings_file}",
            code=ExitCode.WRONG,
        )
    with open_accounts(site, by=this_user()) as directory:
        _refuse_taken(directory, named)
        secret = ask_for_new_password(site, named, from_standard_input=password_stdin)
        account = directory.add(named, secret, scram_main=site.settings.login.scram_main)
    tell_of_account(site, account)
    say(f"added {named}")


@commands.command("password")
def password(
    context: typer.Context, address: AddressArgument, *, password_stdin: PasswordOption = False
) -> None:
    """Give an account another password."""
    site = open_site(context)
    named = read_address(site, address)
    with open_accounts(site, by=this_user()) as directory:
        directory.get(named)
        secret = ask_for_new_password(site, named, from_standard_input=password_stdin)
        scram_main = site.settings.login.scram_main
        account = directory.set_password(named, secret, scram_main=scram_main)
    _forget_guesses(site, account)
    say(f"changed the password of {named}")


@commands.command("confirm")
def confirm(context: typer.Context, address: AddressArgument) -> None:
    """Keep the main password after guesses at it: strangers may use it again."""
    site = open_site(context)
    with open_accounts(site, by=this_user()) as directory:
        account = directory.confirm_password(read_address(site, address))
    _forget_guesses(site, account)
    say(f"confirmed the password of {account.address}")


@commands.command("list")
def list_accounts(
    context: typer.Context,
    *,
    stale: Annotated[
        str | None,
        typer.Option(
            "--stale",
            metavar="SPAN",
            help="Only accounts and devices nobody used for so long: 90d.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List all accounts, or what nobody uses any more."""
    if stale is not None:
        _list_stale(open_site(context), read_days(stale), json=json)
        return
    with open_accounts(open_site(context)) as directory:
        accounts = directory.list()
    if json:
        show_json([describe(account) for account in accounts])
        return
    rows = [
        (a.address, a.state.value, f"{a.created:%Y-%m-%d}", _day(a.last_used)) for a in accounts
    ]
    show_table(("ADDRESS", "STATE", "CREATED", "LAST USED"), rows)


@commands.command("show")
def show_account(
    context: typer.Context, address: AddressArgument, *, json: JsonOption = False
) -> None:
    """Show one account."""
    site = open_site(context)
    with open_accounts(site) as directory:
        account = directory.get(read_address(site, address))
    failures = _failed_guesses(site, account)
    described = describe(account) | {
        "failed_guesses": failures,
        "main_password_locked": _is_locked(failures),
        "maildrop": str(maildrop_of(site, account.address)),
    }
    if json:
        show_json(described)
        return
    show_table(("FIELD", "VALUE"), [*_in_words(site, described).items()])
    if described["main_password_locked"]:
        say(
            "after so many failures the main password is refused from unfamiliar networks:"
            f" mailkeep account password {account.address}, or account confirm"
        )


@commands.command("disable")
def disable(context: typer.Context, address: AddressArgument) -> None:
    """Refuse an account's logins; its mail stays and more is taken."""
    site = open_site(context)
    with open_accounts(site, by=this_user()) as directory:
        account = directory.disable(read_address(site, address))
    tell_of_account(site, account)
    say(f"disabled {account.address}")


@commands.command("enable")
def enable(context: typer.Context, address: AddressArgument) -> None:
    """Let an account log in again, with the password it had."""
    site = open_site(context)
    with open_accounts(site, by=this_user()) as directory:
        account = directory.enable(read_address(site, address))
    tell_of_account(site, account)
    say(f"enabled {account.address}")


@commands.command("remove")
def remove(
    context: typer.Context,
    address: AddressArgument,
    *,
    with_mail: Annotated[
        bool, typer.Option("--with-mail", help="Remove the mail too; otherwise it stays.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove an account."""
    site = open_site(context)
    named = read_address(site, address)
    folder = maildrop_of(site, named)
    with open_accounts(site, by=this_user()) as directory:
        directory.get(named)
        _confirm(f"Remove {named}" + (f" and all mail in {folder}?" if with_mail else "?"), yes=yes)
        account = directory.remove(named)
    tell_of_account(site, account)
    say(f"removed {named}")
    if with_mail:
        _remove_mail(folder)
    else:
        say(f"its mail stays in {folder}")


def describe(account: Account) -> dict[str, object]:
    """Return an account as `--json` shows it; these names stay."""
    policy = account.main_password
    return {
        "address": str(account.address),
        "state": account.state.value,
        "created": account.created.isoformat(),
        "password_changed": account.password_changed.isoformat(),
        "main_password": None if policy is None else policy.value,
        "expires": None if account.expires is None else account.expires.isoformat(),
        "last_used": None if account.last_used is None else account.last_used.isoformat(),
    }


@dataclass(frozen=True, slots=True)
class _Unused:
    """An account or a device that nobody uses."""

    address: Address
    device: str | None
    created: datetime
    last_used: datetime | None


def _list_stale(site: "Site", days: int, *, json: bool) -> None:
    with open_accounts(site) as directory:
        stale = directory.stale(days)
    found = [_Unused(a.address, None, a.created, a.last_used) for a in stale.accounts]
    devices = ((one.account.address, one.device) for one in stale.devices)
    found += [_Unused(address, d.name, d.created, d.last_used) for address, d in devices]
    if json:
        show_json([_describe_unused(one) for one in found])
        return
    rows = [
        (one.address, one.device or "-", _day(one.created), _day(one.last_used)) for one in found
    ]
    show_table(("ADDRESS", "DEVICE", "CREATED", "LAST USED"), rows)


def _describe_unused(unused: _Unused) -> dict[str, object]:
    return {
        "address": str(unused.address),
        "device": unused.device,
        "created": unused.created.isoformat(),
        "last_used": unused.last_used.isoformat() if unused.last_used else None,
    }


def _in_words(site: "Site", described: dict[str, object]) -> dict[str, object]:
    """Return what `--json` shows, as people read it."""
    words = described | {
        "main_password_locked": "yes" if described["main_password_locked"] else "no",
    }
    for moment in ("created", "password_changed", "expires", "last_used"):
        text = described[moment]
        words[moment] = show_time(datetime.fromisoformat(str(text))) if text else "never"
    if words["main_password"] is None:
        words["main_password"] = f"{site.settings.login.main_password.value} (as the site)"
    return words


def _failed_guesses(site: "Site", account: Account) -> int:
    """Return strangers' failures; a site that has never had any gets no database by asking."""
    from mailkeep.app import open_bans

    if not site.door_database.exists():
        return 0
    with open_bans(site) as bans:
        guesses = bans.guesses_of(account.id)
    return 0 if guesses is None else guesses.failures


def _is_locked(failures: int) -> bool:
    from mailkeep.defence.welcomes import GUESSES_LIMIT

    return failures >= GUESSES_LIMIT


def _forget_guesses(site: "Site", account: Account) -> None:
    """Let strangers use the main password again, which its owner has changed or confirmed.

    Sessions that the old password opened end, whether the door's memory can be written or not.
    """
    from mailkeep.app import open_bans

    try:
        if site.door_database.exists():
            with open_bans(site) as bans:
                bans.confirm(account.id)
    finally:
        tell_of_account(site, account)


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"


def _refuse_taken(directory: "AccountDirectory", address: Address) -> None:
    """Say that an account exists before its password is asked for."""
    try:
        directory.get(address)
    except UnknownAccount:
        return
    raise AccountExists(f"the account {address} exists already")


def _remove_mail(folder: Path) -> None:
    """Remove a Maildir's messages, and its folder if nothing else is in it.

    A neighbour's files stay, and so does a home folder that `maildrops.path` names by mistake.
    """
    try:
        for part in ("new", "cur", "tmp"):
            if (folder / part).exists():
                shutil.rmtree(folder / part)
        if folder.exists() and not any(folder.iterdir()):
            folder.resolve().rmdir()
            folder.unlink(missing_ok=True)  # it may have been a link to another disk
    except OSError as cause:
        raise CommandFailed(
            f"some mail is still there: {cause.filename}: {cause.strerror}",
            hint=f"look at {folder}",
        ) from cause
    say(f"{folder} holds other files, which stay" if folder.exists() else f"removed {folder}")


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(
            "there is no terminal to ask whether you mean it",
            hint="--yes says that you do",
            code=ExitCode.WRONG,
        )
    typer.confirm(question, abort=True, err=True)
