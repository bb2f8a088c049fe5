"""`mailkeep account`: who may log in."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.accounts import Account, AccountExists, UnknownAccount
from mailkeep.cli.arguments import AddressArgument, JsonOption
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import maildrop_of, open_accounts, open_site, read_address
from mailkeep.cli.talk import say, show_json, show_table
from mailkeep.values import Address, NotPrepared, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailkeep.accounts.directory import AccountDirectory

commands = typer.Typer(help="Add, show, change and remove accounts.")

PasswordOption = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input, one line."),
]

_PASSWORD_LIMIT_OCTETS = 8192
"""More than any password has after it was prepared (1024 characters)."""


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
    with open_accounts(site) as directory:
        _refuse_taken(directory, named)
        _change(directory.add, named, from_standard_input=password_stdin)
    say(f"added {named}")


@commands.command("password")
def password(
    context: typer.Context, address: AddressArgument, *, password_stdin: PasswordOption = False
) -> None:
    """Give an account another password."""
    site = open_site(context)
    named = read_address(site, address)
    with open_accounts(site) as directory:
        directory.get(named)
        _change(directory.set_password, named, from_standard_input=password_stdin)
    say(f"changed the password of {named}")


@commands.command("list")
def list_accounts(context: typer.Context, *, json: JsonOption = False) -> None:
    """List all accounts."""
    with open_accounts(open_site(context)) as directory:
        accounts = directory.list()
    if json:
        show_json([describe(account) for account in accounts])
        return
    rows = [(a.address, a.state.value, f"{a.created:%Y-%m-%d}") for a in accounts]
    show_table(("ADDRESS", "STATE", "CREATED"), rows)


@commands.command("show")
def show_account(
    context: typer.Context, address: AddressArgument, *, json: JsonOption = False
) -> None:
    """Show one account."""
    site = open_site(context)
    with open_accounts(site) as directory:
        account = directory.get(read_address(site, address))
    described = describe(account) | {"maildrop": str(maildrop_of(site, account.address))}
    if json:
        show_json(described)
    else:
        show_table(("FIELD", "VALUE"), [*described.items()])


@commands.command("disable")
def disable(context: typer.Context, address: AddressArgument) -> None:
    """Refuse an account's logins; its mail stays and more is taken."""
    site = open_site(context)
    with open_accounts(site) as directory:
        say(f"disabled {directory.disable(read_address(site, address)).address}")


@commands.command("enable")
def enable(context: typer.Context, address: AddressArgument) -> None:
    """Let an account log in again, with the password it had."""
    site = open_site(context)
    with open_accounts(site) as directory:
        say(f"enabled {directory.enable(read_address(site, address)).address}")


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
    with open_accounts(site) as directory:
        directory.get(named)
        _confirm(f"Remove {named}" + (f" and all mail in {folder}?" if with_mail else "?"), yes=yes)
        directory.remove(named)
    say(f"removed {named}")
    if with_mail:
        _remove_mail(folder)
    else:
        say(f"its mail stays in {folder}")


def describe(account: Account) -> dict[str, str]:
    """Return an account as `--json` shows it; these names stay."""
    return {
        "address": str(account.address),
        "state": account.state.value,
        "created": account.created.isoformat(),
        "password_changed": account.password_changed.isoformat(),
    }


def _refuse_taken(directory: "AccountDirectory", address: Address) -> None:
    """Say that an account exists before its password is asked for."""
    try:
        directory.get(address)
    except UnknownAccount:
        return
    raise AccountExists(f"the account {address} exists already")


def _change(
    change: "Callable[[Address, Secret], Account]", address: Address, *, from_standard_input: bool
) -> None:
    secret = _read_password() if from_standard_input else _ask_password(address)
    try:
        change(address, secret)
    except NotPrepared as refusal:
        raise CommandFailed(f"this can be no password: {refusal}", code=ExitCode.WRONG) from refusal


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
