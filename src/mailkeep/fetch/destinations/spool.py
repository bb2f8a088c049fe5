"""A folder for messages that must be whole before they are handed on.

Its files lose their name as soon as they are open; a run that was killed in between leaves one, and
the next run removes it.
"""

import os
import re
import time
from pathlib import Path

from mailkeep.fetch.destinations.durable import make_folder, shown, storing
from mailkeep.fetch.destinations.temporary import LateFile, remove_if_left

_OWN_NAME = re.compile(r"\.[0-9a-f]{16}\.part")


class Spool:
    """The folder.

    Args:
        path: made with mode 0700 if it is not there; several destinations may share it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Make the folder, or remove what a crashed run has left in it.

        Raises:
            DestinationUnavailable: it cannot be made or looked at.
        """
        with storing(f"cannot make {shown(self._path)}"):
            make_folder(self._path)
            for left in self._path.iterdir():
                if _OWN_NAME.fullmatch(left.name):
                    remove_if_left(left, now_s=time.time())

    def new_path(self) -> Path:
        """Return a name that nobody has."""
        return self._path / f".{os.urandom(8).hex()}.part"


class SpooledMessage(LateFile):
    """A message in a spool; a `mailkeep.fetch.destinations.seam.Writer`."""

    __slots__ = ()

    def __init__(self, spool: Spool) -> None:
        super().__init__(spool.new_path, is_anonymous=True)
