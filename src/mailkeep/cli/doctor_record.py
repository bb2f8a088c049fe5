"""What `doctor` looks at of the record: the audit trail's end, its table, the file for fail2ban.

Only the end of the trail is verified, down to its last signature: a second, however long the trail
is. `mailkeep events verify` does all of it. Nothing is written, mended or locked.
"""

import os
import stat
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

from mailkeep.cli.findings import Finding, note, ok, wrong
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.opening import open_database
from mailkeep.events.checkpoints import (
    CHECKPOINT_EVENTS,
    PUBLIC_KEY_NAME,
    checkpoint_in,
    is_checkpoint,
    is_signed_by,
    read_public_key,
)
from mailkeep.events.failed_logins import SYSLOG
from mailkeep.events.records import Line, NoRecord, digest, parse_line, record_in
from mailkeep.events.tables import SCHEMA
from mailkeep.events.trail_files import lines_backwards, numbered_files
from mailkeep.site import Site

_LINES_LIMIT = 2 * CHECKPOINT_EVENTS + 2
"""Within so many lines there is a checkpoint, or the trail has been tampered with."""

_VERIFY = "mailkeep events verify names the first record that is not as it was written"
_SYSLOG_SOCKET = Path("/dev/log")


class _NotAsWritten(Exception):
    """The trail's end is not as it was written."""


def check_record(site: Site) -> Iterator[Finding]:
    """Look at what happened being written down."""
    yield from _check_trail(site)
    yield from _check_table(site)
    yield from _check_failed_logins(site)


def _check_trail(site: Site) -> Iterator[Finding]:
    """Look at the trail; `serve` begins it."""
    if not site.trail.exists():
        return
    if not os.access(site.trail, os.R_OK | os.W_OK | os.X_OK):
        hint = f"see that {site.trail} belongs to the site's user and is not mounted read-only"
        yield wrong("trail", f"{site.trail} cannot be read and written: nobody can log in", hint)
        return
    try:
        signed = _verify_end(site.trail)
    except (_NotAsWritten, NoRecord, ValueError) as problem:
        yield wrong("trail", f"{site.trail}: its end is not as it was written: {problem}", _VERIFY)
    except OSError as failure:
        text = f"{failure.filename} cannot be read: {failure.strerror}"
        yield wrong("trail", text, "put it back from a backup; without it nothing can be verified")
    else:
        yield ok("trail", f"{site.trail}: {signed}")


def _verify_end(folder: Path) -> str:
    """Verify the lines behind the last signature, and that.

    Returns:
        What was found, in words.

    Raises:
        OSError, ValueError, _NotAsWritten, NoRecord: it is not as it was written.
    """
    unsigned = 0
    lines = _lines_from_the_end(folder)
    for octets, before in pairwise((*lines, b"")):
        line = parse_line(octets)
        if before and _link(line) != digest(before):
            raise _NotAsWritten("a line does not fit the one before it")
        if is_checkpoint(line):
            if not is_signed_by(read_public_key(folder / PUBLIC_KEY_NAME), line):
                raise _NotAsWritten("the last signature is wrong")
            return f"signed up to record {checkpoint_in(line).seq}, {unsigned} not signed yet"
        unsigned += record_in(line).count
    if len(lines) >= _LINES_LIMIT - 1:
        raise _NotAsWritten("no signature follows where one must")
    return f"{unsigned} events, not signed yet"


def _lines_from_the_end(folder: Path) -> list[bytes]:
    """Return the last lines, the last first; one that is being written is left out."""
    files = reversed(numbered_files(folder))
    lines = (raw for _, path in files for raw in lines_backwards(path) if raw.is_whole)
    return [raw.octets for raw in islice(lines, _LINES_LIMIT)]


def _link(line: Line) -> object:
    """Return what a line says that the line before it is."""
    return line.get("head" if is_checkpoint(line) else "prev")


def _check_table(site: Site) -> Iterator[Finding]:
    """Look whether questions can be asked; a table that is lost is filled from the trail."""
    if not site.events_database.exists():
        return
    try:
        open_database(site.events_database, SCHEMA, create=False).close()
    except DatabaseUnavailable as failure:
        hint = "mailkeep serve puts a damaged one aside and fills another from the trail"
        yield note("events", str(failure), hint)
    else:
        yield ok("events", f"{site.events_database} can be asked")


def _check_failed_logins(site: Site) -> Iterator[Finding]:
    """Look whether refused logins can be written where fail2ban reads them."""
    where = site.settings.log.failed_logins
    if not where:
        return
    if where == SYSLOG:
        yield _check_syslog()
        return
    path = site.folder / where
    problem = _why_not_appended(path)
    if problem is not None:
        hint = "name a file in a folder that the site's user may write to"
        yield wrong("fail2ban", f"{path} cannot be written: {problem}", hint)
    else:
        yield ok("fail2ban", f"{path} can be written")


def _check_syslog() -> Finding:
    if _SYSLOG_SOCKET.exists():
        return ok("fail2ban", "refused logins go to syslog")
    text = f"refused logins go to syslog, and nobody listens at {_SYSLOG_SOCKET}"
    return wrong("fail2ban", text, "start a syslog daemon, or name a file in failed_logins")


def _why_not_appended(path: Path) -> str | None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        is_good = os.access(path.parent, os.W_OK | os.X_OK)
        return None if is_good else f"{path.parent} is not there or is somebody else's"
    except OSError as failure:
        return failure.strerror
    if stat.S_ISLNK(mode):
        return "it is a link, which is not followed"
    if not stat.S_ISREG(mode):
        return "it is no file"
    return None if os.access(path, os.W_OK) else "it is somebody else's"
