"""The commands of `mailkeep fetch`; `run` is what is meant when none of their names is said."""

from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from mailkeep.cli.fetch import looking, run, taking_over

if TYPE_CHECKING:
    from typer._click.core import Context

_HELP = ("-h", "--help")


class FetchGroup(TyperGroup):
    """Takes `mailkeep fetch ANYTHING` for `mailkeep fetch run ANYTHING`."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Put the word in that is meant."""
        if not args or (args[0] not in self.commands and args[0] not in _HELP):
            args = ["run", *args]
        return super().parse_args(ctx, args)


commands = typer.Typer(
    cls=FetchGroup,
    help="Fetch mail into files of your own: none lost, none doubled.\n\n"
    "`mailkeep fetch URL --to DEST` and `mailkeep fetch [ACCOUNT ...]` mean `mailkeep fetch run`.",
    rich_markup_mode=None,
)
commands.command("run", short_help="Fetch mail (the word may be left out).")(run.run)
commands.command("list", short_help="List the messages on the server.")(looking.list_messages)
commands.command("status", short_help="Count what is only here, only there, in both.")(
    looking.status
)
commands.command("probe", short_help="Show TLS, certificate and capabilities of a server.")(
    looking.probe
)
commands.command("login", short_help="Log in and out: is the password right?")(looking.login)
commands.command("import", short_help="Take over from fetchmail, getmail, mpop, Thunderbird.")(
    taking_over.import_accounts
)
state = typer.Typer(help="Mend the journal of an account.", rich_markup_mode=None)
state.command("rebuild", short_help="Make the journal anew from what is stored.")(
    taking_over.rebuild_state
)


@state.callback()
def _state() -> None:
    """Keep `rebuild` a word of its own: with one command typer would leave it out."""


commands.add_typer(state, name="state")
