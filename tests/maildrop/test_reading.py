"""A message is sent whole and as announced, or it is told apart before its end."""

import errno
import os
from collections.abc import Iterator
from itertools import count as count_from
from itertools import repeat

import pytest

from mailkeep.maildrop import Body, Maildrop, MessageUnreadable
from mailkeep.maildrop.maildir.reading import PIECE_OCTETS
from mailkeep.testing.maildir_site import MaildirSite
from mailkeep.testing.store_contract import digest, whole, wire_form
from mailkeep.values import Index

LONG = b"Subject: x\n\n" + b"0123456789abcde\n" * (PIECE_OCTETS // 4)


async def all_pieces(body: Body) -> list[bytes]:
    pieces = []
    while piece := await body.next_piece():
        pieces.append(piece)
    return pieces


async def octets_until_refused(maildrop: Maildrop) -> int:
    """Read the first message, which is refused, and return how much of it came."""
    sent = 0
    try:
        body = await maildrop.read(Index(0))
        while piece := await body.next_piece():
            sent += len(piece)
    except MessageUnreadable:
        return sent
    pytest.fail("a message of the wrong size was read to its end")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many octets each read took from a message's file."""
    taken: list[int] = []
    real = os.pread

    def pread(descriptor: int, octets: int, offset: int) -> bytes:
        chunk = real(descriptor, octets, offset)
        taken.append(len(chunk))
        return chunk

    monkeypatch.setattr(os, "pread", pread)
    return taken


@pytest.mark.parametrize("about_a_piece", range(-3, 4))
@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
async def test_a_message_about_as_long_as_a_piece_is_whole(
    site: MaildirSite, about_a_piece: int, end: bytes
) -> None:
    """RFC 1939 section 11: exact at the edge of what is read at once, with any last octets."""
    for pieces in (1, 2):
        stored = b"x" * (pieces * PIECE_OCTETS + about_a_piece - len(end)) + end
        site.put(f"{pieces}.a", stored)
    maildrop = await site.open()
    for pieces in (1, 2):
        stored = (site.maildir / "cur" / f"{pieces}.a").read_bytes()
        assert await whole(maildrop, pieces - 1) == wire_form(stored)
        assert maildrop.listing.octets(Index(pieces - 1)) == len(wire_form(stored))
    await maildrop.close()


async def test_a_long_message_is_never_in_memory(site: MaildirSite) -> None:
    """A message of any size takes the same memory: a piece is bounded."""
    site.put("1.a", b"\n" * PIECE_OCTETS * 5)
    maildrop = await site.open()
    pieces = await all_pieces(await maildrop.read(Index(0)))
    assert max(map(len, pieces)) <= 2 * PIECE_OCTETS
    assert sum(map(len, pieces)) == 10 * PIECE_OCTETS
    await maildrop.close()


@pytest.mark.parametrize("wrong_by", [-(10**4), -3, -2, -1, 1, 2, 3, 10**4])
@pytest.mark.parametrize(
    "stored", [b"x\n" * 6000, LONG, LONG[:-1], b"y" * 6 * PIECE_OCTETS], ids=len
)
async def test_a_wrong_size_in_the_name_is_found_before_the_end(
    site: MaildirSite, wrong_by: int, stored: bytes
) -> None:
    """What is sent is never longer than announced nor ends as if whole; next time it is right."""
    announced = len(wire_form(stored)) + wrong_by
    site.put(f"1.a,W={announced}", stored)
    maildrop = await site.open()
    assert maildrop.listing.octets(Index(0)) == announced
    assert await octets_until_refused(maildrop) < announced
    await maildrop.close()

    maildrop = await site.open()
    assert maildrop.listing.octets(Index(0)) == len(wire_form(stored))
    assert await whole(maildrop, 0) == wire_form(stored)
    await maildrop.close()


async def test_a_wrong_size_of_a_short_message_is_found_before_a_promise(
    site: MaildirSite,
) -> None:
    """RETR of it can be refused, and the connection goes on (RFC 1939 section 3: one reply)."""
    site.put("1.a,W=4", b"x\n")
    maildrop = await site.open()
    with pytest.raises(MessageUnreadable, match="4 octets"):
        await maildrop.read(Index(0))
    assert await whole(maildrop, 0, body_lines=5) == b"x\r\n"  # a part has no announced size
    await maildrop.close()


async def test_a_message_cut_short_while_it_is_read_is_not_ended(site: MaildirSite) -> None:
    """A file that changes under the reader must not pass for a whole message."""
    path = site.put("1.a", LONG)
    maildrop = await site.open()
    body = await maildrop.read(Index(0))
    assert await body.next_piece()
    os.truncate(path, PIECE_OCTETS + 10)
    with pytest.raises(MessageUnreadable):
        await all_pieces(body)
    await maildrop.close()


async def test_a_message_unlinked_while_it_is_read_is_still_whole(site: MaildirSite) -> None:
    """What was opened stays readable though a neighbour removes it."""
    path = site.put("1.a", LONG)
    maildrop = await site.open()
    body = await maildrop.read(Index(0))
    path.unlink()
    assert b"".join(await all_pieces(body)) == wire_form(LONG)
    await maildrop.close()


async def test_a_read_error_is_told(site: MaildirSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad sector in the middle of a message must not look like its end; nothing stays open."""
    site.put("1.a", LONG)
    maildrop = await site.open()
    body = await maildrop.read(Index(0))
    await body.next_piece()

    def pread(*_: object) -> bytes:
        raise OSError(errno.EIO, "bad sector")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", pread)
        patch.setattr(os, "preadv", pread)
        with pytest.raises(MessageUnreadable, match="bad sector"):
            await body.next_piece()
    assert site.open_files() == []
    body.close()
    await maildrop.close()


async def test_top_reads_no_further_than_it_sends(site: MaildirSite, reads: list[int]) -> None:
    """RFC 1939 section 7: TOP of a big message whose digest is known costs what TOP sends."""
    site.put("1.a,W=1", LONG)
    maildrop = await site.open()
    assert await digest(maildrop, 0, body_lines=1)
    assert len(reads) > 2
    reads.clear()
    assert await whole(maildrop, 0, body_lines=1) == wire_form(LONG[:28])
    assert reads == [PIECE_OCTETS]
    await maildrop.close()


async def test_top_is_not_refused_for_what_it_does_not_send(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector behind the top leaves the digest unknown, and the top is sent."""
    site.put("1.a,W=1", LONG)
    maildrop = await site.open()
    real = os.pread
    left = [1]

    def pread(descriptor: int, octets: int, offset: int) -> bytes:
        if not left.pop():
            raise OSError(errno.EIO, "bad sector")
        left.append(0)
        return real(descriptor, octets, offset)

    monkeypatch.setattr(os, "pread", pread)
    body = await maildrop.read(Index(0), body_lines=1)
    assert await all_pieces(body) == [wire_form(LONG[:28])]
    assert body.sha256 is None
    assert site.open_files() == []
    await maildrop.close()


async def test_a_short_message_takes_one_hop(site: MaildirSite, reads: list[int]) -> None:
    """Opening, reading and finding the end of ordinary mail is one trip to a thread."""
    site.put("1.a", b"x\n")
    maildrop = await site.open()
    reads.clear()
    body = await maildrop.read(Index(0))
    assert reads == [2]  # more was asked for: that is the end of the file
    assert await all_pieces(body) == [b"x\r\n"]
    assert reads == [2]
    await maildrop.close()


async def test_reading_is_not_noticed_by_others(site: MaildirSite) -> None:
    """Serving mail is not its owner's reading of it: the time of access stays."""
    path = site.put("1.a")
    os.utime(path, ns=(10**9, 10**18))
    maildrop = await site.open()
    await whole(maildrop, 0)
    assert path.stat().st_atime_ns == 10**9
    await maildrop.close()


async def test_a_file_of_another_owner_is_read_with_notice(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open(2): O_NOATIME is for the owner; a group that may read still does."""
    real = os.open

    def open_as_another(
        path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        if flags & os.O_NOATIME == os.O_NOATIME:
            raise PermissionError(errno.EPERM, "not the owner")
        return real(path, flags, mode, dir_fd=dir_fd)

    site.put("1.a")
    monkeypatch.setattr(os, "open", open_as_another)
    maildrop = await site.open()
    assert await whole(maildrop, 0) == b"x\r\n"
    await maildrop.close()


async def known(site: MaildirSite) -> Maildrop:
    """Return a session on a message that was read before, so that nothing has to be found out."""
    maildrop = await site.open()
    await digest(maildrop, 0)
    return maildrop


class Cached:
    """What the page cache has of a file: the octets of each answer, or why there is none."""

    def __init__(self, answers: Iterator[int | OSError]) -> None:
        self._answers = answers
        self._real = os.preadv

    def __call__(self, descriptor: int, buffers: list[memoryview], offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        answer = next(self._answers)
        if isinstance(answer, OSError):
            raise answer
        return self._real(descriptor, [buffers[0][:answer]], offset)


async def test_what_is_cached_takes_no_hop(site: MaildirSite, reads: list[int]) -> None:
    """The loop itself takes every piece where nobody waits."""
    site.put("1.a", LONG)
    maildrop = await known(site)
    reads.clear()
    assert await whole(maildrop, 0) == wire_form(LONG)
    assert reads == []
    assert site.open_files() == []
    await maildrop.close()


@pytest.mark.parametrize(
    "cause", [BlockingIOError(), OSError(errno.EOPNOTSUPP, "no"), OSError(errno.EIO, "bad sector")]
)
@pytest.mark.parametrize("period", [1, 2, 3])
@pytest.mark.parametrize("octets", [PIECE_OCTETS, 4096, 1000])
async def test_what_is_cached_in_part_is_whole(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch, cause: OSError, period: int, octets: int
) -> None:
    """Any part of a file may be in memory, on any file system; a piece stays bounded."""
    site.put("1.a", LONG)
    maildrop = await known(site)
    answers = (cause if count % period == 0 else octets for count in count_from(1))
    monkeypatch.setattr(os, "preadv", Cached(answers))
    pieces = await all_pieces(await maildrop.read(Index(0)))
    assert b"".join(pieces) == wire_form(LONG)
    assert max(map(len, pieces)) <= 4 * PIECE_OCTETS
    assert site.open_files() == []
    await maildrop.close()


@pytest.mark.parametrize("wrong_by", [-(10**4), -1, 1, 10**4])
async def test_a_wrong_size_is_found_by_the_loop_too(site: MaildirSite, wrong_by: int) -> None:
    """TOP has made the digest known; RETR then finds the size wrong, and does not count here."""
    announced = len(wire_form(LONG)) + wrong_by
    site.put(f"1.a,W={announced}", LONG)
    maildrop = await site.open()
    await whole(maildrop, 0, body_lines=0)
    assert await octets_until_refused(maildrop) < announced
    assert site.open_files() == []
    await maildrop.close()
    maildrop = await site.open()
    assert await whole(maildrop, 0) == wire_form(LONG)
    await maildrop.close()


@pytest.mark.parametrize("stored", [b"x\n", b"x\r\n", b"", b"x", LONG, wire_form(LONG)], ids=len)
async def test_a_known_message_that_changed_is_not_taken_for_what_it_was(
    site: MaildirSite, stored: bytes
) -> None:
    """What spares work holds for one file: another in its place is read like a new one."""
    path = site.put("1.a", b"abc\r\n" * 3)
    maildrop = await known(site)
    await maildrop.close()
    path.write_bytes(stored)
    maildrop = await site.open()
    assert await whole(maildrop, 0) == wire_form(stored)
    assert await whole(maildrop, 0) == wire_form(stored)
    await maildrop.close()


async def test_a_short_message_cut_shorter_after_it_was_looked_at_is_refused(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a file's status and its octets a neighbour may still write."""
    site.put("1.a", b"abc\n")
    maildrop = await known(site)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda d, octets, at: real(d, min(octets, max(2 - at, 0)), at))
    monkeypatch.setattr(os, "preadv", Cached(repeat(2)))
    with pytest.raises(MessageUnreadable):
        await maildrop.read(Index(0))
    monkeypatch.setattr(os, "pread", real)
    assert await whole(maildrop, 0) == b"abc\r\n"
    assert site.open_files() == []
    await maildrop.close()
