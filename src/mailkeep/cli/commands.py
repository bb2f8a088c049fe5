"""All commands but `deliver` under one name, and the table from errors to exit codes.

Each command's own file says what it does; this one only collects them. The libraries behind the
commands are imported when a command runs, so that `--help` is quick.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from mailkeep.accounts import AccountError
from mailkeep.cli import account, deliver, demo, doctor, init, maildrop, serve
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import SiteOption
from mailkeep.cli.talk import error, show
from mailkeep.database import DatabaseUnavailable
from mailkeep.site import SITE_VARIABLE, SiteError


def _only_listed() -> None:
    """Stand in the list of commands: `entry` has found a `deliver` before this could run."""


application = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a trace with local variables could show a password
    rich_markup_mode=None,
)
application.command("demo")(demo.demo)
application.command("init")(init.init)
application.command("serve")(serve.serve)
application.add_typer(account.commands, name="account")
application.command("deliver", help=deliver.HELP)(_only_listed)
application.add_typer(maildrop.commands, name="maildrop")
application.command("doctor")(doctor.doctor)


def _show_version(*, asked: bool) -> None:
    if asked:
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
            help=f"The site's folder. Otherwise ${SITE_VARIABLE}, the folder here or above that"
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
    try:
        code = application(
            list(arguments) or ["--help"], prog_name="mailkeep", standalone_mode=False
        )
    except (typer.TyperException, typer.Abort, *_FAILURES) as failure:
        text, hint, exit_code = _explain(failure)
        error(text, hint=hint)
        return exit_code
    return code if isinstance(code, int) else ExitCode.DONE


_FAILURES = (CommandFailed, SiteError, AccountError, DatabaseUnavailable)
"""What can go wrong with a site, as opposed to with this program."""


def _explain(failure: Exception) -> tuple[str, str | None, ExitCode]:
    """Return what to say about a failure, the next step, and the exit code."""
    match failure:
        case CommandFailed(hint=hint, code=code):
            return str(failure), hint, code
        case SiteError(hint=hint):
            return str(failure), hint, ExitCode.WRONG
        case AccountError():
            return str(failure), "mailkeep account list shows who is there", ExitCode.FAILED
        case DatabaseUnavailable(hint=hint):
            return str(failure), hint, ExitCode.FAILED
        case typer.TyperException():
            context = getattr(failure, "ctx", None)
            text = failure.format_message().rstrip(".")
            asked = f"{context.command_path if context else 'mailkeep'} --help"
            return text[:1].lower() + text[1:], asked, ExitCode.WRONG
        case _:
            return "stopped", None, ExitCode.FAILED
