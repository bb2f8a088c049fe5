"""The commands. Each has its own file and imports what is heavy when it runs."""

from mailkeep.cli.entry import main

__all__ = ["main"]
