"""`mailkeep ban`: networks from which nobody is let in.

The door's own bans turn guesses away and let devices and familiar accounts pass; an operator's are
for all. A session that is open goes on: `device revoke` and `account disable` end it.
"""

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.cli.arguments import JsonOption
from mailkeep.cli.changing import tell_of_bans, this_user
from mailkeep.cli.events_times import show_time
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import open_site
from mailkeep.cli.spans import read_span_s
from mailkeep.cli.talk import say, show_json, show_table
from mailkeep.defence.prefixes import InvalidPrefix, parse_prefix
from mailkeep.defence.remembered import BanRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailkeep.site import Site

commands = typer.Typer(help="List, add and lift bans.")

PrefixArgument = Annotated[
    str, typer.Argument(metavar="NETWORK", help="192.0.2.7, 192.0.2.0/24 or 2001:db8::/64.")
]


@commands.command("list")
def list_bans(context: typer.Context, *, json: JsonOption = False) -> None:
    """List the bans in force."""
    bans = _bans_of(open_site(context))
    if json:
        show_json([describe(ban) for ban in bans])
        return
    rows = [(ban.prefix, _shown(ban), ban.made_by, ban.reason) for ban in bans]
    show_table(("NETWORK", "UNTIL", "BY", "REASON"), rows)


@commands.command("add")
def add(
    context: typer.Context,
    prefix: PrefixArgument,
    *,
    span: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="SPAN", help="How long: 15m, 12h, 30d. Otherwise until lifted."
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="For whoever reads the list.")
    ] = "an operator's decision",
) -> None:
    """Let nobody in from a network; in force at once.

    Not even devices and owners, unlike a ban of the door's own. Open sessions go on.
    """
    from mailkeep.app import open_bans

    site = open_site(context)
    seconds = None if span is None else read_span_s(span)
    checked = _checked(prefix)
    with open_bans(site) as directory:
        ban = directory.add(checked, seconds, reason, this_user())
    tell_of_bans(site)
    say(f"banned {ban.prefix}" + (f" until {_shown(ban)}" if seconds else ""))
    if ip_network(ban.prefix).network_address in site.settings.door.allow:
        say("`allow` under [door] names this network too: the ban goes before it")


@commands.command("remove")
def remove(context: typer.Context, prefix: PrefixArgument) -> None:
    """Lift a ban; in force at once."""
    from mailkeep.app import open_bans

    site = open_site(context)
    checked = _checked(prefix)
    with open_bans(site) as directory:
        is_lifted = directory.remove(checked, this_user())
    tell_of_bans(site)
    if not is_lifted:
        raise CommandFailed(f"{checked} is not banned", hint="mailkeep ban list shows what is")
    say(f"lifted the ban of {checked}")


def describe(ban: BanRow) -> dict[str, object]:
    """Return a ban as `--json` shows it; these names stay."""
    return {
        "network": ban.prefix,
        "until": _until(ban),
        "reason": ban.reason,
        "by": ban.made_by,
    }


def _bans_of(site: "Site") -> "Sequence[BanRow]":
    """Return the bans in force; a site that has never had any gets no database by asking."""
    from mailkeep.app import open_bans

    if not site.door_database.exists():
        return []
    with open_bans(site) as directory:
        return directory.list()


def _until(ban: BanRow) -> str | None:
    if ban.until_s is None:
        return None
    return datetime.fromtimestamp(ban.until_s, UTC).isoformat(timespec="seconds")


def _shown(ban: BanRow) -> str:
    if ban.until_s is None:
        return "until lifted"
    return show_time(datetime.fromtimestamp(ban.until_s, UTC))


def _checked(text: str) -> str:
    """Return the network that is meant, in the form in which bans are kept."""
    try:
        if "%" not in text:  # RFC 4007: a zone is this machine's own word, and no client has one
            return parse_prefix(text)
    except InvalidPrefix:
        pass
    raise CommandFailed(
        f"{text} is not an address or network",
        hint="write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64",
        code=ExitCode.WRONG,
    )
