"""The file of a big Maildir's listing is right, or it is none."""

import os
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.maildrop.warm_sites import big_from, by_a_neighbour, warm_site

from mailkeep.maildrop.hops import outcome
from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir import listing_file, renewing
from mailkeep.maildrop.maildir.changes import Names, joined
from mailkeep.maildrop.maildir.listing_file import read_listing, write_listing
from mailkeep.maildrop.maildir.snapshot import Snapshot
from mailkeep.maildrop.maildir.states import FolderState
from mailkeep.testing.maildir_site import ACCOUNT, MaildirSite
from mailkeep.testing.store_contract import uidls_of, whole
from mailkeep.values import Index

PLACES = ((b"cur", b":2,S"), (b"new", b""), (b"cur", b":2,"))


def snapshot(*states: FolderState | None) -> Snapshot:
    new, cur = states or (FolderState(1, 2, 3, 4), FolderState(2**64 - 1, 6, -7, 8))
    names = Names.of_folders(joined([b"1.a"]), joined([b"3.c:2,", b"2.bb:2,S"]))
    bases = PackedStrings.within(names.joined, array("I", [16, 7, 0]), array("H", [3, 4, 3]))
    assert bases.all() == [b"1.a", b"2.bb", b"3.c"]
    return Snapshot.of(bases, array("Q", [10, 0, 2**40]), (new, cur), names)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is written."""
    path = tmp_path / "index" / "7.listing"
    write_listing(path, snapshot(), PLACES)
    return path


@pytest.mark.parametrize("states", [(), (None, None), (None, FolderState(1, 2, 3, 4))])
def test_what_was_written_is_read(path: Path, states: tuple[FolderState | None, ...]) -> None:
    """All that a session needs, and how the folders were."""
    written = snapshot(*states)
    write_listing(path, written, PLACES)
    found = read_listing(path)
    assert found is not None
    read, places = found
    assert read.bases.all() == written.bases.all()
    assert read.octets == written.octets
    assert read.listing.total_octets == 10 + 2**40
    assert (read.states, read.names) == (written.states, written.names)
    assert places == PLACES
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_no_octet_can_be_damaged_unseen(path: Path) -> None:
    """A bad sector, a torn write: the listing is made again, never wrong."""
    right = path.read_bytes()
    for place in range(len(right)):
        for flip in (1, 0x80, 0xFF):
            damaged = bytearray(right)
            damaged[place] ^= flip
            path.write_bytes(damaged)
            assert read_listing(path) is None, place


def test_no_octet_can_be_missing_unseen(path: Path) -> None:
    """Power may go while it is written: any part of it may be there, or zeros."""
    right = path.read_bytes()
    for octets in range(len(right)):
        for damaged in (right[:octets], right[:octets] + bytes(len(right) - octets)):
            if damaged != right:
                path.write_bytes(damaged)
                assert read_listing(path) is None, octets
    path.write_bytes(right + b"\0")
    assert read_listing(path) is None


@pytest.mark.parametrize("place", range(10, 14))
@pytest.mark.parametrize("number", [0, 1, 2**40, 2**64 - 1])
def test_numbers_that_disagree_are_not_believed(path: Path, place: int, number: int) -> None:
    """Whoever wrote it with a right checksum may still have had a fault."""
    head, start = listing_file._HEAD, len(listing_file._MARK) + listing_file._SEAL.size
    body = path.read_bytes()[start:]
    numbers = list(head.unpack_from(body))
    numbers[place] = number
    body = head.pack(*numbers) + body[head.size :]
    seal = listing_file._SEAL.pack(zlib.crc32(body))
    path.write_bytes(listing_file._MARK + seal + body)
    assert read_listing(path) is None


def test_a_disk_that_takes_no_more_keeps_what_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it is nothing; nobody is told, and nothing is left behind."""
    before = path.read_bytes()

    def replace(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "replace", replace)
    write_listing(path, snapshot(None, None), PLACES)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    write_listing(Path("/proc/nowhere/7.listing"), snapshot(), PLACES)
    assert read_listing(Path("/proc/nowhere/7.listing")) is None


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which folders were read, and how."""
    seen: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def read(path: bytes) -> Any:
            seen.append(f"{name} {Path(os.fsdecode(path)).name}")
            return real(path)

        return read

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    return seen


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Callable[[], MaildirSite]]:
    """Start a process on a Maildir that counts as big; the same Maildir each time."""
    stacks = []

    def start() -> MaildirSite:
        stacks.append(warm_site(tmp_path))
        return stacks[-1].__enter__()

    with big_from(3):
        yield start
    for stack in stacks:
        stack.__exit__(None, None, None)


async def listed(site: MaildirSite) -> list[tuple[bytes, int]]:
    maildrop = await site.open()
    await maildrop.close()
    sizes = map(maildrop.listing.octets, map(Index, range(len(maildrop.listing))))
    return list(zip(uidls_of(maildrop), sizes, strict=True))


def listing_of(site: MaildirSite) -> Path:
    return site.index / f"{ACCOUNT}.listing"


def fill(site: MaildirSite) -> list[tuple[bytes, int]]:
    for number in range(4):
        site.put(f"{number}.a:2,S", b"\n" * number)
    site.put("9.new", folder="new")
    return [*((b"%d.a" % number, 2 * number) for number in range(4)), (b"9.new", 3)]


async def written(site: MaildirSite) -> None:
    """Wait for what an opening has put off until it was answered."""
    await outcome(site.store._opening.submit(lambda: None))  # the site has one thread for openings


async def test_another_process_knows_it_without_reading_a_folder(
    big: Callable[[], MaildirSite], readings: list[str]
) -> None:
    """A restart, or another worker, costs no reading of 100,000 names; files are found at once."""
    site = big()
    messages = fill(site)
    assert await listed(site) == messages
    await written(site)
    readings.clear()
    site = big()
    maildrop = await site.open()
    assert uidls_of(maildrop) == [uidl for uidl, _ in messages]
    assert await whole(maildrop, 3) == b"\r\n" * 3
    assert await whole(maildrop, 4) == b"x\r\n"
    await maildrop.close()
    assert readings == []


@pytest.mark.parametrize("is_new_process", [False, True])
async def test_one_that_came_is_found_without_reading_the_other_folder(
    big: Callable[[], MaildirSite], readings: list[str], is_new_process: bool
) -> None:
    """A delivery changes `new` alone, and only its own name is looked at."""
    site = big()
    messages = fill(site)
    await listed(site)
    await written(site)
    with by_a_neighbour(site.maildir / "new"):
        site.put("91.late", b"y\n\n", folder="new")
    readings.clear()
    if is_new_process:
        site = big()
    assert await listed(site) == [*messages, (b"91.late", 5)]
    assert readings == ["listdir new"]
    assert await listed(site) == [*messages, (b"91.late", 5)]
    assert readings == ["listdir new"]


@pytest.mark.parametrize("few_octets", [0, 1000])
async def test_what_moved_and_what_came_early_are_in_their_places(
    big: Callable[[], MaildirSite],
    readings: list[str],
    monkeypatch: pytest.MonkeyPatch,
    few_octets: int,
) -> None:
    """An IMAP server takes new mail over and sets flags; a late-comer has an old name."""
    monkeypatch.setattr(renewing, "_FEW_OCTETS", few_octets)
    site = big()
    messages = fill(site)
    await listed(site)
    cur = site.maildir / "cur"
    with by_a_neighbour(cur, site.maildir / "new"):
        (site.maildir / "new" / "9.new").rename(cur / "9.new:2,")
        (cur / "1.a:2,S").rename(cur / "1.a:2,FS")
        (cur / "2.a:2,S").unlink()
        site.put("0.z,W=4", b"ab\n")
    readings.clear()
    assert await listed(site) == [messages[0], (b"0.z,W=4", 4), *(messages[i] for i in (1, 3, 4))]
    assert readings == ["listdir new", "listdir cur"]
    maildrop = await site.open()
    assert [await whole(maildrop, place) for place in (1, 2)] == [b"ab\r\n", b"\r\n"]
    await maildrop.close()


async def test_both_folders_change_between_two_looks(
    big: Callable[[], MaildirSite], readings: list[str]
) -> None:
    """What comes to the one moves the names of the other, and those that come to it."""
    site = big()
    messages = fill(site)
    await listed(site)
    with by_a_neighbour(site.maildir / "cur", site.maildir / "new"):
        site.put("91.first:2,RS", b"ab\n")
        site.put("92.second", b"\n", folder="new")
    readings.clear()
    assert await listed(site) == [*messages, (b"91.first", 4), (b"92.second", 2)]
    assert readings == ["listdir new", "listdir cur"]
    with by_a_neighbour(site.maildir / "cur", site.maildir / "new"):
        (site.maildir / "cur" / "0.a:2,S").unlink()
        (site.maildir / "new" / "92.second").unlink()
        site.put("93.third", b"\n", folder="new")
    assert await listed(site) == [*messages[1:], (b"91.first", 4), (b"93.third", 2)]


async def test_a_message_in_two_files_is_one_and_stays_when_one_goes(
    big: Callable[[], MaildirSite],
) -> None:
    """A neighbour that is killed between link and unlink leaves a message twice."""
    site = big()
    messages = fill(site)
    await listed(site)
    with by_a_neighbour(site.maildir / "cur"):
        os.link(site.maildir / "new" / "9.new", site.maildir / "cur" / "9.new:2,")
    assert await listed(site) == messages
    with by_a_neighbour(site.maildir / "new"):
        (site.maildir / "new" / "9.new").unlink()
    assert await listed(site) == messages


async def test_a_young_folder_that_seems_to_have_lost_a_message_is_read_with_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading during a neighbour's rename may show neither name; the mail is not gone."""
    times = [10**19]
    with big_from(3), warm_site(tmp_path, now_ns=lambda: times[0]) as site:
        messages = fill(site)
        assert await listed(site) == messages
        with by_a_neighbour(site.maildir / "cur"):
            (site.maildir / "cur" / "1.a:2,S").rename(site.maildir / "cur" / "1.a:2,FS")
        times[0] = (site.maildir / "cur").stat().st_mtime_ns
        real = os.listdir
        missed: list[bytes] = []

        def listdir(path: Any) -> Any:
            names = real(path)
            missed.extend(name for name in names if b"1.a" in name)
            return [name for name in names if b"1.a" not in name]

        monkeypatch.setattr(os, "listdir", listdir)
        assert await listed(site) == messages
        assert missed


async def test_a_wrong_size_is_in_no_file_any_more(big: Callable[[], MaildirSite]) -> None:
    """What reading has found out holds for the next process too."""
    site = big()
    fill(site)
    await listed(site)
    await written(site)
    (site.maildir / "cur" / "3.a:2,S").write_bytes(b"longer than it was\n")
    maildrop = await site.open()
    body = await maildrop.read(Index(3), body_lines=0)
    body.close()
    with pytest.raises(Exception, match="octets announced"):
        await maildrop.read(Index(3))
    await maildrop.close()
    assert not listing_of(site).exists()
    for process in (site, big()):
        assert (await listed(process))[3] == (b"3.a", 20)


async def test_a_maildir_that_is_no_longer_big_has_no_file(
    big: Callable[[], MaildirSite],
) -> None:
    """Nothing is kept that nobody needs."""
    site = big()
    messages = fill(site)
    await listed(site)
    await written(site)
    assert listing_of(site).exists()
    with by_a_neighbour(site.maildir / "cur", site.maildir / "new"):
        for name in ("1.a:2,S", "2.a:2,S", "3.a:2,S"):
            (site.maildir / "cur" / name).unlink()
    assert await listed(site) == [messages[0], messages[4]]
    assert not listing_of(site).exists()


async def test_a_small_maildir_has_none(tmp_path: Path) -> None:
    """Reading it costs less than a file more an account."""
    with big_from(6), warm_site(tmp_path) as site:
        fill(site)
        await listed(site)
        await written(site)
        assert not listing_of(site).exists()
