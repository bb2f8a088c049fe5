"""Delivering a message into a Maildir: safe on disk when it is said to be, or not there at all.

The steps are those of maildir(5): write under a temporary name in `tmp`, fsync, link into `new`
under a name that tells the sizes, fsync `new`, remove the temporary name. A crash before the link
leaves a file in `tmp`, which a later delivery removes; one after it leaves the message, which was
whole by then.

It starts once a message, from a pipe of an MTA, so it imports neither asyncio nor a database, and
it knows no accounts. A message of any size takes the same memory.

A message is stored as it goes over the wire, with CRLF: it is sent from its file without being
looked at.

What was found out on the way, the digest, is handed to whoever remembers it before the message is
published: no session meets the message without it, and nothing that could take long stands between
the link and the answer to the MTA, where being killed would bring the message twice.

Known limit: the file system must have hard links.
"""

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from mailkeep.maildrop.maildir.names import INTERNATIONALISED_FIELD
from mailkeep.maildrop.maildir.stamps import stamp_of
from mailkeep.message import WireDigest
from mailkeep.values import UIDL_LIMIT_OCTETS

STALE_AFTER_S = 36 * 3600
"""maildir(5): what was not touched in `tmp` for 36 hours belongs to a delivery that failed."""

_CHUNK_OCTETS = 1 << 16
"""What a pipe holds on Linux (pipe(7)): more would never come at once."""

_NOT_IN_A_HOST = re.compile(rb"[^A-Za-z0-9.-]")


class Source(Protocol):
    """Where a message comes from: a file or a pipe, open for reading octets."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` octets, none at the end."""


@dataclass(frozen=True, slots=True)
class UniqueName:
    """What makes a base name unique: the time, the process and 32 random bits."""

    time_ns: int
    process: int
    random: bytes
    host: bytes

    @classmethod
    def make(cls, hostname: str) -> "UniqueName":
        """Return a name that nobody has had."""
        host = _NOT_IN_A_HOST.sub(lambda found: b"\\%03o" % found[0][0], os.fsencode(hostname))
        return cls(time.time_ns(), os.getpid(), os.urandom(4), host)

    def base(self, *, fields: bytes) -> bytes:
        """Return the base name, of at most 70 octets so that it is its own unique-id.

        What has to go is the end of the host's name, which only helps a reader.
        """
        seconds, ns = divmod(self.time_ns, 10**9)
        unique = b"%d.M%06dP%dR%s." % (
            seconds,
            ns // 1000,
            self.process,
            self.random.hex().encode(),
        )
        room = UIDL_LIMIT_OCTETS - len(unique) - len(fields)
        return unique + self.host[: max(room, 1)] + fields


class Written(NamedTuple):
    """What is known of a message when it is on disk under its temporary name."""

    octets: int
    """Of the file, and so of the wire form."""
    sha256: str
    """Of them, in hexadecimal digits."""
    stamp: bytes
    """Of its file, which it keeps."""
    dots: list[int] | None
    """Where lines begin with a dot; None if there are more than a few."""

    def fields(self, *, is_internationalised: bool) -> bytes:
        """Return what its name tells."""
        sizes = b",S=%d,W=%d" % (self.octets, self.octets)
        return sizes + INTERNATIONALISED_FIELD if is_internationalised else sizes


def deliver(
    maildir: Path,
    source: Source,
    hostname: str,
    *,
    is_internationalised: bool = False,
    on_written: Callable[[bytes, Written], None] = lambda _base, _written: None,
) -> bytes:
    """Put a message into `new` and return its base name when it is durable.

    Args:
        maildir: made with mode 0700 if it is not there.
        source: the message; it is stored in wire form, so that it goes out as it lies on disk.
        hostname: of this site.
        is_internationalised: whether it came with SMTPUTF8 (RFC 6531).
        on_written: told the base name, before the message has it; must be quick and never raise.

    Raises:
        OSError: it could not be stored, and is not there.
    """
    make_folders(maildir)
    unique = UniqueName.make(hostname)
    temporary = maildir / "tmp" / os.fsdecode(unique.base(fields=b""))
    try:
        written = write_temporary(temporary, source)
        base = unique.base(fields=written.fields(is_internationalised=is_internationalised))
        on_written(base, written)
        publish(temporary, maildir / "new" / os.fsdecode(base))
    finally:
        # After the link the temporary name is a second one, before it a failed delivery. If it
        # cannot be removed, a later delivery does it.
        with contextlib.suppress(OSError):
            temporary.unlink()
    remove_stale(maildir / "tmp", now_s=time.time())
    return base


def make_folders(maildir: Path) -> None:
    """Make what is missing of the Maildir, durably.

    `cur` is made last, so whoever finds it knows that all the way down to it is safe on disk.
    """
    if (maildir / "cur").is_dir():
        return
    missing = [folder for folder in (maildir, *maildir.parents) if not folder.exists()]
    for folder in (*reversed(missing), maildir / "tmp", maildir / "new"):
        folder.mkdir(mode=0o700, exist_ok=True)
    device = maildir.stat().st_dev
    for folder in (maildir, *maildir.parents):
        if folder.stat().st_dev != device or not os.access(folder, os.R_OK):
            break  # whoever may not read it has made nothing in it
        fsync_folder(folder)
    (maildir / "cur").mkdir(mode=0o700, exist_ok=True)


def write_temporary(temporary: Path, source: Source) -> Written:
    """Write the message, bring it to disk and return what is known of it then."""
    wire = WireDigest()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _closing(os.open(temporary, flags, 0o600)) as descriptor:
        while chunk := source.read(_CHUNK_OCTETS):
            _write_all(descriptor, wire.feed(chunk))
        _write_all(descriptor, wire.finish())
        os.fsync(descriptor)
        stamp = stamp_of(os.fstat(descriptor))
    return Written(wire.octets, wire.sha256, stamp, wire.dots)


def publish(temporary: Path, final: Path) -> None:
    """Give the message its name in `new`, durably, or not at all."""
    os.link(temporary, final)
    try:
        fsync_folder(final.parent)
    except BaseException:
        final.unlink()  # else the MTA tries again and the message is there twice
        raise


def remove_stale(tmp: Path, *, now_s: float) -> None:
    """Remove what deliveries that failed have left, as maildir(5) asks of everybody.

    Whatever goes wrong here is no failure of the delivery that was made before.
    """
    with contextlib.suppress(OSError):
        for path in tmp.iterdir():
            status = path.lstat()
            # Who copies old mail sets the first two back (mbsync, cp -p); nobody sets the third.
            touched_s = max(status.st_atime, status.st_mtime, status.st_ctime)
            if stat.S_ISREG(status.st_mode) and now_s - touched_s > STALE_AFTER_S:
                path.unlink()


def fsync_folder(folder: Path) -> None:
    """Bring the names in `folder` to disk."""
    with _closing(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as descriptor:
        os.fsync(descriptor)


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
