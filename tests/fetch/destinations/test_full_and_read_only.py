"""A disk that is full and a disk that takes no writes, for real (a tmpfs, a bind mount)."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fetch.destinations.places import PLACES
from tests.harness.programs import cannot_run

from mailkeep.fetch.destinations.seam import DestinationUnavailable
from mailkeep.testing.destination_contract import Place, commit_alone, slot_of, store, write

pytestmark = pytest.mark.root

SMALL, BIG = b"Subject: x\r\n\r\n" + b"body\r\n" * 1000, b"body\r\n" * 60_000


@contextmanager
def mounted(*arguments: str, at: Path) -> Iterator[None]:
    """Mount something for the length of a test."""
    done = subprocess.run(["mount", *arguments, str(at)], capture_output=True, check=False)
    if done.returncode != 0:
        cannot_run(f"cannot mount here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def fill(ballast: Path) -> None:
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (4096, 1):
        with pytest.raises(OSError, match="No space"):
            write_for_ever(descriptor, b"x" * size)
    os.close(descriptor)


def write_for_ever(descriptor: int, octets: bytes) -> None:
    while True:
        os.write(descriptor, octets)


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("octets", [SMALL, BIG], ids=["small", "big"])
def test_a_full_disk_stores_nothing_and_leaves_nothing(
    tmp_path: Path, kind: str, octets: bytes
) -> None:
    """S-09: the run ends with a clear line; what was stored stays, and nothing half takes room."""
    with mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", at=tmp_path):
        place = PLACES[kind](tmp_path)
        destination = place.prepared()
        mark = store(destination, [b"stored before\r\n"])
        fill(tmp_path / "ballast")
        with pytest.raises(DestinationUnavailable, match="no space left") as refused:
            fill_and_commit(destination_of=place, octets=octets)
        assert "make room" in (refused.value.hint or "")
        assert place.reader.messages() == [b"stored before\r\n"]
        assert place.reader.litter() == []
        (tmp_path / "ballast").unlink()
        store(place.restarted(mark), [octets], first=2)
        assert place.reader.messages() == [b"stored before\r\n", octets]


def fill_and_commit(*, destination_of: Place, octets: bytes) -> None:
    """Store a message where no room is left, and let go as a run that ends does."""
    destination = destination_of.restarted(None)
    writer = destination.open(slot_of(2))
    try:
        writer.write(octets)
        commit_alone(destination, writer)
    finally:
        writer.abandon()


@pytest.mark.parametrize("kind", PLACES)
def test_a_read_only_disk_is_said_before_anything_is_fetched(tmp_path: Path, kind: str) -> None:
    """S-14: root ignores modes, so the mount itself is read-only."""
    place = PLACES[kind](tmp_path)
    destination = place.prepared()
    store(destination, [b"stored before\r\n"])
    mail = tmp_path / "Mail"
    with mounted("--bind", str(mail), at=mail):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(mail)], check=True)
        with pytest.raises(DestinationUnavailable, match="cannot write"):
            place.open().prepare(is_known=True)
        writer = write(destination, 2, [b"too late\r\n"])
        with pytest.raises(DestinationUnavailable, match="read-only"):
            commit_alone(destination, writer)
        assert place.reader.messages() == [b"stored before\r\n"]
    store(destination, [b"again\r\n"], first=2)
    assert place.reader.messages() == [b"stored before\r\n", b"again\r\n"]
