"""An mbox beside crashes and other programs that write into it."""

import errno
import hashlib
import mailbox
import os
from pathlib import Path

import pytest
from tests.fetch.destinations.places import mbox_place

from mailkeep.fetch.destinations.mbox import MboxDestination
from mailkeep.fetch.destinations.seam import DestinationUnavailable
from mailkeep.testing.destination_contract import HAZARDS, commit_alone, slot_of, store, write

FOREIGN = b"From bob@example.com Thu Jan  1 00:00:00 2024\nSubject: foreign\n\nbody\n\n"
ONE = b"Subject: one\r\n\r\nFrom here\r\n"
TWO = b"Subject: two\r\n\r\n>From there\r\n\r\nend"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Mail" / "alice"


def opened(path: Path) -> MboxDestination:
    destination = MboxDestination(path, path.parent.parent / "spool", lock_timeout_s=0)
    destination.prepare(is_known=False)
    return destination


@pytest.fixture
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk hundreds of times: that a file is torn is simulated anyway."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def found_in(destination: MboxDestination, *numbers: int) -> set[int]:
    tokens = {slot_of(number).token: number for number in numbers}
    return {tokens[token] for token in destination.find(tokens)}


def test_other_programs_see_the_messages(path: Path) -> None:
    """Python's own mailbox module, as one reader of many, counts and separates alike."""
    store(opened(path), HAZARDS)
    read = mailbox.mbox(path, create=False)
    assert len(read) == len(HAZARDS)
    assert [*read][4]["Subject"] == "plain"
    read.close()


@pytest.mark.usefixtures("without_fsync")
@pytest.mark.parametrize("octets", [TWO, ONE, b"", b"\r\n", b"F", b"Subject: x\r\n\r\n" * 3])
@pytest.mark.parametrize("before", [b"", FOREIGN[:-1]], ids=["new", "behind another's"])
def test_a_batch_torn_at_every_octet_is_undone(path: Path, before: bytes, octets: bytes) -> None:
    """S-69: killed while appending: whole messages are found, the torn one goes, once each."""
    destination = opened(path)
    path.write_bytes(before)
    first, second = write(destination, 1, [ONE]), write(destination, 2, [octets])
    mark = destination.begin_batch()
    destination.commit([first, second])
    destination.end_batch()
    whole = path.read_bytes()
    for cut in range(len(before), len(whole) + 1):
        path.write_bytes(whole[:cut])
        again = opened(path)
        assert again.recover(mark) == []
        found = found_in(again, 1, 2)
        assert found == ({1, 2} if cut == len(whole) else found & {1})
        missing = [(i, text) for i, text in ((1, ONE), (2, octets)) if i not in found]
        writers = [write(again, number, [text]) for number, text in missing]
        again.begin_batch()
        again.commit(writers)
        again.end_batch()
        hashes = [message.sha256 for message in again.iterate()]
        expected = [hashlib.sha256(text).digest() for text in (ONE, octets)]
        assert hashes[1 if before else 0 :] == expected
        assert path.read_bytes().startswith(before)


@pytest.mark.usefixtures("without_fsync")
def test_a_torn_message_with_another_s_behind_it_stays(path: Path) -> None:
    """S-69: nothing of another program's is ever cut off; a person is told of the piece."""
    destination = opened(path)
    writer = write(destination, 1, [ONE + b"long line " * 30])
    mark = destination.begin_batch()
    destination.commit([writer])
    destination.end_batch()
    whole = path.read_bytes()
    for cut in range(len(whole) - 1):
        torn = whole[:cut] + FOREIGN
        path.write_bytes(torn)
        again = opened(path)
        lines = again.recover(mark)
        assert path.read_bytes() == torn
        assert found_in(again, 1) == set()
        if whole[:cut].endswith(b"\n") and cut > 110:
            assert "a piece of a message" in lines[0]


def test_a_whole_message_with_another_s_behind_it_is_found(path: Path) -> None:
    """S-03, S-69: another program delivered between the crash and this run."""
    destination = opened(path)
    mark = destination.begin_batch()
    destination.commit([write(destination, 1, [ONE])])
    destination.end_batch()
    path.write_bytes(path.read_bytes() + FOREIGN)
    again = opened(path)
    assert again.recover(mark) == []
    assert found_in(again, 1, 2) == {1}
    store(again, [TWO], first=2)
    assert [message.octets for message in again.iterate()] == [len(ONE), 23, len(TWO)]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_another_s_mail_stays_as_it_was(path: Path, end: bytes) -> None:
    """What was there first stays octet for octet; a missing empty line is added behind it."""
    foreign = FOREIGN.rstrip(b"\n") + end
    destination = opened(path)
    path.write_bytes(foreign)
    store(destination, [ONE])
    assert path.read_bytes().startswith(foreign + b"\n\n"[len(end) :] + b"From mailkeep-K")
    assert [message.octets for message in destination.iterate()] == [
        len(b"Subject: foreign\n\nbody\n"),
        len(ONE),
    ]


def test_mail_that_its_owner_removed_is_no_damage(path: Path) -> None:
    """A file that is shorter than the mark, or another file, is left alone."""
    destination = opened(path)
    mark = store(destination, [ONE, TWO])
    whole = path.read_bytes()
    for kept in (b"", FOREIGN, whole[len(whole) // 2 :], b"x" * 5000, FOREIGN * 20):
        path.write_bytes(kept)
        assert opened(path).recover(mark) == []
        assert path.read_bytes() == kept


def test_a_message_that_its_owner_shortened_is_not_cut_off(path: Path) -> None:
    """A mail program may take an attachment out of another account's message behind our mark."""
    destination = opened(path)
    mark = store(destination, [ONE])
    store(destination, [b"Subject: two\r\n\r\n" + b"attachment\r\n" * 100], first=2)
    shortened = path.read_bytes().replace(b"attachment\r\n", b"") + b"text\n\n"
    path.write_bytes(shortened)
    opened(path).recover(mark)
    assert path.read_bytes() == shortened


def test_a_message_that_another_program_changed_is_not_adopted(path: Path) -> None:
    """mutt adds `Status:`; what is there then is not the message as it came."""
    destination = opened(path)
    store(destination, [ONE])
    changed = path.read_bytes().replace(b"Subject", b"Status: RO\nSubject")
    path.write_bytes(changed)
    assert found_in(destination, 1) == set()
    assert [message.octets for message in destination.iterate()] == [len(ONE) + 11]
    path.write_bytes(path.read_bytes().replace(b"Status: RO\nSubject: one", b"Subject: 0ne"))
    assert found_in(destination, 1) == set()


def test_what_was_stored_is_found_when_the_journal_is_lost(path: Path) -> None:
    """S-10: a token says which message it is, wherever in the file it stands."""
    store(opened(path), [ONE, TWO])
    again = opened(path)
    assert again.recover(None) == []
    assert found_in(again, 1, 2, 3) == {1, 2}


@pytest.mark.parametrize("step", ["write", "fsync"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_batch_that_fails_is_cut_back(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: int
) -> None:
    """S-09, S-69: all of a batch or nothing of it, and the mark stays where it was."""
    destination = opened(path)
    mark = store(destination, [ONE])
    before = path.read_bytes()
    writers = [write(destination, 2, [TWO]), write(destination, 3, [b"x" * 100])]
    assert destination.begin_batch() == mark
    real, calls = getattr(os, step), []

    def fails_once(descriptor: int, *rest: bytes) -> object:
        calls.append(descriptor)
        if len(calls) > 1:
            return real(descriptor, *rest)
        if step == "write":
            real(descriptor, rest[0][:50])
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, step, fails_once)
    with pytest.raises(DestinationUnavailable):
        destination.commit(writers)
    assert destination.end_batch() == mark
    assert path.read_bytes() == before
    assert calls


def test_a_batch_that_cannot_be_cut_back_is_undone_by_the_next_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark that is journalled is the one before it, so the torn message can be seen."""
    destination = opened(path)
    mark = store(destination, [ONE])
    before = path.read_bytes()
    writer = write(destination, 2, [TWO])
    destination.begin_batch()
    real = os.write

    def torn(descriptor: int, octets: memoryview) -> int:
        if octets.nbytes <= 50:
            raise OSError(errno.EIO, "Input/output error")
        return real(descriptor, octets[: octets.nbytes - 50])

    def fails(*_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", torn)
    monkeypatch.setattr(os, "ftruncate", fails)
    with pytest.raises(DestinationUnavailable):
        destination.commit([writer])
    monkeypatch.undo()
    assert destination.end_batch() == mark
    assert len(path.read_bytes()) > len(before)
    assert opened(path).recover(mark) == []
    assert path.read_bytes() == before


def test_a_message_is_on_disk_before_it_is_said_to_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fsync a batch, behind the last write."""
    destination = opened(path)
    writers = [write(destination, i, [b"x" * 400_000]) for i in range(1, 6)]
    destination.begin_batch()
    steps: list[str] = []
    real_write, real_fsync = os.write, os.fsync

    def write_(descriptor: int, octets: bytes) -> int:
        steps.append("write")
        return real_write(descriptor, octets)

    def fsync(descriptor: int) -> None:
        steps.append("fsync")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "write", write_)
    monkeypatch.setattr(os, "fsync", fsync)
    destination.commit(writers)
    destination.end_batch()
    assert steps.count("fsync") == 1
    assert steps[-1] == "fsync"
    steps.clear()
    assert found_in(destination, 1) == {1}
    assert steps[-1:] == ["fsync"]  # a crash may have come before it was done


def test_a_folder_is_no_mbox(tmp_path: Path) -> None:
    """What is there and is no file is said."""
    with pytest.raises(DestinationUnavailable, match="cannot write"):
        MboxDestination(tmp_path, tmp_path / "spool").prepare(is_known=False)


def test_a_commit_outside_of_a_batch_is_a_mistake(tmp_path: Path) -> None:
    """Without the lock nothing is written."""
    place = mbox_place(tmp_path)
    destination = place.prepared()
    with pytest.raises(RuntimeError):
        destination.commit([write(destination, 1, [ONE])])
    assert place.reader.messages() == []
    assert destination.end_batch() is None
    commit_alone(destination, write(destination, 1, [ONE]))
    assert place.reader.messages() == [ONE]
