"""A disk that is really full, and has room again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.test_full_and_read_only import fill, mounted
from tests.events.conftest import Clock, TrailPlace, recorded, until
from tests.events.samples import read

from mailkeep.events import types
from mailkeep.events.verifying import Verified, verify_trail

pytestmark = pytest.mark.root


@pytest.fixture
def small(tmp_path: Path, clock: Clock) -> Iterator[TrailPlace]:
    """A trail on a disk of two megabytes."""
    with mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", at=tmp_path):
        yield TrailPlace(tmp_path / "trail", tmp_path / "events.db", now=clock)


def until_told(place: TrailPlace, kind: type[object]) -> None:
    until(lambda: any(isinstance(event, kind) for event in place.told.events))


def test_nothing_is_lost_while_the_disk_is_full(small: TrailPlace) -> None:
    """It is tried again until there is room; then everything is there once, and in order."""
    trail = small.open()
    trail.emit(read("before"))
    until(lambda: trail.confirmed == 1)
    ballast = small.folder.parent / "ballast"
    fill(ballast)
    for n in range(300):
        trail.emit(read(str(n)))
    until_told(small, types.TrailFailed)
    ballast.unlink()
    until_told(small, types.TrailResumed)
    trail.close()
    assert [record.text("uidl") for record in recorded(small)] == ["before", *map(str, range(300))]
    assert verify_trail(small.folder, witness=small.folder / "checkpoints") == Verified(301, 1, 0)


def test_a_trail_that_ends_on_a_full_disk_is_whole(small: TrailPlace) -> None:
    """What could not be written is told as dropped, and half of it is not there."""
    trail = small.open()
    trail.emit(read("before"))
    until(lambda: trail.confirmed == 1)
    fill(small.folder.parent / "ballast")
    for n in range(300):
        trail.emit(read(str(n)))
    trail.close(timeout_s=0.3)
    assert any(isinstance(event, types.EventsDropped) for event in small.told.events)
    (small.folder.parent / "ballast").unlink()
    small.write(read("after"))
    found = [record.text("uidl") for record in recorded(small) if record.type == "message read"]
    assert found[0] == "before"
    assert found[-1] == "after"
    assert found[1:-1] == [str(n) for n in range(len(found) - 2)]
    assert isinstance(verify_trail(small.folder), Verified)
