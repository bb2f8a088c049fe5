"""The mail: real files in Maildirs, the same in every run.

Messages lie in `cur`, read, with their sizes in their names, as Dovecot's own delivery writes them:
no server has to rename, count or move anything in the first session that it would not in the last.

Names and sizes are as different as real ones. It matters: Dovecot's hash of a name depends on
little but its last characters, and with names that only count its polls take ten times as long.
"""

import functools
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.fetch.mailboxes import messages
from bench.fetch.rows import Row
from bench.server.people import Population

FIRST_TIME = 1_750_000_000
PERIOD_S = 10_000_000
"""Mail of four months."""

SHORT_OCTETS = 5_000
"""Below, messages are lines of one letter: there are many, and nobody looks into them."""


DIFFERENT = 10_000
"""Messages that are not alike; a maildrop with more has each several times."""


@functools.cache
def texts(count: int, octets: int) -> tuple[bytes, ...]:
    """Return so many messages of about so many octets, as they are stored, with LF."""
    if octets < SHORT_OCTETS:
        return tuple(_short(count, octets))
    return tuple(messages(Row("bench", count, octets, 0)))


def fill_all(tree: Path, population: Population) -> None:
    """Make the Maildirs of a population under `tree/domain`."""
    contents = texts(min(population.messages, DIFFERENT), population.octets)
    for address in population.addresses:
        fill(maildir_of(tree, address), contents, count=population.messages)


def maildir_of(tree: Path, address: str) -> Path:
    """Return where an account's mail is."""
    local, _, domain = address.partition("@")
    return tree / domain / local


def fill(maildir: Path, contents: Sequence[bytes], *, count: int, series: int = 0) -> None:
    """Lay messages into a Maildir, which is made.

    Args:
        maildir: where.
        contents: what, over and over.
        count: how many.
        series: tells the names of one filling from those of the next.
    """
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    for number, unique in enumerate(unique_names(count, series)):
        write_message(maildir / "cur", contents[number % len(contents)], unique, "2,S")


def unique_names(count: int, series: int = 0) -> list[str]:
    """Return what names of messages begin with: a time, microseconds and a process; rising."""
    source = random.Random(series)  # noqa: S311  # names, not secrets
    times = sorted(source.randrange(PERIOD_S) for _ in range(count))
    return [
        f"{FIRST_TIME + time}.M{source.randrange(1_000_000)}P{source.randrange(400, 4_000_000)}"
        for time in times
    ]


def write_message(folder: Path, content: bytes, unique: str, flags: str) -> Path:
    """Write one message under a name that tells its sizes, and its flags if there are any."""
    wire_octets = len(content) + content.count(b"\n")
    name = f"{unique}.mail.example,S={len(content)},W={wire_octets}"
    path = folder / (f"{name}:{flags}" if flags else name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    os.close(descriptor)
    return path


def give_away(folder: Path, user: str | None) -> None:
    """Give a folder and all in it to the user that Dovecot reads mail as."""
    if user is not None:
        for path in _walk(folder):
            shutil.chown(path, user)


def _walk(folder: Path) -> Iterator[str]:
    yield str(folder)
    for parent, folders, files in os.walk(folder):
        yield from (f"{parent}/{name}" for name in (*folders, *files))


def _short(count: int, octets: int) -> Iterator[bytes]:
    """Yield messages of half to one and a half times the octets, in lines of all lengths."""
    source = random.Random(octets)  # noqa: S311  # mail, not secrets
    lines = b"".join(b"x" * source.randrange(1, 70) + b"\n" for _ in range(octets))
    for number in range(count):
        head = f"From: person{number}@example.net\nSubject: message {number}\n\n".encode()
        wanted = source.randrange(octets // 2, octets * 3 // 2) - len(head)
        start = source.randrange(len(lines) - wanted)
        yield head + lines[start : start + wanted - 1] + b"\n"
