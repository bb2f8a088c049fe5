"""A folder for messages that must be whole before they are handed on.

Its files have no name once they are open, so nothing can be left in it.
"""

import os
from pathlib import Path

from mailkeep.fetch.destinations.durable import make_folder, shown, storing
from mailkeep.fetch.destinations.temporary import LateFile


class Spool:
    """The folder.

    Args:
        path: made with mode 0700 if it is not there; several destinations may share it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            DestinationUnavailable: it cannot be made.
        """
        with storing(f"cannot make {shown(self._path)}"):
            make_folder(self._path)

    def new_path(self) -> Path:
        """Return a name that nobody has."""
        return self._path / f".{os.urandom(8).hex()}.part"


class SpooledMessage(LateFile):
    """A message in a spool; a `mailkeep.fetch.destinations.seam.Writer`."""

    __slots__ = ()

    def __init__(self, spool: Spool) -> None:
        super().__init__(spool.new_path, is_anonymous=True)
