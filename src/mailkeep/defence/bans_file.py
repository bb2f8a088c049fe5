"""The bans in force as a file for a packet filter: a network a line, sorted.

It is replaced whole, so that a reader never meets half of it. nftables and ipset keep the two
address families apart: lines with a colon are IPv6.
"""

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from mailkeep.defence.remembered import BanRow

MODE = 0o644
"""The packet filter's programs run as another user; who is banned is no secret to them."""


class BansFile:
    """The file, written when the bans in force are not what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: str | None = None

    def keep(self, rows: Iterable[BanRow], now_s: float) -> None:
        """Write the bans that ban now.

        Raises:
            OSError: it cannot be written; the old one is as it was.
        """
        text = bans_text(row for row in rows if row.is_in_force(now_s))
        if text != self._written:
            write_bans_file(self.path, text)
            self._written = text


def bans_text(rows: Iterable[BanRow]) -> str:
    """Return the content of the file."""
    return "".join(f"{prefix}\n" for prefix in sorted({row.prefix for row in rows}))


def write_bans_file(path: Path, text: str) -> None:
    """Replace the file.

    Raises:
        OSError: it could not be; the old one is as it was.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), MODE)
            file.write(text)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
