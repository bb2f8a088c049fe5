"""`dir:FOLDER`: one `.eml` a message, for people and for programs that open files.

`2024-05-01T120000Z-000001-K….eml`: the time of its listing, its place and its token. Octets stay as
they came. An unfinished message is hidden, `.….eml.part`. The file `.mailkeep` marks the folder, so
that an empty one under a disk that is not mounted is not taken for it.
"""

import os
import re
import time
from pathlib import Path

from mailkeep.fetch.destinations.durable import shown
from mailkeep.fetch.destinations.files import FilesDestination
from mailkeep.fetch.destinations.seam import Slot

_OWN_TEMPORARY = re.compile(r"\.[0-9TZ-]+-K[0-9a-f]{32}\.eml\.part")


class FolderLayout:
    """See `mailkeep.fetch.destinations.files.Layout`."""

    kind = "dir"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path
        self.stored = (path,)
        self.mark = path / ".mailkeep"

    def make_mark(self) -> None:
        """See the protocol."""
        descriptor = os.open(self.mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)

    def command_to_make_it(self) -> str:
        """See the protocol."""
        return f"mkdir -p '{shown(self.path)}' && touch '{shown(self.mark)}'"

    def temporary_name(self, slot: Slot) -> str:
        """See the protocol."""
        return f".{self.final_name(slot, 0)}.part"

    def final_name(self, slot: Slot, octets: int) -> str:
        """See the protocol."""
        del octets
        listed = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(slot.listed_at))
        return f"{listed}-{slot.place:06d}-{slot.token}.eml"

    def is_own_temporary(self, name: str) -> bool:
        """See the protocol."""
        return _OWN_TEMPORARY.fullmatch(name) is not None

    def is_message(self, name: str) -> bool:
        """See the protocol."""
        return name.endswith(".eml") and not name.startswith(".")

    def is_whole(self, name: str, octets: int) -> bool:
        """See the protocol."""
        del name, octets
        return True  # only what was whole has such a name

    def identity(self, name: str) -> str:
        """See the protocol."""
        return name


class FolderDestination(FilesDestination):
    """A folder of messages; see `mailkeep.fetch.destinations.seam.Destination`.

    Args:
        path: the folder, absolute.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(FolderLayout(path))
