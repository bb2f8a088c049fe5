"""The commands of `mailkeep fetch`; `run` is what is meant when none of their names is said.

Only the command that is asked for is imported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.fetch.arguments import HelpShown, read_arguments
from mailkeep.cli.talk import show


@dataclass(frozen=True, slots=True)
class _Command:
    """Where a command is, and what the list of commands says of it."""

    module: str
    name: str
    short_help: str

    def load(self) -> Callable[..., int]:
        """Import it."""
        found: Callable[..., int] = getattr(import_module(self.module), self.name)
        return found


_LOOKING = "mailkeep.cli.fetch.looking"
_TAKING_OVER = "mailkeep.cli.fetch.taking_over"
_COMMANDS = {
    "run": _Command("mailkeep.cli.fetch.run", "run", "Fetch mail (the word may be left out)."),
    "list": _Command(_LOOKING, "list_messages", "List the messages on the server."),
    "status": _Command(_LOOKING, "status", "Count what is only here, only there, in both."),
    "probe": _Command(_LOOKING, "probe", "Show TLS, certificate, capabilities of a server."),
    "login": _Command(_LOOKING, "login", "Log in and out: is the password right?"),
    "import": _Command(
        _TAKING_OVER, "import_accounts", "Take over from fetchmail, getmail, mpop, Thunderbird."
    ),
    "state rebuild": _Command(
        _TAKING_OVER, "rebuild_state", "Make a lost journal anew from what is stored."
    ),
}


def only_listed() -> None:
    """Stand in the list of commands: `entry` has found a `fetch` before this could run."""


def run_fetch(arguments: Sequence[str]) -> int:
    """Run one command of `mailkeep fetch` and return its exit code.

    Args:
        arguments: what stands behind `fetch`.

    Raises:
        CommandFailed: it did.
    """
    if arguments[:1] in (["-h"], ["--help"]):
        _show_help()
        return ExitCode.DONE
    name, rest = _find(list(arguments))
    try:
        return read_arguments(_COMMANDS[name].load(), f"mailkeep fetch {name}", rest)
    except HelpShown:
        return ExitCode.DONE


def _find(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the command that is meant, and what stands behind it."""
    if arguments[:1] == ["state"]:
        if arguments[1:2] != ["rebuild"]:
            raise CommandFailed(
                "what is to be done with the state?",
                hint="mailkeep fetch state rebuild --help",
                code=ExitCode.WRONG,
            )
        return "state rebuild", arguments[2:]
    if arguments and arguments[0] in _COMMANDS:
        return arguments[0], arguments[1:]
    return "run", arguments


def _show_help() -> None:
    width = max(map(len, _COMMANDS))
    show("usage: mailkeep fetch [URL | ACCOUNT ...] [OPTIONS]")
    show("       mailkeep fetch COMMAND [OPTIONS]\n")
    show("Fetch mail into files of your own: none lost, none doubled.\n")
    show("  mailkeep fetch pop3s://alice@mail.example.com --to maildir:~/Mail/alice\n")
    show("commands:")
    for name, command in _COMMANDS.items():
        show(f"  {name:<{width}}  {command.short_help}")
    show("\n`mailkeep fetch COMMAND --help` lists the options; `run --help` those of fetching.")
