"""A folder that looks as it did is not read again, and every change of it is seen."""

import errno
import os
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.maildrop.warm_sites import by_a_neighbour, later_ns, warm_site

from mailkeep.maildrop import MaildropUnavailable, MessageUnreadable
from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir import folder as folder_module
from mailkeep.maildrop.maildir.folder import Maildir
from mailkeep.maildrop.maildir.messages import Indexes, Messages
from mailkeep.maildrop.maildir.snapshot import Snapshot
from mailkeep.maildrop.maildir.states import TELLS_AFTER_NS, FolderState
from mailkeep.maildrop.maildir.warm import Warm
from mailkeep.testing.maildir_site import ALICE, MaildirSite
from mailkeep.testing.store_contract import uidls_of, whole
from mailkeep.values import AccountId, Index

Opened = tuple[int, os.stat_result]

FOLDER = FolderState(device=1, inode=2, modified_ns=10**18, changed_ns=10**18)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[MaildirSite]:
    """One account, whose Maildir is not there yet."""
    with warm_site(tmp_path) as site:
        yield site


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Which folders were read."""
    seen: list[bytes] = []
    real = os.scandir

    def scandir(path: Any) -> Any:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return seen


async def listed(site: MaildirSite) -> list[bytes]:
    maildrop = await site.open()
    await maildrop.close()
    return [*uidls_of(maildrop)]


async def test_what_looks_as_before_is_not_read_again(
    site: MaildirSite, scans: list[bytes]
) -> None:
    """The commonest login finds nothing new: it costs two looks, not a reading."""
    site.put("1.a", folder="new")
    site.put("2.b,W=3")
    first = await site.open()
    await first.close()
    scans.clear()
    second = await site.open()
    assert uidls_of(second) == [b"1.a", b"2.b,W=3"]
    assert second.listing is first.listing
    assert await whole(second, 0) == b"x\r\n"
    await second.close()
    assert scans == []


async def test_what_the_server_made_of_a_listing_is_there_for_the_next_session(
    site: MaildirSite,
) -> None:
    """A poll writes what another poll has joined."""
    site.put("1.a")
    maildrop = await site.open()
    assert maildrop.listing.kept("a text") is None
    maildrop.listing.keep("a text", b"1 1.a\r\n")
    await maildrop.close()
    maildrop = await site.open()
    assert maildrop.listing.kept("a text") == b"1 1.a\r\n"
    await maildrop.close()
    with by_a_neighbour(site.maildir / "cur"):
        site.put("2.b")
    maildrop = await site.open()
    assert maildrop.listing.kept("a text") is None
    await maildrop.close()


def deliver(site: MaildirSite) -> None:
    site.put("3.c", folder="new")


def remove(site: MaildirSite) -> None:
    (site.maildir / "cur" / "1.a:2,").unlink()


def move(site: MaildirSite) -> None:
    (site.maildir / "new" / "2.b").rename(site.maildir / "cur" / "9.moved:2,S")


def put_another_folder_there(site: MaildirSite) -> None:
    (site.maildir / "cur").rename(site.maildir / "before")
    site.put("4.d")
    before = (site.maildir / "before").stat()
    os.utime(site.maildir / "cur", ns=(before.st_atime_ns, before.st_mtime_ns))


def move_to_another_disk(site: MaildirSite) -> None:
    site.maildir.rename(site.maildir.with_name("bob"))
    site.put("5.e")


def restore_from_a_copy(site: MaildirSite) -> None:
    """As rsync does: the folder has the modification time of the one it was copied from."""
    cur = site.maildir / "cur"
    before = cur.stat()
    site.put("6.f")
    os.utime(cur, ns=(before.st_atime_ns, before.st_mtime_ns))
    while cur.stat().st_ctime_ns == before.st_ctime_ns:
        os.utime(cur, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        deliver,
        remove,
        move,
        put_another_folder_there,
        move_to_another_disk,
        restore_from_a_copy,
    ],
)
async def test_every_change_is_seen(
    site: MaildirSite, change: Callable[[MaildirSite], None]
) -> None:
    """RFC 1939 section 4: a session is a snapshot of what is there when it begins."""
    site.put("1.a:2,")
    site.put("2.b", folder="new")
    assert await listed(site) == await listed(site) == [b"1.a", b"2.b"]
    if change is restore_from_a_copy:
        change(site)
    else:
        with by_a_neighbour(site.maildir / "new", site.maildir / "cur"):
            change(site)
    there = sorted(name.partition(":")[0].encode() for name in site.filenames())
    assert await listed(site) == there != [b"1.a", b"2.b"]


async def test_a_maildir_that_became_unusable_is_said_to_be(site: MaildirSite) -> None:
    """What is in memory does not hide what an operator must mend."""
    site.put("1.a")
    await listed(site)
    site.maildir.rename(site.maildir.with_name("bob"))
    site.maildir.touch()
    with pytest.raises(MaildropUnavailable):
        await site.open()


async def test_a_young_folder_is_read_each_time(tmp_path: Path, scans: list[bytes]) -> None:
    """Within a tick of the file system's clock two changes look like one."""
    with warm_site(tmp_path, now_ns=time.time_ns) as site:
        site.put("1.a")
        assert await listed(site) == [b"1.a"]
        site.put("2.b")
        state = (site.maildir / "cur").stat()
        os.utime(site.maildir / "cur", ns=(state.st_atime_ns, state.st_mtime_ns))
        assert await listed(site) == [b"1.a", b"2.b"]
        scans.clear()
        assert await listed(site) == [b"1.a", b"2.b"]
        assert scans != []


@pytest.mark.parametrize(
    ("modified_ns", "changed_ns", "tells"),
    [
        (0, 0, True),
        (0, 1, False),
        (1, 0, False),
        (-(10**18), 0, True),
        (0, -(10**9), True),
        (0, 10**12, False),
        (10**12, 0, False),
    ],
)
def test_when_a_state_tells(modified_ns: int, changed_ns: int, tells: bool) -> None:
    """Both times must be two seconds old; one that lies ahead tells nothing."""
    now_ns = 10**18 + TELLS_AFTER_NS
    state = FolderState(1, 2, 10**18 + modified_ns, 10**18 + changed_ns)
    assert state.tells(now_ns) is tells


async def test_a_folder_that_changes_while_it_is_read_is_read_again_next_time(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read may miss what came meanwhile."""
    site.put("1.a")
    real = os.scandir
    left = [20]

    def scandir(path: Any) -> Any:
        entries = list(real(path))
        if path.endswith(b"/cur") and left[0]:
            left[0] -= 1
            with by_a_neighbour(site.maildir / "cur"):
                site.put(f"{2 + left[0]}.b")
                (site.maildir / "cur" / f"{2 + left[0]}.b").unlink()
            if left[0] == 10:
                site.put("99.late")

        class Entries:
            def __enter__(self) -> Any:
                return iter(entries)

            def __exit__(self, *_: object) -> None:
                pass

        return Entries()

    monkeypatch.setattr(os, "scandir", scandir)
    while left[0]:
        await listed(site)
    assert await listed(site) == [b"1.a", b"99.late"]


async def test_a_size_that_turns_out_wrong_is_right_in_the_next_session(site: MaildirSite) -> None:
    """A size is believed until the file is read, and no longer."""
    path = site.put("1.a", b"aa\n")
    assert await listed(site) == [b"1.a"]
    path.write_bytes(b"a\n\n\n")  # in place: no name changes
    maildrop = await site.open()
    with pytest.raises(MessageUnreadable):
        await maildrop.read(Index(0))
    await maildrop.close()
    maildrop = await site.open()
    assert maildrop.listing.octets(Index(0)) == 7
    assert await whole(maildrop, 0) == b"a\r\n\r\n\r\n"
    await maildrop.close()


async def test_a_size_that_was_guessed_is_not_kept(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that could not be read is mended without any name changing."""
    site.put("1.bad", b"b\n\n")
    real = folder_module.Folders.open_message

    def open_message(*_: object) -> Opened:
        raise OSError(errno.EACCES, "refused")

    monkeypatch.setattr(folder_module.Folders, "open_message", open_message)
    maildrop = await site.open()
    assert maildrop.listing.octets(Index(0)) == 3
    await maildrop.close()
    monkeypatch.setattr(folder_module.Folders, "open_message", real)
    maildrop = await site.open()
    assert maildrop.listing.octets(Index(0)) == 5
    await maildrop.close()


async def test_two_accounts_on_one_number_have_nothing_in_common(site: MaildirSite) -> None:
    """An address that moved to another account, or an account to another address."""
    site.put("1.a")
    assert await listed(site) == [b"1.a"]
    other = await site.store.open(AccountId(8), ALICE, timeout_s=30)
    assert uidls_of(other) == [b"1.a"]
    await other.close()


def seen_of(tmp_path: Path, octets: int) -> Messages:
    bases = PackedStrings.within(b"x" * octets, array("I", [0]), array("H", [1]))
    snapshot = Snapshot.of(bases, array("Q", [3]), (FOLDER, FOLDER), None)
    maildir = Maildir(tmp_path, now_ns=later_ns)
    indexes = Indexes(tmp_path / "index", AccountId(1))
    return Messages(maildir, snapshot, indexes, 0, lambda: None)


def test_who_was_away_longest_goes_first(tmp_path: Path) -> None:
    """Memory is bounded; what was used last is likeliest to be used next."""
    warm = Warm(room_octets=200_000)
    keys = [(AccountId(number), ALICE) for number in range(4)]
    for key in keys[:3]:
        warm.keep(key, seen_of(tmp_path, 50_000))
    assert warm.find(keys[0])
    warm.keep(keys[3], seen_of(tmp_path, 50_000))
    assert [warm.find(key) is not None for key in keys] == [True, False, True, True]


def test_what_is_bigger_than_the_room_is_not_kept(tmp_path: Path) -> None:
    """It would push out all others and itself."""
    warm = Warm(room_octets=100_000)
    key = (AccountId(1), ALICE)
    warm.keep(key, seen_of(tmp_path, 10_000))
    warm.keep(key, seen_of(tmp_path, 100_000))
    assert warm.find(key) is None
    warm.keep(key, seen_of(tmp_path, 10_000))
    assert warm.find(key)


def test_what_grew_is_weighed_again(tmp_path: Path) -> None:
    """A listing that the server made of it counts too."""
    warm = Warm(room_octets=100_000)
    one, other = (AccountId(1), ALICE), (AccountId(2), ALICE)
    seen = seen_of(tmp_path, 10_000)
    warm.keep(other, seen_of(tmp_path, 10_000))
    warm.keep(one, seen)
    seen.snapshot.listing.keep("a text", b"x" * 75_000)
    assert warm.find(other)
    warm.weigh(one, seen)
    assert warm.find(other) is None or warm.find(one) is None
    warm.weigh((AccountId(3), ALICE), seen)
    warm.drop(one)
    warm.drop(one)
    assert warm.find(one) is None
