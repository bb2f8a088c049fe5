"""Options as the fields of a dataclass, read by argparse.

The other commands have typer; `fetch` has not, because a run is often over in a tenth of a second
and typer alone takes two (docs/decisions/0009-fetch-reads-its-own-options.md).
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, field, fields
from typing import Any, NoReturn, TypeVar, get_type_hints

from mailkeep.cli.failure import CommandFailed, ExitCode

Options = TypeVar("Options")

_KEY = "argument"
_GROUP = "group"


class HelpShown(Exception):
    """`--help` was asked for and answered."""


def switch(flag: str, text: str) -> Any:
    """Return a field that is True if an option was said."""
    return field(default=False, metadata={_KEY: ((flag,), {"action": "store_true", "help": text})})


def option(flag: str, metavar: str, text: str, *, convert: Callable[[str], object] = str) -> Any:
    """Return a field for an option with a value; None if it was not said."""
    words = {"metavar": metavar, "help": text, "type": convert}
    return field(default=None, metadata={_KEY: ((flag,), words)})


def pair(flag: str, metavars: tuple[str, str], text: str) -> Any:
    """Return a field for an option with two values; None if it was not said."""
    return field(
        default=None, metadata={_KEY: ((flag,), {"metavar": metavars, "help": text, "nargs": 2})}
    )


def repeated(flag: str, metavar: str, text: str) -> Any:
    """Return a field for an option that may be said several times."""
    words = {"metavar": metavar, "help": text, "action": "append"}
    return field(default_factory=list, metadata={_KEY: ((flag,), words)})


def argument(
    name: str,
    metavar: str,
    text: str,
    *,
    count: str | None = None,
    convert: Callable[[str], object] = str,
) -> Any:
    """Return a field for what stands by itself.

    Args:
        name: of the field.
        metavar: how it is called in the help.
        text: the help.
        count: `?` for one that may be left out, `*` for any number, None for exactly one.
        convert: makes the value.
    """
    words = {"metavar": metavar, "help": text, "nargs": count, "type": convert}
    settings = {_KEY: ((name,), {key: value for key, value in words.items() if value is not None})}
    if count == "*":
        return field(default_factory=list, metadata=settings)
    return field(default=None, metadata=settings)


def group(kind: type[Any], title: str) -> Any:
    """Return a field that holds a dataclass of options of its own."""
    return field(default_factory=kind, metadata={_GROUP: (kind, title)})


def at_least(minimum: int) -> Callable[[str], int]:
    """Return what makes a whole number that is not below a minimum."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is no whole number from {minimum} on")
        return int(text)

    return number


def seconds(text: str) -> float:
    """Return a number of seconds above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return number


def read_arguments(command: Callable[..., int], program: str, arguments: Sequence[str]) -> int:
    """Read the options of a command and call it.

    Args:
        command: takes them as its one parameter `options`; its docstring is its help.
        program: how it is called: `mailkeep fetch run`.
        arguments: what stands behind.

    Raises:
        CommandFailed: they are wrong.
        HelpShown: there is nothing more to do.
    """
    kind = get_type_hints(command)["options"]
    parser = _Parser(
        prog=program,
        description="\n".join(map(str.strip, (command.__doc__ or "").strip().split("\n"))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    _add_fields(parser, kind, parser)
    said = vars(parser.parse_intermixed_args(list(arguments)))
    return command(_make(kind, said))


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as all commands do."""

    def error(self, message: str) -> NoReturn:
        raise CommandFailed(message, hint=f"{self.prog} --help", code=ExitCode.WRONG)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        del status, message
        raise HelpShown


def _add_fields(
    place: "argparse._ActionsContainer", kind: type[Any], parser: argparse.ArgumentParser
) -> None:
    for one in fields(kind):
        if _GROUP in one.metadata:
            inner, title = one.metadata[_GROUP]
            _add_fields(parser.add_argument_group(title), inner, parser)
            continue
        flags, words = one.metadata[_KEY]
        if flags[0].startswith("-"):
            words = words | {"dest": one.name}
        place.add_argument(*flags, **words)


def _make(kind: type[Options], said: dict[str, Any]) -> Options:
    """Return a value of a dataclass of options, from what was said."""
    values = {}
    for one in fields(kind):  # type: ignore[arg-type]  # always a dataclass
        if _GROUP in one.metadata:
            values[one.name] = _make(one.metadata[_GROUP][0], said)
        else:
            values[one.name] = said.get(one.name, _default(one))
    return kind(**values)


def _default(one: "Field[Any]") -> object:
    return one.default if one.default_factory is MISSING else one.default_factory()
