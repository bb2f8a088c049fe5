"""The arguments and options that several commands have."""

from typing import Annotated

import typer

AddressArgument = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="alice, or alice@example.com.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
