"""`mailkeep maildrop`: what is in an account's maildrop."""

import typer

from mailkeep.cli.arguments import AddressArgument, JsonOption
from mailkeep.cli.failure import CommandFailed
from mailkeep.cli.site_option import open_accounts, open_site, read_address
from mailkeep.cli.talk import show_json, show_table
from mailkeep.maildrop import MaildropUnavailable
from mailkeep.values import Index, number_of

commands = typer.Typer(help="Look into an account's maildrop.")


@commands.callback()
def maildrop() -> None:
    """Keep `list` a word of its own: with one command typer would leave it out."""


@commands.command("list")
def list_messages(
    context: typer.Context, address: AddressArgument, *, json: JsonOption = False
) -> None:
    """List the messages as a session that began now would see them; nobody is locked out."""
    from mailkeep.app import open_store

    site = open_site(context)
    with open_accounts(site) as directory:
        account = directory.get(read_address(site, address))
    try:
        listing = open_store(site).list_messages(account.id, account.address)
    except MaildropUnavailable as failure:
        raise CommandFailed(
            f"the maildrop cannot be read: {failure}",
            hint="mailkeep doctor tells what is wrong",
        ) from failure
    rows = [
        (number_of(place), listing.uidl(place).decode("ascii"), listing.octets(place))
        for place in map(Index, range(len(listing)))
    ]
    if json:
        names = ("number", "uidl", "octets")
        show_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        show_table(("NUMBER", "UIDL", "OCTETS"), rows)
