"""A digest is worked out once, and right, and remembered in an index that is never trusted."""

import hashlib
import io
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailkeep.maildrop import Body, MessageUnreadable
from mailkeep.maildrop.listing import PackedStrings
from mailkeep.maildrop.maildir import Written, deliver
from mailkeep.maildrop.maildir import digests as digests_module
from mailkeep.maildrop.maildir.digests import (
    AS_SENT,
    DOTS_KNOWN,
    TOGETHER,
    Digest,
    DigestIndex,
    KnownDigests,
    remember_delivered,
)
from mailkeep.maildrop.maildir.reading import PIECE_OCTETS
from mailkeep.message.dots import FEW_DOTS
from mailkeep.testing.maildir_site import MaildirSite, maildir_site
from mailkeep.testing.store_contract import digest, uidls_of, whole, wire_form
from mailkeep.values import Index

LONG = b"Subject: x\n\n" + b"0123456789abcde\n" * (PIECE_OCTETS // 4)


class AtOnce(Executor):
    """Does work where it is handed over, so that nothing is under way when a call returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as cause:  # noqa: BLE001  # an executor hands every one over
            future.set_exception(cause)
        return future


@pytest.fixture
def site(tmp_path: Path) -> Iterator[MaildirSite]:
    with maildir_site(tmp_path, opening=AtOnce(), files=AtOnce()) as site:
        yield site


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for every message that was hashed, in pieces or at once."""
    begun: list[None] = []
    real = hashlib.sha256

    def sha256(*octets: bytes) -> Any:
        begun.append(None)
        return real(*octets)

    monkeypatch.setattr(hashlib, "sha256", sha256)
    return begun


def expected(stored: bytes) -> str:
    return hashlib.new("sha256", wire_form(stored)).hexdigest()


def deliver_to(site: MaildirSite, stored: bytes) -> bytes:
    def remember(base: bytes, written: Written) -> None:
        remember_delivered(site.digests, Digest(base, written.stamp, bytes.fromhex(written.sha256)))

    return deliver(site.maildir, io.BytesIO(stored), "host", on_written=remember)


async def read_all(site: MaildirSite, *, body_lines: int | None = None) -> list[str | None]:
    """Return the digests that a session is told of all messages."""
    maildrop = await site.open()
    places = range(len(maildrop.listing))
    told = [await digest(maildrop, place, body_lines=body_lines) for place in places]
    await maildrop.close()
    return told


async def read_to_the_end(body: Body) -> None:
    while await body.next_piece():
        pass


async def test_what_was_delivered_here_is_not_hashed_again(
    site: MaildirSite, hashed: list[None]
) -> None:
    """The digest is worked out while the message is written, and holds when it moves."""
    base = os.fsdecode(deliver_to(site, LONG))
    hashed.clear()
    assert await read_all(site) == [expected(LONG)]
    (site.maildir / "new" / base).rename(site.maildir / "cur" / f"{base}:2,S")
    assert await read_all(site, body_lines=0) == [expected(LONG)]
    assert hashed == []


@pytest.mark.parametrize("body_lines", [None, 0])
async def test_a_message_of_others_is_hashed_at_its_first_reading(
    site: MaildirSite, hashed: list[None], body_lines: int | None
) -> None:
    """Once in its life, by RETR or by TOP, in this session or in another."""
    site.put("1.a", LONG)
    maildrop = await site.open()
    for lines in (body_lines, None, 0, body_lines):
        assert await digest(maildrop, 0, body_lines=lines) == expected(LONG)
    await maildrop.close()
    assert await read_all(site) == [expected(LONG)]
    assert await read_all(site, body_lines=0) == [expected(LONG)]
    assert hashed == [None]


async def test_a_known_digest_is_known_before_the_message_is_read(site: MaildirSite) -> None:
    """A client that breaks off has been sent something of a message that can be named."""
    site.put("1.a", LONG)
    maildrop = await site.open()
    body = await maildrop.read(Index(0))
    assert await body.next_piece()
    assert body.sha256 is None
    body.close()
    assert await digest(maildrop, 0) == expected(LONG)
    body = await maildrop.read(Index(0))
    assert body.sha256 == expected(LONG)
    body.close()
    await maildrop.close()


@pytest.mark.parametrize("what", ["octets", "inode", "time"])
async def test_another_file_under_the_same_name_is_hashed_again(
    site: MaildirSite, what: str
) -> None:
    """What was found out holds for the very file that was read."""
    path = site.put("1.a", b"aa\n")
    os.utime(path, ns=(5, 5))
    assert await read_all(site) == [expected(b"aa\n")]
    changed = b"bb\n"
    match what:
        case "octets":
            changed = b"b\n\n\n"
            path.write_bytes(changed)
            os.utime(path, ns=(5, 5))
        case "inode":
            other = site.put("1.a", changed, folder="tmp")
            os.utime(other, ns=(5, 5))
            other.replace(path)
        case "time":
            path.write_bytes(changed)
            os.utime(path, ns=(6, 6))
    assert await read_all(site) == [expected(changed)]
    assert await read_all(site) == [expected(changed)]


async def test_a_message_that_changes_while_it_is_read_is_not_remembered(
    site: MaildirSite, hashed: list[None]
) -> None:
    """What was sent is told; next time it is what the file is then."""
    path = site.put("1.a", LONG)
    maildrop = await site.open()
    body = await maildrop.read(Index(0))
    await body.next_piece()
    os.utime(path, ns=(5, 5))
    await read_to_the_end(body)
    assert body.sha256 == expected(LONG)
    await maildrop.close()
    hashed.clear()
    assert await read_all(site) == [expected(LONG)]
    assert hashed == [None]


async def test_a_message_of_a_wrong_size_has_no_digest(site: MaildirSite) -> None:
    """It was refused, not read."""
    site.put("1.a,W=6000000", LONG)
    maildrop = await site.open()
    body = await maildrop.read(Index(0))
    with pytest.raises(MessageUnreadable):
        await read_to_the_end(body)
    assert body.sha256 is None
    await maildrop.close()


def ruin_with_garbage(index: Path) -> None:
    index.write_bytes(b"garbage" * 1000)


def ruin_the_middle(index: Path) -> None:
    octets = index.read_bytes()
    index.write_bytes(octets[:4096] + b"\xff" * (len(octets) - 4096))


def ruin_single_octets(index: Path) -> None:
    octets = bytearray(index.read_bytes())
    for place in range(4200, len(octets), 97):
        octets[place] ^= 0x41
    index.write_bytes(octets)


def empty(index: Path) -> None:
    os.truncate(index, 0)


def lose(index: Path) -> None:
    index.unlink()


def put_another_database_there(index: Path) -> None:
    index.unlink()
    change(index, "CREATE TABLE digests (something TEXT)")


def put_text_in(index: Path) -> None:
    change(index, "UPDATE digests SET stamp = 'x', sha256 = 'y', seal = 'z'")


def swap_digests(index: Path) -> None:
    change(index, "UPDATE digests SET sha256 = zeroblob(32)")


def move_to_other_messages(index: Path) -> None:
    change(index, "UPDATE digests SET base = substr(base, 1, 1) || CAST('.b' AS BLOB)")


def change(index: Path, statement: str) -> None:
    with sqlite3.connect(index) as database:
        database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    "ruin",
    [
        ruin_with_garbage,
        ruin_the_middle,
        ruin_single_octets,
        empty,
        lose,
        put_another_database_there,
        put_text_in,
        swap_digests,
    ],
)
async def test_an_index_that_is_ruined_is_made_again(
    site: MaildirSite, hashed: list[None], ruin: Callable[[Path], None]
) -> None:
    """The index is a memory, never trusted blindly: digests stay right whatever happens to it."""
    stored = [b"%d\n" % i for i in range(100)]
    for i, message in enumerate(stored):
        site.put(f"{1000 + i}.a", message)
    right = [expected(message) for message in stored]
    assert await read_all(site) == right
    ruin(site.digests)
    assert await read_all(site) == right
    assert await read_all(site) == right
    hashed.clear()
    assert await read_all(site) == right
    assert hashed == []


def test_a_row_of_another_message_is_not_believed(tmp_path: Path) -> None:
    """A page that an old one took the place of can have any row: each is sealed with its name."""
    path = tmp_path / "1.digests"
    with DigestIndex(path) as index:
        index.remember([Digest(b"1.a", b"stamp", b"x" * 32)])
        assert index.look_up([b"1.a"])
    move_to_other_messages(path)
    with DigestIndex(path) as index:
        assert index.look_up([b"1.b"]) == {}


async def test_without_room_for_an_index_mail_is_served(site: MaildirSite) -> None:
    """A disk that takes no more must not keep anybody from reading and deleting mail."""
    site.put("1.a,W=3", b"a\n")
    site.index.touch()  # no folder can be made here
    for _ in range(2):
        assert await read_all(site) == [expected(b"a\n")]
    maildrop = await site.open()
    assert (await maildrop.commit(uidls_of(maildrop))).failed == ()
    await maildrop.close()


async def test_delivery_does_not_wait_for_an_index(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message is safe whether its digest could be noted or not."""
    monkeypatch.setattr(digests_module, "DELIVERY_WAIT_S", 0)
    deliver_to(site, b"first\n")
    other = sqlite3.connect(site.digests, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    deliver_to(site, b"second\n")
    other.execute("ROLLBACK")
    other.close()
    assert await read_all(site) == [expected(b"first\n"), expected(b"second\n")]


def test_an_index_being_written_is_not_thrown_away(tmp_path: Path) -> None:
    """What is wrong with the moment is not wrong with the file."""
    path = tmp_path / "1.digests"
    kept = Digest(b"a", b"stamp", b"x" * 32)
    with DigestIndex(path) as index:
        index.remember([kept])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with DigestIndex(path, wait_s=0) as index:
        assert index.look_up([b"a"]) == {}
        index.remember([Digest(b"b", b"stamp", b"y" * 32)])
        index.forget([b"a"])
    other.execute("ROLLBACK")
    other.close()
    with DigestIndex(path) as index:
        assert index.look_up([b"a", b"b"]) == {b"a": kept}


async def test_opening_a_maildrop_opens_no_index_of_digests(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login needs none, and most logins read nothing."""
    deliver_to(site, b"x\n")
    monkeypatch.setattr(sqlite3, "connect", None)
    maildrop = await site.open()
    assert len(maildrop.listing) == 1
    await maildrop.close()


async def test_a_session_that_reads_opens_the_index_once_a_group(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening costs as much as fifty rows; reading backwards is no worse."""
    for number in range(2 * TOGETHER):
        site.put(f"{1000 + number}.a", b"%d\n" % number)
    right = await read_all(site)
    opened: list[object] = []
    real = sqlite3.connect

    def connect(path: Path, **options: Any) -> Any:
        if path == site.digests:
            opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    maildrop = await site.open()
    backwards = reversed(range(len(right)))
    assert [await digest(maildrop, place) for place in backwards] == right[::-1]
    await maildrop.close()
    assert len(opened) == 2


def test_who_reads_here_and_there_is_told_of_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message out of the row costs one row of the index, however many messages there are."""
    bases = [b"%05d" % number for number in range(20 * TOGETHER)]
    asked: list[int] = []

    def look_up(_: DigestIndex, wanted: list[bytes]) -> dict[bytes, Digest]:
        asked.append(len(wanted))
        return {base: Digest(base, b"stamp", b"x" * 32) for base in wanted}

    monkeypatch.setattr(DigestIndex, "look_up", look_up)
    known = KnownDigests(lambda: tmp_path / "1.digests", PackedStrings(bases))
    for place in (5, 500, 900, 901, 902, 899):
        found = known.find(Index(place), b"stamp")
        assert found
        assert found.base == bases[place]
    assert asked == [TOGETHER, 1, 1, TOGETHER]


def test_who_leaves_out_a_few_reads_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening the index costs more than some rows that nobody needs."""
    bases = [b"%05d" % number for number in range(4 * TOGETHER)]
    asked: list[int] = []

    def look_up(_: DigestIndex, wanted: list[bytes]) -> dict[bytes, Digest]:
        asked.append(len(wanted))
        return {}

    monkeypatch.setattr(DigestIndex, "look_up", look_up)
    known = KnownDigests(lambda: tmp_path / "1.digests", PackedStrings(bases))
    for place in range(0, len(bases), 5):
        assert known.find(Index(place), b"stamp") is None
    assert asked == [TOGETHER] * 4


def test_what_was_worked_out_is_known_after_it_was_written(tmp_path: Path) -> None:
    """The next session on the same messages needs no thread to find it."""
    known = KnownDigests(lambda: tmp_path / "1.digests", PackedStrings([b"a", b"b"]))
    digest = Digest(b"b", b"stamp", b"x" * 32)
    known.learn(Index(1), digest)
    known.write()
    assert not known.has_unwritten
    assert known.in_memory(Index(1)) == digest
    assert known.in_memory(Index(0)) is None


async def test_many_are_written_before_the_end(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long session that ends badly has remembered nearly all."""
    monkeypatch.setattr(digests_module, "WRITTEN_TOGETHER", 10)
    for number in range(11):
        site.put(f"{1000 + number}.a", b"%d\n" % number)
    maildrop = await site.open()
    body = await maildrop.read(Index(0))
    body.close()
    assert not site.digests.exists()
    for place in range(11):
        await digest(maildrop, place)
    with DigestIndex(site.digests) as index:
        assert index.count() == 10
    await maildrop.close()
    with DigestIndex(site.digests) as index:
        assert index.count() == 11


async def test_what_is_fetched_and_deleted_leaves_nothing(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual session of a program that takes its mail away: no index comes into being."""
    site.put("1.a,W=3", b"x\n")
    monkeypatch.setattr(sqlite3, "connect", None)
    maildrop = await site.open()
    await whole(maildrop, 0)
    await maildrop.commit(uidls_of(maildrop))
    await maildrop.close()
    assert not site.digests.exists()


async def test_an_index_goes_with_its_last_message(site: MaildirSite) -> None:
    """Messages that are removed here are forgotten at once, and nothing is left of them."""
    bases = [deliver_to(site, b"%d\n" % number) for number in range(2)]
    maildrop = await site.open()
    await maildrop.commit([maildrop.listing.uidl(Index(0))])
    await maildrop.close()
    with DigestIndex(site.digests) as index:
        assert index.look_up(bases).keys() == {bases[1]}
    maildrop = await site.open()
    await maildrop.commit(uidls_of(maildrop))
    await maildrop.close()
    assert not site.digests.exists()


async def test_an_index_does_not_grow_with_what_others_remove(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An IMAP client deletes too, and nobody tells us: a login looks at the file's length."""
    monkeypatch.setattr(digests_module, "_SLACK_OCTETS", 8192)
    bases = [deliver_to(site, b"%d\n" % number) for number in range(200)]
    await read_all(site)
    with DigestIndex(site.digests) as index:
        assert index.count() == 200
    before = site.digests.stat().st_size
    for base in bases[1:]:
        (site.maildir / "new" / os.fsdecode(base)).unlink()
    await (await site.open()).close()
    with DigestIndex(site.digests) as index:
        assert index.look_up(bases).keys() == {bases[0]}
        assert index.count() == 1
    assert site.digests.stat().st_size < before
    (site.maildir / "new" / os.fsdecode(bases[0])).unlink()
    monkeypatch.setattr(digests_module, "_SLACK_OCTETS", 0)
    await (await site.open()).close()
    assert not site.digests.exists()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=600, unique=True))
def test_names_of_any_kind_are_found(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes]
) -> None:
    """Messages in a row need not be names in a row: `9.a` comes before `10.a`."""
    path = tmp_path_factory.mktemp("index") / "1.digests"
    all_of_them = {name: Digest(name, b"stamp", hashlib.sha256(name).digest()) for name in names}
    with DigestIndex(path) as index:
        index.remember(all_of_them.values())
        asked = names[::7]
        found = index.look_up(asked)
        assert {name: found[name] for name in asked} == {name: all_of_them[name] for name in asked}


def test_a_digest_holds_for_one_stamp(tmp_path: Path) -> None:
    """A session asks with the stamp of the file that it has opened."""
    known = KnownDigests(lambda: tmp_path / "1.digests", PackedStrings([b"a"]))
    digest = Digest(b"a", b"stamp", b"x" * 32)
    known.learn(Index(0), digest)
    assert known.find(Index(0), b"stamp") == digest
    assert known.find(Index(0), b"another") is None


def test_what_is_known_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads all of a big maildrop does not fill the memory, and finds all that is written."""
    monkeypatch.setattr(digests_module, "KEPT", 2 * TOGETHER)
    bases = [b"%05d" % number for number in range(5 * TOGETHER)]
    with DigestIndex(tmp_path / "1.digests") as index:
        index.remember([Digest(base, b"stamp", b"x" * 32) for base in bases])
    known = KnownDigests(lambda: tmp_path / "1.digests", PackedStrings(bases))
    for _ in range(2):
        assert all(known.find(Index(place), b"stamp") for place in range(len(bases)))
    most = known.memory_octets
    assert known.find(Index(0), b"stamp")
    assert 0 < known.memory_octets == most
    assert most < 3 * TOGETHER * 1000


async def test_a_session_ends_while_its_digests_are_still_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop asks what they weigh; it must not wait for a thread that waits for a disk."""
    begun, go_on = threading.Event(), threading.Event()

    def look_up(*_: object) -> dict[bytes, Digest]:
        begun.set()
        go_on.wait(30)
        return {}

    known = KnownDigests(lambda: tmp_path / "1.digests", PackedStrings([b"a"]))
    monkeypatch.setattr(DigestIndex, "look_up", look_up)
    thread = threading.Thread(target=known.find, args=(Index(0), b"stamp"))
    thread.start()
    begun.wait(30)
    asking = threading.Thread(target=lambda: (known.memory_octets, known.has_unwritten))
    asking.start()
    asking.join(10)
    is_waiting = asking.is_alive()
    go_on.set()
    thread.join()
    assert not is_waiting


@pytest.mark.parametrize(
    ("stored", "marks", "dots"),
    [
        (b"a\r\nb\r\n", AS_SENT | DOTS_KNOWN, []),
        (b"a\nb\n", DOTS_KNOWN, []),
        (b"a\r\n.b\r\n", AS_SENT | DOTS_KNOWN, [3]),
        (b".a\n\n..b.\n", DOTS_KNOWN, [0, 6]),
        (b".a\n" * (FEW_DOTS + 1), 0, None),
        (b"a.\nb", DOTS_KNOWN, []),
        (b"", AS_SENT | DOTS_KNOWN, []),
    ],
)
@pytest.mark.parametrize("body_lines", [None, 0])
async def test_what_spares_work_is_found_out_with_the_digest(
    site: MaildirSite, stored: bytes, marks: int, dots: list[int] | None, body_lines: int | None
) -> None:
    """That a file goes out as it lies, and needs no stuffing: by whichever command was first."""
    site.put("1.a", stored)
    maildrop = await site.open()
    await digest(maildrop, 0, body_lines=body_lines)
    await maildrop.close()
    with DigestIndex(site.digests) as index:
        found = index.look_up([b"1.a"])[b"1.a"]
    assert found.marks == marks
    places = found.places_of_dots
    assert (places if places is None else list(places)) == dots
    maildrop = await site.open()
    body = await maildrop.read(Index(0))
    assert body.is_dot_free == (dots == [])
    body.close()
    assert await whole(maildrop, 0) == wire_form(stored)
    await maildrop.close()


async def test_an_index_of_an_older_version_is_made_again(
    site: MaildirSite, hashed: list[None]
) -> None:
    """It lacks a column; what was in it is found out again, once."""
    site.put("1.a", b"x\n")
    site.index.mkdir()
    change(
        site.digests,
        "CREATE TABLE digests (base BLOB PRIMARY KEY, stamp BLOB NOT NULL, sha256 BLOB NOT NULL,"
        " seal INTEGER NOT NULL) WITHOUT ROWID",
    )
    for _ in range(2):
        assert await read_all(site) == [expected(b"x\n")]
    assert hashed == [None]
