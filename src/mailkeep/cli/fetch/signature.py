"""Options that several commands share, each group one frozen dataclass.

typer reads a command's options from its signature. `with_options` puts the fields of a dataclass
into the signature and hands the command one value, so that fifteen options are written once.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_type_hints

Result = TypeVar("Result")


def with_options(
    kind: type[Any], name: str
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Return a decorator that replaces a parameter by the fields of a dataclass.

    Args:
        kind: the dataclass; each field is annotated for typer and has a default.
        name: of the parameter that the command takes the value by.
    """

    def decorate(command: Callable[..., Result]) -> Callable[..., Result]:
        names = [field.name for field in fields(kind)]

        @functools.wraps(command)
        def call(**said: Any) -> Result:  # whatever typer has read
            return command(**{name: kind(**{one: said.pop(one) for one in names})}, **said)

        own = inspect.signature(command)
        parameters = [*own.parameters.values()]
        place = [parameter.name for parameter in parameters].index(name)
        parameters[place : place + 1] = _parameters(kind)
        hints = get_type_hints(command, include_extras=True)
        hints.pop(name)
        call.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        call.__annotations__ = hints | get_type_hints(kind, include_extras=True)
        return call

    return decorate


def _parameters(kind: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(
            field.name, keyword, default=_default(field), annotation=hints[field.name]
        )
        for field in fields(kind)
    ]


def _default(field: "Field[Any]") -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()
