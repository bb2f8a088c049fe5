"""Sizes are announced right, counted once, and remembered in an index that is never trusted."""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mailkeep.maildrop import MaildropUnavailable, MessageUnreadable
from mailkeep.maildrop.maildir import folder as folder_module
from mailkeep.maildrop.maildir import snapshot as snapshot_module
from mailkeep.maildrop.maildir.sizes import Size, SizeIndex
from mailkeep.testing.maildir_site import MaildirSite, maildir_site
from mailkeep.testing.store_contract import uidls_of, whole
from mailkeep.values import Index


async def sizes(site: MaildirSite) -> list[int]:
    maildrop = await site.open()
    await maildrop.close()
    return [maildrop.listing.octets(Index(place)) for place in range(len(maildrop.listing))]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages that were counted."""
    seen: list[bytes] = []
    real = snapshot_module.count_message

    def count_message(folders: folder_module.Folders, base: bytes) -> Size:
        seen.append(base)
        return real(folders, base)

    monkeypatch.setattr(snapshot_module, "count_message", count_message)
    return seen


async def test_a_size_in_the_name_needs_neither_file_nor_index(
    site: MaildirSite, counted: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maildir++ `,W=`: opening reads names only, and no index comes into being."""
    site.put("1.a,S=2,W=3")
    monkeypatch.setattr(folder_module.Folders, "stat_message", None)
    assert await sizes(site) == [3]
    assert counted == []
    assert not site.index.exists()


async def test_a_message_is_counted_once_in_its_file_s_life(
    site: MaildirSite, counted: list[bytes]
) -> None:
    """Flags and folders change; inode, length and time of change stay."""
    path = site.put("1.a", b"a\nb", folder="new")
    assert await sizes(site) == [6]
    path.rename(site.maildir / "cur" / "1.a:2,S")
    assert await sizes(site) == [6]
    assert counted == [b"1.a"]


@pytest.mark.parametrize("what", ["octets", "inode", "time"])
async def test_another_file_under_the_same_name_is_counted_again(
    site: MaildirSite, counted: list[bytes], what: str
) -> None:
    """What was counted holds for the very file that was counted."""
    path = site.put("1.a", b"aa\n")
    os.utime(path, ns=(5, 5))
    assert await sizes(site) == [4]
    match what:
        case "octets":
            path.write_bytes(b"a\n\n\n")
            os.utime(path, ns=(5, 5))
        case "inode":
            other = site.put("1.a", b"\n\n\n", folder="tmp")
            os.utime(other, ns=(5, 5))
            other.replace(path)
        case "time":
            path.write_bytes(b"\n\n\n")
            os.utime(path, ns=(6, 6))
    assert await sizes(site) == [len(path.read_bytes().replace(b"\n", b"\r\n"))]
    assert len(counted) == 2


def ruin_with_garbage(index: Path) -> None:
    index.write_bytes(b"garbage" * 1000)


def ruin_the_middle(index: Path) -> None:
    octets = index.read_bytes()
    index.write_bytes(octets[:4096] + b"\xff" * (len(octets) - 4096))


def cut_short(index: Path) -> None:
    os.truncate(index, 4096)


def empty(index: Path) -> None:
    os.truncate(index, 0)


def lose(index: Path) -> None:
    index.unlink()


def put_another_database_there(index: Path) -> None:
    index.unlink()
    with sqlite3.connect(index) as database:
        database.execute("CREATE TABLE sizes (something TEXT)")
    database.close()


def put_nonsense_in(index: Path) -> None:
    with sqlite3.connect(index) as database:
        database.execute("UPDATE sizes SET octets = CASE octets % 2 WHEN 0 THEN -1 ELSE 'x' END")
    database.close()


@pytest.mark.parametrize(
    "ruin",
    [
        ruin_with_garbage,
        ruin_the_middle,
        cut_short,
        empty,
        lose,
        put_another_database_there,
        put_nonsense_in,
    ],
)
async def test_an_index_that_is_ruined_is_made_again(
    site: MaildirSite, counted: list[bytes], ruin: Callable[[Path], None]
) -> None:
    """The index is a memory, never trusted blindly: sizes stay right whatever happens to it."""
    for i in range(300):
        site.put(f"{i}.a", b"\n" * i)
    expected = [2 * i for i in range(300)]
    assert await sizes(site) == expected
    ruin(site.sizes)
    assert await sizes(site) == expected
    counted.clear()
    assert await sizes(site) == expected
    assert counted == []


async def test_without_room_for_an_index_mail_is_served(
    site: MaildirSite, counted: list[bytes]
) -> None:
    """A disk that takes no more must not keep anybody from reading and deleting mail."""
    site.put("1.a", b"a\n")
    site.index.touch()  # no folder can be made here
    maildrop = await site.open()
    assert maildrop.listing.total_octets == 3
    assert (await maildrop.commit([maildrop.listing.uidl(Index(0))])).removed == (b"1.a",)
    await maildrop.close()
    assert counted == [b"1.a"]


async def test_an_index_that_may_not_be_looked_at_is_none(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong permissions or a bad disk below the index are no reason to refuse login or QUIT."""
    site.put("1.a", b"a\n")
    real = os.stat

    def stat(path: str | bytes | Path | int, **options: Any) -> os.stat_result:
        if path == site.sizes:
            raise PermissionError(errno.EACCES, "refused")
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    maildrop = await site.open()
    assert maildrop.listing.total_octets == 3
    assert (await maildrop.commit([maildrop.listing.uidl(Index(0))])).removed == (b"1.a",)
    await maildrop.close()


def test_an_index_being_written_is_not_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with the moment is not wrong with the file."""
    monkeypatch.setattr("mailkeep.maildrop.maildir.index_file.WAIT_S", 0)
    path = tmp_path / "1.sizes"
    with SizeIndex(path) as index:
        index.remember([Size(b"a", b"stamp", 1)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with SizeIndex(path) as index:
        assert index.look_up([b"a"]) == {}
        index.remember([Size(b"b", b"stamp", 2)])
        index.forget([b"a"])
    other.execute("ROLLBACK")
    other.close()
    with SizeIndex(path) as index:
        assert index.look_up([b"a", b"b"]) == {b"a": Size(b"a", b"stamp", 1)}


async def test_an_index_goes_with_its_last_message(site: MaildirSite) -> None:
    """A maildrop whose names say it all should not open an index at every login."""
    site.put("1.a")
    site.put("2.b")
    maildrop = await site.open()
    await maildrop.commit([maildrop.listing.uidl(Index(0))])
    await maildrop.close()
    assert site.sizes.exists()
    maildrop = await site.open()
    await maildrop.commit([maildrop.listing.uidl(Index(0))])
    await maildrop.close()
    assert not site.sizes.exists()


async def test_an_index_does_not_grow_with_what_others_remove(site: MaildirSite) -> None:
    """An IMAP client deletes too, and nobody tells us."""
    for i in range(10):
        site.put(f"{i}.a")
    await sizes(site)
    for i in range(1, 10):
        (site.maildir / "cur" / f"{i}.a").unlink()
    await sizes(site)
    with SizeIndex(site.sizes) as index:
        assert index.count() == 1
    (site.maildir / "cur" / "0.a").unlink()
    await sizes(site)
    assert not site.sizes.exists()


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[MaildirSite]:
    """A site on a clock that goes on by a second whenever it is looked at."""
    ticks = count()
    with maildir_site(tmp_path, clock=lambda: float(next(ticks))) as site:
        yield site


async def test_counting_stops_in_time_and_goes_on_at_the_next_try(
    hurried: MaildirSite, counted: list[bytes]
) -> None:
    """A big old Maildir opens after a few tries; what was counted is never counted again."""
    for i in range(10):
        hurried.put(f"{i}.a")
    tries = 0
    while True:
        tries += 1
        try:
            maildrop = await hurried.open(timeout_s=4)
        except MaildropUnavailable:
            continue
        break
    assert tries > 1
    assert sorted(counted) == [b"%d.a" % i for i in range(10)]
    assert maildrop.listing.total_octets == 30
    await maildrop.close()


async def test_a_try_without_any_time_counts_one_message_more(
    hurried: MaildirSite, counted: list[bytes]
) -> None:
    """However slow the disk and short the time, every maildrop opens in the end."""
    for i in range(3):
        hurried.put(f"{i}.a")
    for done in (1, 2):
        with pytest.raises(MaildropUnavailable):
            await hurried.open(timeout_s=0)
        assert len(counted) == done
    await (await hurried.open(timeout_s=0)).close()


async def test_one_unreadable_message_does_not_close_the_maildrop(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector is one message's trouble: it is listed, and reading it says so."""
    site.put("1.bad", b"bad\n")
    site.put("2.good", b"good\n")
    real = folder_module.Folders.open_message

    def open_message(folders: folder_module.Folders, base: bytes) -> tuple[int, os.stat_result]:
        if base == b"1.bad":
            raise OSError(errno.EIO, "bad sector")
        return real(folders, base)

    monkeypatch.setattr(folder_module.Folders, "open_message", open_message)
    maildrop = await site.open()
    with pytest.raises(MessageUnreadable, match="bad sector"):
        await maildrop.read(Index(0))
    assert await whole(maildrop, 1) == b"good\r\n"
    await maildrop.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.EUCLEAN, errno.EBADMSG])
@pytest.mark.parametrize("is_counted", [False, True])
async def test_one_bad_inode_does_not_close_the_maildrop(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch, code: int, is_counted: bool
) -> None:
    """Whose inode is damaged cannot even be asked for its length; ext4 and XFS say EUCLEAN."""
    site.put("1.bad", b"bad\n")
    site.put("2.good", b"good\n")
    if is_counted:
        assert await sizes(site) == [5, 6]

    def damaged(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **options: Any) -> Any:
            if path == b"1.bad":
                raise OSError(code, os.strerror(code))
            return real(path, *args, **options)

        return call

    monkeypatch.setattr(os, "stat", damaged(os.stat))
    monkeypatch.setattr(os, "open", damaged(os.open))
    maildrop = await site.open()
    assert uidls_of(maildrop) == [b"1.bad", b"2.good"]
    with pytest.raises(MessageUnreadable):
        await maildrop.read(Index(0))
    assert await whole(maildrop, 1) == b"good\r\n"
    await maildrop.close()


async def test_trouble_of_the_whole_system_closes_the_maildrop(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without descriptors every size would be wrong: try again later."""

    def open_message(*_: object) -> tuple[int, os.stat_result]:
        raise OSError(errno.EMFILE, "too many open files")

    site.put("1.a")
    monkeypatch.setattr(folder_module.Folders, "open_message", open_message)
    with pytest.raises(MaildropUnavailable, match="too many open files"):
        await site.open()


async def test_a_message_that_vanishes_while_it_is_counted_is_not_listed(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot is of what is there when it is complete; the rest keeps its order."""
    for i in range(4):
        site.put(f"{i}.a", b"\n" * i)
    real = snapshot_module.count_message

    def count_message(folders: folder_module.Folders, base: bytes) -> Size:
        if base in {b"1.a", b"3.a"}:
            (site.maildir / "cur" / os.fsdecode(base)).unlink()
        return real(folders, base)

    monkeypatch.setattr(snapshot_module, "count_message", count_message)
    assert await sizes(site) == [0, 4]
