"""Maildir, folder and mbox keep the contract of destinations."""

import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fetch.destinations.places import PLACES, folder_place, maildir_place, mbox_place
from tests.messages import HAZARDS

from mailkeep.testing.destination_contract import (
    DestinationContract,
    Place,
    slot_of,
    store,
    write,
)


class TestMaildir(DestinationContract):
    """The contract, on a Maildir."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return maildir_place(tmp_path)


class TestFolder(DestinationContract):
    """The contract, on a folder of files."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return folder_place(tmp_path)


class TestMbox(DestinationContract):
    """The contract, on an mbox."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return mbox_place(tmp_path)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path)


def test_every_hazard_is_stored_octet_for_octet(place: Place) -> None:
    """Bytes are stored as they came: messages that have broken POP3 programs, both ways round."""
    destination = place.prepared()
    messages = [*HAZARDS.values(), *(text.replace(b"\n", b"\r\n") for text in HAZARDS.values())]
    store(destination, messages)
    assert place.reader.messages() == messages
    hashes = {hashlib.sha256(octets).digest() for octets in messages}
    assert {found.sha256 for found in place.open().iterate()} == hashes


def test_a_message_of_any_size_takes_the_same_memory(place: Place) -> None:
    """S-53: 64 MB through a destination, and back, without a copy of it in memory."""
    destination = place.prepared()
    piece = b"From x" + b"y" * 65_528 + b"\r\n"
    tracemalloc.start()
    writer = destination.open(slot_of(1))
    for _ in range(1000):
        writer.write(piece)
    destination.begin_batch()
    destination.commit([writer])
    destination.end_batch()
    found = destination.find([slot_of(1).token])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found[slot_of(1).token].octets == 1000 * len(piece)
    assert peak < 8_000_000


def test_a_small_message_costs_the_event_loop_no_system_call(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `commit` asks the disk for anything, in its own thread."""
    destination = place.prepared()

    def refuse(*_: object) -> int:
        pytest.fail("a system call in the event loop")

    for call in ("open", "write", "fsync", "fstat", "stat"):
        monkeypatch.setattr(os, call, refuse)
    writer = write(destination, 1, [b"x" * 1000] * 100)
    monkeypatch.undo()
    writer.abandon()


def test_files_and_folders_are_the_owner_s_alone(tmp_path: Path, place: Place) -> None:
    """Mail is private from its first octet, whatever the umask lets through."""
    before = os.umask(0)
    try:
        store(place.prepared(), [b"x\r\n", b"x" * 200_000])
    finally:
        os.umask(before)
    made = [tmp_path / "Mail", *(tmp_path / "Mail").rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}


@settings(max_examples=50, deadline=None)
@given(
    messages=st.lists(
        st.lists(st.sampled_from([b">", b"From ", b"F", b"rom ", b"\n", b"\r", b"x"]), max_size=12),
        max_size=4,
    )
)
def test_any_messages_come_back_from_an_mbox(
    tmp_path_factory: pytest.TempPathFactory, messages: list[list[bytes]]
) -> None:
    """Whatever looks like quoting or like a separator: the octets are the same again."""
    place = mbox_place(tmp_path_factory.mktemp("mbox"))
    destination = place.prepared()
    writers = [write(destination, i + 1, pieces) for i, pieces in enumerate(messages)]
    destination.begin_batch()
    destination.commit(writers)
    destination.end_batch()
    octets = [b"".join(pieces) for pieces in messages]
    assert place.reader.messages() == octets
    assert [each.sha256 for each in destination.iterate()] == [
        hashlib.sha256(each).digest() for each in octets
    ]
