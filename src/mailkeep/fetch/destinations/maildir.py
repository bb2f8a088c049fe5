"""`maildir:PATH`: a Maildir beside any mail program (D. J. Bernstein, maildir(5)).

A message is written in `tmp` and renamed into `new` as `1700000000.Q000001K….mailkeep,S=1234`: the
time of its listing, its place and its token, so that mail programs sort messages as the server did,
and the next run knows its own. `,S=` tells Dovecot and Courier the size. Octets stay as they came,
CRLF with them. `cur` is made last and marks a Maildir that is all there.

Known limit: the folder of a mail program's own kind (`.Sent`) is reached by its path.
"""

import re
from pathlib import Path

from mailkeep.fetch.destinations.durable import shown
from mailkeep.fetch.destinations.files import FilesDestination
from mailkeep.fetch.destinations.seam import Slot

_OWN_TEMPORARY = re.compile(r"-?[0-9]+\.Q[0-9]+K[0-9a-f]{32}\.mailkeep")
_SIZE = re.compile(r",S=([0-9]+)(?![0-9])")
_FLAGS = re.compile(r"[:;!]2,[^:;!]*\Z")
"""`:` is maildir(5)'s; file systems that cannot have it get one of the others."""


class MaildirLayout:
    """See `mailkeep.fetch.destinations.files.Layout`."""

    kind = "maildir"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path / "tmp"
        self.stored = (path / "new", path / "cur")
        self.mark = path / "cur"

    def make_mark(self) -> None:
        """See the protocol."""
        self.mark.mkdir(mode=0o700, exist_ok=True)

    def command_to_make_it(self) -> str:
        """See the protocol."""
        return (
            f"mkdir -p '{shown(self.path)}'/tmp '{shown(self.path)}'/new '{shown(self.path)}'/cur"
        )

    def temporary_name(self, slot: Slot) -> str:
        """See the protocol."""
        return f"{slot.listed_at}.Q{slot.place:06d}{slot.token}.mailkeep"

    def final_name(self, slot: Slot, octets: int) -> str:
        """See the protocol."""
        return f"{self.temporary_name(slot)},S={octets}"

    def is_own_temporary(self, name: str) -> bool:
        """See the protocol."""
        return _OWN_TEMPORARY.fullmatch(name) is not None

    def is_message(self, name: str) -> bool:
        """See the protocol."""
        return not name.startswith(".")

    def is_whole(self, name: str, octets: int) -> bool:
        """See the protocol."""
        announced = _SIZE.search(name)
        return announced is None or int(announced[1]) == octets

    def identity(self, name: str) -> str:
        """See the protocol."""
        return _FLAGS.sub("", name)


class MaildirDestination(FilesDestination):
    """A Maildir; see `mailkeep.fetch.destinations.seam.Destination`.

    Args:
        path: the folder that holds `tmp`, `new` and `cur`; absolute.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(MaildirLayout(path))
