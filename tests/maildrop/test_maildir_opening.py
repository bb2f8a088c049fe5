"""Opening a Maildir that other programs use too: what is a message, in which order, what is not."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailkeep.maildrop import MaildropBusy, MaildropUnavailable, MessageGone
from mailkeep.maildrop.maildir.names import uidl_of
from mailkeep.testing.maildir_site import MaildirSite
from mailkeep.testing.store_contract import uidls_of, whole
from mailkeep.values import Index, Uidl


async def listed(site: MaildirSite) -> list[bytes]:
    maildrop = await site.open()
    await maildrop.close()
    return [*uidls_of(maildrop)]


async def test_a_maildir_that_is_not_there_is_empty_and_stays_away(site: MaildirSite) -> None:
    """An account without mail yet; opening it writes nothing."""
    assert await listed(site) == []
    assert not site.maildir.exists()
    assert not site.index.exists()


@pytest.mark.parametrize("made", [[], ["tmp"], ["tmp", "new"], ["new"], ["cur"]])
async def test_a_maildir_half_made_by_its_first_delivery_is_empty(
    site: MaildirSite, made: list[str]
) -> None:
    """A delivery that was killed while it made the folders must not lock the account out."""
    for name in made:
        (site.maildir / name).mkdir(parents=True)
    site.maildir.mkdir(exist_ok=True)
    assert await listed(site) == []


async def test_a_folder_with_other_things_in_it_is_no_empty_maildrop(site: MaildirSite) -> None:
    """A client that keeps its own list would conclude that all its mail was removed."""
    site.maildir.mkdir()
    (site.maildir / "mbox").touch()
    with pytest.raises(MaildropUnavailable, match="neither new nor cur"):
        await site.open()


async def test_a_file_in_place_of_the_maildir_is_unavailable(site: MaildirSite) -> None:
    """An error of the operator's is temporary for the client, and the lease is given back."""
    site.maildir.touch()
    for _ in range(2):
        with pytest.raises(MaildropUnavailable):
            await site.open()


async def test_a_link_in_place_of_cur_is_not_followed(site: MaildirSite, tmp_path: Path) -> None:
    """Nothing below an account's folder leads to another's mail."""
    site.put("1.other", folder="cur")
    (site.maildir / "cur").rename(tmp_path / "elsewhere")
    (site.maildir / "cur").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MaildropUnavailable):
        await site.open()


async def test_an_account_folder_that_is_a_link_is_served(
    site: MaildirSite, tmp_path: Path
) -> None:
    """Operators move mail to another disk."""
    site.put("1.a")
    site.maildir.rename(tmp_path / "other-disk")
    site.maildir.symlink_to(tmp_path / "other-disk")
    assert await listed(site) == [b"1.a"]


async def test_only_regular_files_are_messages(site: MaildirSite) -> None:
    """A directory, a socket, a pipe and links are no mail, and opening them must not block."""
    site.put("1.message")
    cur = site.maildir / "cur"
    (cur / "2.directory").mkdir()
    os.mkfifo(cur / "3.pipe")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(cur)  # a socket's path has at most 108 octets
        try:
            listener.bind("4.socket")
        finally:
            os.chdir(here)
    (cur / "5.link").symlink_to(cur / "1.message")
    (cur / "6.dangling").symlink_to(cur / "nothing")
    site.put(".hidden")
    assert await listed(site) == [b"1.message"]


@pytest.mark.parametrize("kind", ["directory", "pipe", "link"])
async def test_what_is_put_in_a_message_s_place_is_not_read(site: MaildirSite, kind: str) -> None:
    """After the snapshot too, only a regular file is opened (no link followed, no blocking)."""
    path = site.put("1.a")
    secret = site.put("secret", b"secret\n", folder="tmp")
    maildrop = await site.open()
    path.unlink()
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(secret)
    with pytest.raises(MessageGone):
        await maildrop.read(Index(0))
    removal = await maildrop.commit([maildrop.listing.uidl(Index(0))])
    assert removal.gone == (b"1.a",)
    assert path in site.maildir.glob("cur/*")
    assert secret in site.maildir.glob("tmp/*")
    await maildrop.close()


async def test_order_is_by_time_then_name_and_the_undated_come_last(site: MaildirSite) -> None:
    """RFC 1939 section 4 numbers from the first; maildir(5) puts the time first in the name."""
    names = ["999999999.z", "1000000000.b", "1000000000.c", "01000000001.a", "note", "x.1"]
    for place, name in enumerate(reversed(names)):
        site.put(name + (":2,S" if place % 2 else ""), folder="cur" if place % 2 else "new")
    assert await listed(site) == [name.encode() for name in names]


async def test_a_message_in_several_files_is_one(site: MaildirSite) -> None:
    """A neighbour that is killed between link and unlink leaves a message twice."""
    site.put("1.a", folder="new")
    site.put("1.a:2,")
    site.put("1.a:2,S")
    site.put("2.b")
    maildrop = await site.open()
    assert uidls_of(maildrop) == [b"1.a", b"2.b"]
    removal = await maildrop.commit([maildrop.listing.uidl(Index(0))])
    assert removal.removed == (b"1.a",)
    assert site.filenames() == {"2.b"}
    await maildrop.close()


@pytest.mark.parametrize("name", [b"1.\xff\xfe", b"1. space", b"1." + b"x" * 248, b"~1.a", b":2,S"])
async def test_any_name_is_served_under_a_legal_unique_id(site: MaildirSite, name: bytes) -> None:
    """RFC 1939 section 7, whatever a neighbour names its files."""
    site.put(name, b"hello\n")
    maildrop = await site.open()
    assert uidls_of(maildrop) == [uidl_of(name.partition(b":")[0])]
    assert await whole(maildrop, 0) == b"hello\r\n"
    removal = await maildrop.commit(uidls_of(maildrop))
    assert len(removal.removed) == 1
    assert site.filenames() == set()
    await maildrop.close()


async def test_a_message_is_found_wherever_it_moved(site: MaildirSite) -> None:
    """A neighbour marks messages read and moves them from new to cur all the time."""
    path = site.put("1.a", b"hello\n", folder="new")
    maildrop = await site.open()
    for name in ("1.a:2,", "1.a:2,S", "1.a:2,FRS", "1.a"):
        path = path.rename(site.maildir / "cur" / name)
        assert await whole(maildrop, 0) == b"hello\r\n"
    assert (await maildrop.commit([maildrop.listing.uidl(Index(0))])).removed == (b"1.a",)
    assert site.filenames() == set()
    await maildrop.close()


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Which folders were looked through."""
    seen: list[bytes] = []
    real = os.scandir

    def scandir(path: bytes) -> "os._ScandirIterator[bytes]":
        seen.append(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return seen


async def test_messages_that_moved_together_are_looked_for_once(
    site: MaildirSite, scans: list[bytes]
) -> None:
    """An IMAP client that marks a whole mailbox read must not make every RETR read the folder."""
    paths = [site.put(f"{i}.a", folder="new") for i in range(50)]
    maildrop = await site.open()
    for path in paths:
        path.rename(site.maildir / "cur" / f"{path.name}:2,RS")
    for folder in ("new", "cur"):
        os.utime(site.maildir / folder, (1, 1))
    scans.clear()
    for place in range(50):
        assert await whole(maildrop, place) == b"x\r\n"
    assert len(scans) == 2
    await maildrop.close()


class MissesTheMovingOne:
    """One reading of a folder during which a neighbour flags a message."""

    def __init__(self, entries: "os._ScandirIterator[bytes]", move: Callable[[], None]) -> None:
        self._entries = entries
        self._move = move

    def __enter__(self) -> Iterator["os.DirEntry[bytes]"]:
        self._move()
        return (entry for entry in self._entries if b"moving" not in entry.name)

    def __exit__(self, *_: object) -> None:
        self._entries.close()


@pytest.fixture
def misses(site: MaildirSite, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Lay down two messages, one of which the next reading of `cur` misses."""

    def arrange(time_tells: bool) -> None:
        cur = site.maildir / "cur"
        moving = site.put("1.moving:2,")
        site.put("2.still:2,")
        real = os.scandir
        seconds = int(time.time()) + 60  # young for as long as the test may take
        os.utime(cur, (seconds, seconds))

        def move() -> None:
            monkeypatch.setattr(os, "scandir", real)
            moving.rename(moving.with_name("1.moving:2,S"))
            os.utime(cur, (seconds + time_tells, seconds + time_tells))

        def scandir(path: bytes) -> object:
            return MissesTheMovingOne(real(path), move) if path.endswith(b"cur") else real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return arrange


@pytest.mark.parametrize("time_tells", [True, False], ids=["it tells", "too coarse to tell"])
async def test_a_name_that_the_folder_s_reading_skipped_is_not_lost(
    site: MaildirSite, misses: Callable[[bool], None], time_tells: bool
) -> None:
    """readdir(3) may miss a file that is renamed meanwhile: the folder is read once more.

    Its time of change tells only what lies a tick apart: a second on some file systems.
    """
    misses(time_tells)
    assert await listed(site) == [b"1.moving", b"2.still"]


@pytest.mark.parametrize("time_tells", [True, False], ids=["it tells", "too coarse to tell"])
async def test_a_name_skipped_at_the_end_is_not_said_to_be_gone(
    site: MaildirSite, misses: Callable[[bool], None], time_tells: bool
) -> None:
    """RFC 1939 section 6: +OK to QUIT says that every marked message is removed."""
    site.put("1.moving:2,")
    maildrop = await site.open()
    misses(time_tells)
    assert (await maildrop.commit([Uidl(b"1.moving")])).removed == (b"1.moving",)
    assert site.filenames() == {"2.still:2,"}
    await maildrop.close()


async def test_a_folder_at_rest_is_read_once(site: MaildirSite, scans: list[bytes]) -> None:
    """Reading a big folder is most of the cost of opening it."""
    site.put("1.a")
    os.utime(site.maildir / "cur", (1, 1))
    os.utime(site.maildir / "new", (1, 1))
    assert await listed(site) == [b"1.a"]
    assert len(scans) == 2


async def test_the_lease_comes_first(site: MaildirSite) -> None:
    """RFC 1939 section 4: while somebody has the maildrop nothing else of it is looked at."""
    first = await site.open()
    site.maildir.touch()  # would be unavailable
    with pytest.raises(MaildropBusy):
        await site.open()
    await first.close()
