"""The commands that typer reads, under one name.

Each command's own file says what it does; this one only collects them. The libraries behind the
commands are imported when a command runs, so that `--help` is quick.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from mailkeep.cli.ending import run_told
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.lazy import LazyGroup, Place
from mailkeep.cli.site_option import SiteOption
from mailkeep.cli.talk import show


class _Commands(LazyGroup):
    places: ClassVar[Mapping[str, Place]] = {
        "demo": Place("mailkeep.cli.demo", "demo", "Try it: two accounts with real-looking mail."),
        "init": Place("mailkeep.cli.init", "init", "Make a site."),
        "serve": Place(
            "mailkeep.cli.serve", "serve", "Serve the site's mail until SIGTERM or Ctrl-C."
        ),
        "account": Place(
            "mailkeep.cli.account_rules", "commands", "Add, show, change and remove accounts."
        ),
        "device": Place(
            "mailkeep.cli.device", "commands", "Give each program a password of its own."
        ),
        "ban": Place("mailkeep.cli.ban", "commands", "List, add and lift bans."),
        "deliver": Place("mailkeep.cli.deliver", "only_listed", "Put messages into a maildrop."),
        "maildrop": Place("mailkeep.cli.maildrop", "commands", "Look into an account's maildrop."),
        "fetch": Place(
            "mailkeep.cli.fetch.commands", "only_listed", "Fetch mail into files of your own."
        ),
        "events": Place(
            "mailkeep.cli.events", "commands", "Show what happened, and who read what."
        ),
        "doctor": Place("mailkeep.cli.doctor", "doctor", "Check the site and say how to mend it."),
    }


application = typer.Typer(
    cls=_Commands,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a trace with local variables could show a password
    rich_markup_mode=None,
)


def _show_version(*, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        show(f"mailkeep {version('mailkeep')}")
        raise typer.Exit


@application.callback()
def mailkeep(
    context: typer.Context,
    *,
    site: Annotated[
        Path | None,
        typer.Option(
            "--site",
            metavar="DIR",
            help="The site's folder. Otherwise $MAILKEEP_SITE, the folder here or above that"
            " holds a mailkeep.toml, or /var/lib/mailkeep.",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001  # the callback does it
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Hand mail over by POP3S, and keep it safe on the way."""
    context.obj = SiteOption(site)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: what stands behind `mailkeep`.
    """

    def call() -> int:
        try:
            code = application(
                list(arguments) or ["--help"], prog_name="mailkeep", standalone_mode=False
            )
        except typer.TyperException as failure:
            raise _usage_failure(failure) from failure
        except typer.Abort as failure:
            raise EOFError from failure
        return code if isinstance(code, int) else ExitCode.DONE

    return run_told(call)


def _usage_failure(failure: typer.TyperException) -> CommandFailed:
    context = getattr(failure, "ctx", None)
    text = " ".join(failure.format_message().split()).rstrip(".")
    return CommandFailed(
        text[:1].lower() + text[1:],
        hint=f"{context.command_path if context else 'mailkeep'} --help",
        code=ExitCode.WRONG,
    )
