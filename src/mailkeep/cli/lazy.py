"""Commands that are imported when they are asked for, so that one does not wait for all the others.

`mailkeep fetch` must not import a server, nor `mailkeep serve` a downloader, and `--help` none of
them: the list of commands is written from the table that says where they are.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import typer
import typer.main
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click.core import Command, Context
    from typer._click.formatting import HelpFormatter


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is.

    Attributes:
        module: that holds it.
        name: of a function, or of a `typer.Typer` with commands of its own.
        short_help: for the list of commands.
    """

    module: str
    name: str
    short_help: str

    def load(self) -> "Command":
        """Import it."""
        found: typer.Typer | Callable[..., object] = getattr(import_module(self.module), self.name)
        if isinstance(found, typer.Typer):
            found.rich_markup_mode = None
            return typer.main.get_group(found)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command()(found)
        return typer.main.get_command(alone)


class LazyCommands(MutableMapping[str, "Command"]):
    """Commands by name; what is looked up is loaded.

    Args:
        places: of all of them.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> "Command":
        if name not in self._loaded:
            command = self._places[name].load()
            command.name = name
            self._loaded[name] = command
        return self._loaded[name]

    def __setitem__(self, name: str, command: "Command") -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class LazyGroup(TyperGroup):
    """A group of commands that are not imported yet; a subclass names them in `places`."""

    places: ClassVar[Mapping[str, Place]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = LazyCommands(self.places)

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the list of commands without loading them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.short_help) for name, place in self.places.items()])
