"""Delivery: the message is safe when it is said to be, under a name that says what it is."""

import errno
import io
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from mailkeep.maildrop.maildir import deliver
from mailkeep.maildrop.maildir.delivery import STALE_AFTER_S, UniqueName, remove_stale
from mailkeep.maildrop.maildir.names import announced_octets, uidl_of

HOST = "mail.example.com"


def files(maildir: Path) -> dict[str, bytes]:
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in maildir.glob("*/*")}


@pytest.mark.parametrize(
    "message", [b"", b"x", b"a\nb\n", b"a\r\nb", b"\0\xff\r", b"y\n" * 99_999, b"z\r\n" * 50_000]
)
def test_a_message_is_in_new_as_it_goes_over_the_wire(tmp_path: Path, message: bytes) -> None:
    """maildir(5): tmp, then new; the name has the size stored (S) and on the wire (W)."""
    maildir = tmp_path / "mail" / "alice"
    base = deliver(maildir, io.BytesIO(message), HOST)
    wire = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if wire and not wire.endswith(b"\r\n"):
        wire += b"\r\n"
    assert files(maildir) == {f"new/{os.fsdecode(base)}": wire}
    assert re.search(rb",S=([0-9]+),W=", base)[1] == b"%d" % len(wire)  # type: ignore[index]  # it is there
    assert announced_octets(base) == len(wire)
    assert uidl_of(base) == base


def test_folders_and_files_are_the_owner_s_alone(tmp_path: Path) -> None:
    """Mail is private from its first octet, whatever the umask lets through."""
    before = os.umask(0)
    try:
        base = deliver(tmp_path / "mail" / "alice", io.BytesIO(b"x"), HOST)
    finally:
        os.umask(before)
    maildir = tmp_path / "mail" / "alice"
    folders = [maildir.parent, maildir, *(maildir / name for name in ("tmp", "new", "cur"))]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    assert (maildir / "new" / os.fsdecode(base)).stat().st_mode & 0o777 == 0o600


def test_names_are_unique_and_sort_as_they_came(tmp_path: Path) -> None:
    """maildir(5): no two deliveries share a name; RFC 1939 section 7: nor a unique-id."""
    bases = [deliver(tmp_path, io.BytesIO(b"same"), HOST) for _ in range(50)]
    assert len(set(bases)) == 50
    assert sorted(bases) == bases


def test_a_name_is_no_longer_than_a_unique_id() -> None:
    """RFC 1939 section 7: 70 octets; the host's name gives way, what makes it unique does not."""
    unique = UniqueName(1_700_000_000_123_456_789, 4194304, b"\0\1\2\3", b"h" * 64)
    base = unique.base(fields=b",S=123456789,W=123456789")
    assert base == b"1700000000.M123456P4194304R00010203.hhhhhhhhhh,S=123456789,W=123456789"
    assert len(base) == 70


@pytest.mark.parametrize(
    ("hostname", "host"),
    [("a/b:c", b"a\\057b\\072c"), ("a,W=1", b"a\\054W\\0751"), ("ü", b"\\303\\274"), ("", b"")],
)
def test_a_strange_hostname_cannot_break_the_name(hostname: str, host: bytes) -> None:
    """maildir(5): / is \\057 and : is \\072 in a name; nor may a host's name look like a size."""
    base = UniqueName.make(hostname).base(fields=b",S=1,W=2")
    assert base.endswith(b"." + host + b",S=1,W=2")
    assert announced_octets(base) == 2


def test_every_step_is_on_disk_before_the_next_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power may go at any moment: the octets before the name, the way down to it before both."""
    steps: list[str] = []
    real_fsync, real_link, real_mkdir = os.fsync, os.link, os.mkdir

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        is_message = path.parent.name == "tmp" and path.is_file()
        steps.append("fsync " + ("the message" if is_message else path.name))
        real_fsync(descriptor)

    def link(source: Path, target: Path) -> None:
        steps.append("link into " + target.parent.name)
        real_link(source, target)

    def mkdir(path: Path, mode: int) -> None:
        steps.append("make " + path.name)
        real_mkdir(path, mode)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "mkdir", mkdir)
    delivered = ["fsync the message", "link into new", "fsync new"]
    deliver(tmp_path / "mail" / "alice", io.BytesIO(b"x"), HOST)
    assert steps[:4] == ["make mail", "make alice", "make tmp", "make new"]
    assert steps[4:7] == ["fsync alice", "fsync mail", f"fsync {tmp_path.name}"]
    assert steps[-4:] == ["make cur", *delivered]
    steps.clear()
    deliver(tmp_path / "mail" / "alice", io.BytesIO(b"y"), HOST)
    assert steps == delivered


class BreaksOff:
    """A pipe whose writer dies in the middle."""

    def __init__(self) -> None:
        self._chunks = [b"half a message\n"]

    def read(self, _size: int) -> bytes:
        if self._chunks:
            return self._chunks.pop()
        raise OSError(errno.EPIPE, "the writer died")


class Interrupted(BreaksOff):
    """A delivery that the operator stops."""

    def read(self, _size: int) -> bytes:
        raise KeyboardInterrupt


@pytest.mark.parametrize("source", [BreaksOff(), Interrupted()])
def test_half_a_message_is_no_message(tmp_path: Path, source: BreaksOff) -> None:
    """What did not come whole leaves nothing, in new or in tmp."""
    with pytest.raises((OSError, KeyboardInterrupt)):
        deliver(tmp_path, source, HOST)
    assert files(tmp_path) == {}


def test_a_disk_that_takes_a_little_at_a_time_gets_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write(2) may take fewer octets than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, octets: real(descriptor, octets[:7]))
    deliver(tmp_path, io.BytesIO(b"0123456789" * 10), HOST)
    assert list(files(tmp_path).values()) == [b"0123456789" * 10 + b"\r\n"]


def test_a_message_already_there_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """maildir(5) links, which never overwrites: a clash of names fails and harms nobody."""
    unique = UniqueName.make(HOST)
    monkeypatch.setattr(UniqueName, "make", lambda _: unique)
    base = deliver(tmp_path, io.BytesIO(b"first\r\n"), HOST)
    with pytest.raises(FileExistsError):
        deliver(tmp_path, io.BytesIO(b"other"), HOST)
    assert files(tmp_path) == {f"new/{os.fsdecode(base)}": b"first\r\n"}


def test_what_failed_deliveries_left_goes_after_36_hours(tmp_path: Path) -> None:
    """maildir(5): files in tmp that nobody touched for 36 hours; nothing else."""
    old, folder, link = (tmp_path / name for name in ("old", "folder", "link"))
    old.touch()
    folder.mkdir()
    link.symlink_to(old)
    left_s = old.stat().st_ctime
    remove_stale(tmp_path, now_s=left_s + STALE_AFTER_S)
    assert old.exists()
    remove_stale(tmp_path, now_s=left_s + STALE_AFTER_S + 1)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "link"}
    remove_stale(tmp_path / "not there", now_s=left_s)


@pytest.mark.parametrize("which", [0, 1], ids=["atime", "mtime"])
def test_one_time_that_is_young_is_enough(tmp_path: Path, which: int) -> None:
    """Dovecot gives a draft the time at which its mail was received, which may be years ago."""
    draft = tmp_path / "draft"
    draft.touch()
    now_s = draft.stat().st_ctime + 2 * STALE_AFTER_S
    times = [0.0, 0.0]
    times[which] = now_s
    os.utime(draft, (times[0], times[1]))
    remove_stale(tmp_path, now_s=now_s)
    assert draft.exists()


def test_an_old_message_on_its_way_through_tmp_stays(tmp_path: Path) -> None:
    """Who copies mail with its times (mbsync, cp -p) sets both before the rename out of tmp."""
    deliver(tmp_path, io.BytesIO(b"x"), HOST)
    draft = tmp_path / "tmp" / "draft of another program"
    draft.touch()
    os.utime(draft, (0, 0))
    deliver(tmp_path, io.BytesIO(b"y"), HOST)
    assert draft.exists()


def test_a_delivery_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next delivery removes what a killed one left."""
    deliver(tmp_path, io.BytesIO(b"x"), HOST)
    left = tmp_path / "tmp" / "left"
    left.touch()
    later_s = left.stat().st_ctime + STALE_AFTER_S + 1
    monkeypatch.setattr("mailkeep.maildrop.maildir.delivery.time.time", lambda: later_s)
    deliver(tmp_path, io.BytesIO(b"y"), HOST)
    assert not left.exists()


def test_a_big_message_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """A pipe of any length is copied in pieces."""

    class Endless:
        left = 500

        def read(self, size: int) -> bytes:
            self.left -= 1
            return b"x" * size if self.left >= 0 else b""

    tracemalloc.start()
    deliver(tmp_path, Endless(), HOST)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_delivery_starts_quickly() -> None:
    """It runs once a message: it loads neither an event loop nor a database."""
    code = "import sys, mailkeep.maildrop.maildir; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    slow = {b"asyncio", b"sqlite3", b"sqlalchemy", b"ssl", b"concurrent.futures", b"msgspec"}
    assert not slow & set(loaded.stdout.split())
