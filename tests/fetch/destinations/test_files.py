"""A Maildir and a folder of files beside mail programs, crashes and disks that fail."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from tests.fetch.destinations.places import FolderReader, folder_place, maildir_place

from mailkeep.fetch.destinations import files, temporary
from mailkeep.fetch.destinations.maildir import MaildirDestination
from mailkeep.fetch.destinations.seam import DestinationUnavailable
from mailkeep.testing.destination_contract import Place, commit_alone, slot_of, store, write

TOKEN = slot_of(1).token


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    return tmp_path / "Mail" / "alice"


@pytest.fixture(params=[maildir_place, folder_place], ids=["maildir", "dir"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    place = request.param(tmp_path)
    assert isinstance(place, Place)
    return place


def test_the_names_tell_time_place_and_message(tmp_path: Path) -> None:
    """Sorted by name they are in the server's order, and the token is what a restart looks for."""
    for make, name in (
        (maildir_place, f"1700000000.Q000001{TOKEN}.mailkeep,S=3"),
        (folder_place, f"2023-11-14T221320Z-000001-{TOKEN}.eml"),
    ):
        place = make(tmp_path / make.__name__)
        store(place.prepared(), [b"x\r\n"])
        assert isinstance(place.reader, FolderReader)
        assert [path.name for path in place.reader.files()] == [name]


@pytest.mark.parametrize("name", ["cur/{}:2,S", "cur/{}:2,FRSabc", "new/{}", "cur/{};2,", "cur/{}"])
def test_a_message_is_found_whatever_its_flags(maildir: Path, tmp_path: Path, name: str) -> None:
    """S-03: mail programs move a message to cur and set flags before the next run looks for it."""
    store(maildir_place(tmp_path).prepared(), [b"x\r\n"])
    (message,) = maildir.glob("new/*")
    for base in (message.name, message.name.partition(",S=")[0]):
        moved = maildir / name.format(base)
        message.rename(moved)
        found = MaildirDestination(maildir).find([TOKEN])
        assert found[TOKEN].where == str(moved)
        assert len([*MaildirDestination(maildir).iterate()]) == 1
        message = moved


def test_a_message_that_moves_while_it_is_looked_for_is_found(
    maildir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail program that opens the Maildir at this moment must not make mail come twice."""
    store(maildir_place(tmp_path).prepared(), [b"x\r\n"])
    for folder in ("new", "cur"):
        os.utime(maildir / folder, (0, 0))  # long unchanged, so that it is read once
    real, flags = files._read, iter(["", "S", "RS"])

    def moved_first(path: Path) -> object:
        if (flag := next(flags, None)) is not None:
            path.rename(maildir / "cur" / f"{path.name.partition(':')[0]}:2,{flag}")
        return real(path)

    monkeypatch.setattr(files, "_read", moved_first)
    assert MaildirDestination(maildir).find([TOKEN])[TOKEN].where.endswith(":2,RS")


def test_a_message_that_vanishes_while_it_is_looked_for_is_not_there(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody removed it between listing and reading."""
    destination = place.prepared()
    store(destination, [b"x\r\n"])
    real = files._read

    def removed_first(path: Path) -> object:
        path.unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(files, "_read", removed_first)
    assert destination.find([TOKEN]) == {}
    assert [*destination.iterate()] == []


def test_a_damaged_message_is_not_adopted(maildir: Path, tmp_path: Path) -> None:
    """A file shorter than its name says is not the message: it is fetched again in its place."""
    destination = maildir_place(tmp_path).prepared()
    store(destination, [b"Subject: x\r\n"])
    (message,) = maildir.glob("new/*")
    os.truncate(message, 3)
    assert destination.find([TOKEN]) == {}
    store(destination, [b"Subject: x\r\n"])
    assert [path.read_bytes() for path in maildir.glob("new/*")] == [b"Subject: x\r\n"]


def test_only_regular_files_are_messages(maildir: Path, tmp_path: Path) -> None:
    """No link is followed, no pipe waited for, and hidden files are programs' own."""
    destination = maildir_place(tmp_path).prepared()
    secret = tmp_path / "secret"
    secret.write_bytes(b"not mail")
    (maildir / "new" / f"1.Q1{TOKEN}.x").symlink_to(secret)
    (maildir / "new" / "folder").mkdir()
    (maildir / "new" / ".hidden").write_bytes(b"not mail")
    os.mkfifo(maildir / "cur" / "pipe")
    (maildir / "cur" / "1.M1P1.host:2,S").write_bytes(b"from another program\n")
    assert destination.find([TOKEN]) == {}
    assert [found.octets for found in destination.iterate()] == [21]


def test_what_a_crash_left_is_removed_and_nothing_else(place: Place) -> None:
    """S-01: the file of a killed run is not locked by anybody; other programs' files stay."""
    destination = place.prepared()
    writer = write(destination, 1, [b"x" * 200_000])
    assert isinstance(writer, temporary.LateFile)
    assert writer.path
    left = writer.path.with_name(writer.path.name.replace(TOKEN, slot_of(2).token))
    left.write_bytes(b"half a mess")
    other = writer.path.with_name("1700000000.M1P1.host")
    other.write_bytes(b"another program's")
    place.restarted(None)
    assert (writer.path.exists(), left.exists(), other.exists()) == (True, False, True)
    writer.abandon()


def test_without_flock_only_old_files_are_removed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """maildir(5): 36 hours, where the file system cannot tell who is alive."""

    def no_flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_flock)
    writer = write(place.prepared(), 1, [b"x" * 200_000])
    assert isinstance(writer, temporary.LateFile)
    assert writer.path
    now_s = writer.path.stat().st_ctime
    temporary.remove_if_left(writer.path, now_s=now_s + 36 * 3600)
    assert writer.path.exists()
    temporary.remove_if_left(writer.path, now_s=now_s + 36 * 3600 + 1)
    assert not writer.path.exists()


def test_what_is_cleared_up_while_it_is_made_is_made_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may clear up between the making of a file and its lock."""
    destination = place.prepared()
    real, calls = temporary._lock, []

    def cleared_up_first(descriptor: int) -> bool:
        calls.append(descriptor)
        if len(calls) == 1:
            Path(f"/proc/self/fd/{descriptor}").readlink().unlink()
        return real(descriptor)

    monkeypatch.setattr(temporary, "_lock", cleared_up_first)
    store(destination, [b"x\r\n"])
    assert place.reader.messages() == [b"x\r\n"]
    assert len(calls) == 2


def test_a_file_in_the_way_goes_if_nobody_writes_it(place: Place) -> None:
    """A name of a killed run's is taken over; one that is being written is not."""
    destination = place.prepared()
    first = write(destination, 1, [b"x" * 200_000])
    with pytest.raises(DestinationUnavailable, match="another program is writing it"):
        write(destination, 1, [b"y" * 200_000])
    assert isinstance(first, temporary.LateFile)
    first.close()  # as a kill does
    store(destination, [b"y" * 200_000])
    assert place.reader.messages() == [b"y" * 200_000]


def test_every_step_is_on_disk_before_the_next_needs_it(
    maildir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power may go at any moment: all octets before any name, the names once a batch."""
    destination = maildir_place(tmp_path).prepared()
    steps: list[str] = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(f"fsync {'message' if path.is_file() else path.relative_to(maildir)}")
        real_fsync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        steps.append(f"rename into {target.parent.name}")
        return real_rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    store(destination, [b"x", b"y", b"z" * 200_000])
    assert steps == ["fsync message"] * 3 + ["rename into new"] * 3 + ["fsync new"]
    steps.clear()
    assert destination.find([TOKEN])
    assert steps == ["fsync new", "fsync cur"]  # a crash may have come before the last step


def test_a_place_is_on_disk_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way down to it first, `cur` last: who finds `cur` finds all of it after a power cut."""
    steps: list[str] = []
    real_fsync, real_mkdir = os.fsync, os.mkdir

    def fsync(descriptor: int) -> None:
        steps.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        real_fsync(descriptor)

    def mkdir(path: Path, mode: int) -> None:
        steps.append(f"make {path.name}")
        real_mkdir(path, mode)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "mkdir", mkdir)
    maildir_place(tmp_path).prepared()
    assert [step for step in steps if step.startswith("make")] == [
        f"make {name}" for name in ("Mail", "alice", "tmp", "new", "cur")
    ]
    before_cur = steps[: steps.index("make cur")]
    assert before_cur[4:7] == ["fsync alice", "fsync Mail", f"fsync {tmp_path.name}"]
    assert steps[-1] == "fsync alice"


@pytest.mark.parametrize("step", ["write", "fsync"])
@pytest.mark.parametrize("fails_at", range(6))
def test_a_disk_that_fails_at_any_step_stores_nothing_half(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str, fails_at: int
) -> None:
    """S-09: the error is said, nothing half remains, and what is there is whole and found."""
    messages = [b"one\r\n", b"two\r\n" * 50_000, b"three\r\n"]
    destination = place.prepared()
    writers = [destination.open(slot_of(i + 1)) for i in range(3)]
    real, calls = getattr(os, step), iter(range(1000))

    def call(descriptor: int, *rest: object) -> object:
        if next(calls) == fails_at:
            raise OSError(errno.EIO, "Input/output error")
        return real(descriptor, *rest)

    monkeypatch.setattr(os, step, call)
    has_failed = False
    try:
        for writer, octets in zip(writers, messages, strict=True):
            writer.write(octets)
        destination.begin_batch()
        destination.commit(writers)
    except DestinationUnavailable as cause:
        has_failed = "input/output error" in str(cause) and cause.hint is not None
    monkeypatch.undo()
    for writer in writers:
        writer.abandon()
    assert has_failed == (next(calls) > fails_at)
    assert place.reader.litter() == []
    assert place.reader.messages() == messages[: len(place.reader.messages())]
    found = place.restarted(None).find([slot_of(i + 1).token for i in range(3)])
    assert len(found) == len(place.reader.messages())


def test_a_disk_that_takes_a_little_at_a_time_gets_it_all(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write(2) may take fewer octets than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, octets: real(descriptor, octets[:1000]))
    messages = [b"0123456789" * 100, b"0123456789" * 20_000]
    store(place.prepared(), messages)
    assert place.reader.messages() == messages


def test_a_folder_that_cannot_be_brought_to_disk_is_taken_as_it_is(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-70: some file systems have no fsync for folders (EINVAL)."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store(place.prepared(), [b"x\r\n"])
    assert place.reader.messages() == [b"x\r\n"]


def test_a_batch_of_any_size_needs_few_descriptors(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may open 1024 files by default; small messages do not keep theirs open."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the disk is not what is asked here
    messages = [b"message %04d\r\n" % i for i in range(1, 1101)]
    store(place.prepared(), messages)
    assert place.reader.messages() == messages


def test_folders_that_a_copy_left_out_are_made_again(maildir: Path, tmp_path: Path) -> None:
    """A Maildir that was copied without its empty folders is still the one with the mail."""
    place = maildir_place(tmp_path)
    store(place.prepared(), [b"x\r\n"])
    (maildir / "tmp").rmdir()
    store(place.restarted(None), [b"y\r\n"], first=2)
    assert place.reader.messages() == [b"x\r\n", b"y\r\n"]


def test_an_empty_mount_point_is_not_the_folder(tmp_path: Path) -> None:
    """S-14: under a disk that is not mounted there is an empty folder; the mark is missing."""
    for make in (maildir_place, folder_place):
        place = make(tmp_path)
        place.prepared()
        place.reader.vanish()
        (tmp_path / "Mail" / "alice").mkdir()
        with pytest.raises(DestinationUnavailable, match="vanished") as refused:
            place.open().prepare(is_known=True)
        command = (refused.value.hint or "").rpartition("anew: ")[2]
        assert os.system(command) == 0  # noqa: S605  # what we tell people to type
        place.restarted(None)
        shutil.rmtree(tmp_path / "Mail")


def test_something_else_in_the_way_is_said(tmp_path: Path, place: Place) -> None:
    """A file where the folder should be is named, not overwritten."""
    (tmp_path / "Mail").write_bytes(b"a file")
    with pytest.raises(DestinationUnavailable, match="Mail"):
        place.prepared()
    assert (tmp_path / "Mail").read_bytes() == b"a file"


def test_a_destination_takes_its_own_messages_only(tmp_path: Path) -> None:
    """A writer of another kind in a batch is a caller's mistake, found before anything is done."""
    writer = write(maildir_place(tmp_path).prepared(), 1, [b"x"])
    place = folder_place(tmp_path / "other")
    destination = place.prepared()

    class Foreign:
        def write(self, octets: bytes) -> None: ...
        def abandon(self) -> None: ...

    with pytest.raises(TypeError):
        commit_alone(destination, Foreign())
    writer.abandon()
    assert place.reader.messages() == []
