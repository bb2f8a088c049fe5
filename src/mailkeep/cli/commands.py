"""All commands but `deliver` under one name, and the table from errors to exit codes.

Each command's own file says what it does; this one only collects them. The libraries behind the
commands are imported when a command runs, so that `--help` is quick.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from mailkeep.accounts import AccountError
from mailkeep.cli import account, deliver, demo, doctor, init, maildrop, serve
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.fetch import commands as fetch
from mailkeep.cli.site_option import SiteOption
from mailkeep.cli.talk import error, show
from mailkeep.database import DatabaseUnavailable
from mailkeep.site import SITE_VARIABLE, SiteError


def _only_listed() -> None:
    """Stand in the list of commands: `entry` has found a `deliver` before this could run."""


EXIT_READER_GONE = 141
"""128 and the number of SIGPIPE, as shells say it."""

application = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a trace with local variables could show a password
    rich_markup_mode=None,
)
application.command("demo", short_help="Try it: two accounts with real-looking mail.")(demo.demo)
application.command("init", short_help="Make a site.")(init.init)
application.command("serve")(serve.serve)
application.add_typer(account.commands, name="account")
application.command("deliver", short_help="Put messages into a maildrop.", help=deliver.HELP)(
    _only_listed
)
application.add_typer(maildrop.commands, name="maildrop")
application.add_typer(fetch.commands, name="fetch")
application.command("doctor", short_help="Check the site and say how to mend it.")(doctor.doctor)


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
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read us has enough (`| head`)
        _drop_output()
        return EXIT_READER_GONE
    except _FAILURES as failure:
        text, hint, exit_code = _explain(failure)
        error(text, hint=hint)
        _drop_output()
        return exit_code
    return code if isinstance(code, int) else ExitCode.DONE


_FAILURES = (
    typer.TyperException,
    typer.Abort,
    EOFError,
    CommandFailed,
    SiteError,
    AccountError,
    DatabaseUnavailable,
    OSError,
)
"""What can go wrong with a user, a site or a machine, as opposed to with this program."""


def _explain(failure: Exception) -> tuple[str, str | None, int]:
    """Return what to say about a failure, the next step, and the exit code."""
    text, hint = str(failure), None
    code: int = ExitCode.FAILED
    match failure:
        case CommandFailed():
            hint, code = failure.hint, failure.code
        case SiteError():
            hint, code = failure.hint, ExitCode.WRONG
        case DatabaseUnavailable():
            hint = failure.hint
        case AccountError():
            hint = "mailkeep account list shows who is there"
        case typer.TyperException():
            context = getattr(failure, "ctx", None)
            text = failure.format_message().rstrip(".")
            text = text[:1].lower() + text[1:]
            hint, code = f"{context.command_path if context else 'mailkeep'} --help", ExitCode.WRONG
        case typer.Abort() | EOFError():
            text = "stopped; nothing was changed"
    return text, hint, code


def _drop_output() -> None:
    """Give the interpreter nothing to complain about at its end when output cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
