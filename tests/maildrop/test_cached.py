"""What the loop opens and reads itself: only what needs no waiting, and only what is as it was."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from mailkeep.maildrop import MaildropError, cached
from mailkeep.maildrop.cached import NOT_CACHED, learn_promise, open_cached, open_how, promises
from mailkeep.maildrop.hops import Threads, outcome
from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.maildrop.maildir import reach as reach_module
from mailkeep.maildrop.maildir.store import MaildirStore, OpenMaildir
from mailkeep.maildrop.maildir.warm import is_surely_there_still
from mailkeep.values import AccountId, Address, Index

ALICE = AccountId(1), Address("alice", "example.com")
TEXT = b"Subject: one\n\none\n"
WIRE = TEXT.replace(b"\n", b"\r\n")
READ = open_how(os.O_RDONLY | os.O_NOFOLLOW)

pytestmark = pytest.mark.skipif(cached._call is None, reason="only Linux 5.12 has openat2 for this")


@pytest.fixture(autouse=True)
def nothing_is_known_of_file_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests have made this process believe."""
    monkeypatch.setattr(cached, "_promising", {})


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """Alice's, with two messages; its folders have been as they are for a while."""
    maildir = tmp_path / "mail" / "alice"
    for folder in ("new", "cur", "tmp"):
        (maildir / folder).mkdir(parents=True)
    (maildir / "new" / "1.one").write_bytes(TEXT)
    (maildir / "cur" / "2.two:2,S").write_bytes(TEXT)
    return maildir


@pytest.fixture
def store(tmp_path: Path, maildir: Path) -> Iterator[MaildirStore]:
    """A store for which it is an hour later, so that folders tell of each change."""
    leases = Leases(tmp_path / "leases")
    later_ns = maildir.stat().st_mtime_ns + 3600 * 10**9
    paths = MaildirPaths(tmp_path, "mail/{local}")
    with Threads(1, "files") as files:
        yield MaildirStore(paths, leases, tmp_path / "index", files=files, now_ns=lambda: later_ns)
    leases.close()


async def open_alice(store: MaildirStore) -> OpenMaildir:
    """Begin a session."""
    return await store.open(*ALICE, timeout_s=10)


async def read_all(session: OpenMaildir) -> list[bytes]:
    """Read every message to its end."""
    texts = []
    for place in range(len(session.listing)):
        body = await session.read(Index(place))
        text = b""
        while piece := await body.next_piece():
            text += piece
        body.close()
        texts.append(text)
    return texts


class Hops:
    """Counts what threads are asked to do."""

    def __init__(self, patch: pytest.MonkeyPatch, store: MaildirStore) -> None:
        self.count = 0
        for threads in (store._opening, store._files):
            patch.setattr(threads, "submit", self._counting(threads.submit))

    def _counting(self, submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
        def count(*args: Any, **options: Any) -> Future[Any]:
            self.count += 1
            return submit(*args, **options)

        return count


async def warm_up(store: MaildirStore) -> None:
    """Let the store learn all there is to know."""
    for _ in range(2):
        session = await open_alice(store)
        assert await read_all(session) == [WIRE, WIRE]
        await session.close()
        await outcome(store._files.submit(lambda: None))  # behind the writing of digests


async def test_what_is_warm_and_cached_needs_no_thread(
    store: MaildirStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to open the maildrop nor to read its messages."""
    await warm_up(store)
    hops = Hops(monkeypatch, store)
    session = await open_alice(store)
    assert await read_all(session) == [WIRE, WIRE]
    await session.close()
    assert hops.count == 0


async def test_a_changed_folder_is_looked_at_in_a_thread(
    store: MaildirStore, maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that came is there at the next login."""
    await warm_up(store)
    (maildir / "new" / "3.three").write_bytes(TEXT)
    hops = Hops(monkeypatch, store)
    session = await open_alice(store)
    assert len(session.listing) == 3
    await session.close()
    assert hops.count > 0


async def test_a_message_that_moved_is_found(store: MaildirStore, maildir: Path) -> None:
    """Its neighbour has marked it as seen since the session began."""
    await warm_up(store)
    session = await open_alice(store)
    (maildir / "new" / "1.one").rename(maildir / "cur" / "1.one:2,RS")
    assert await read_all(session) == [WIRE, WIRE]
    await session.close()


async def test_a_file_that_was_rewritten_is_read_by_whoever_may_refuse(
    store: MaildirStore, maildir: Path
) -> None:
    """Its stamp is another one; what is sent is what there is, hashed anew."""
    await warm_up(store)
    session = await open_alice(store)
    other = TEXT.replace(b"one", b"two")
    (maildir / "new" / "1.one").write_bytes(other)
    body = await session.read(Index(0))
    assert await body.next_piece() == other.replace(b"\n", b"\r\n")
    await session.close()


async def test_a_link_is_not_followed(store: MaildirStore, maildir: Path, tmp_path: Path) -> None:
    """Neither by a thread nor at once: a user's folder must not lead to another's mail."""
    await warm_up(store)
    session = await open_alice(store)
    secret = tmp_path / "secret"
    secret.write_bytes(TEXT)
    (maildir / "new" / "1.one").unlink()
    (maildir / "new" / "1.one").symlink_to(secret)
    assert session.at_hand(Index(0)) is None
    with pytest.raises(MaildropError):
        await session.read(Index(0))
    await session.close()


def link_to_other_files(cur: Path, elsewhere: Path) -> None:
    """Lead to a folder where other octets have the same name, size and time."""
    shutil.copytree(cur, elsewhere)
    before = cur.stat()
    for path in elsewhere.iterdir():
        times = path.stat()
        path.write_bytes(TEXT.replace(b"two", b"TWO"))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    shutil.rmtree(cur)
    cur.symlink_to(elsewhere)
    os.utime(elsewhere, ns=(before.st_atime_ns, before.st_mtime_ns))


def link_to_the_same_files(cur: Path, elsewhere: Path) -> None:
    """Lead to the very folder: its files have the same inodes, and are what is known of them."""
    cur.rename(elsewhere)
    cur.symlink_to(elsewhere)


def link_the_maildir(cur: Path, elsewhere: Path) -> None:
    """Lead away from above, as operators do too: a thread may follow that, the loop may not."""
    cur.parent.rename(elsewhere)
    cur.parent.symlink_to(elsewhere)


@pytest.mark.parametrize("change", [link_to_other_files, link_to_the_same_files, link_the_maildir])
async def test_a_folder_that_became_a_link_has_nothing_at_hand(
    store: MaildirStore, maildir: Path, tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    """Whatever is behind it, be it the same mail: its disk might have to be waited for."""
    await warm_up(store)
    session = await open_alice(store)
    assert session.at_hand(Index(1)) is not None
    change(maildir / "cur", tmp_path / "elsewhere")
    assert session.at_hand(Index(1)) is None
    if change is link_the_maildir:
        assert await read_all(session) == [WIRE, WIRE]
    else:
        with pytest.raises(MaildropError):
            await session.read(Index(1))
    await session.close()
    assert [path for path in open_files() if path.is_relative_to(tmp_path / "elsewhere")] == []


async def test_a_maildir_behind_a_link_is_read_at_once(
    store: MaildirStore, maildir: Path, tmp_path: Path
) -> None:
    """Operators move mail to other disks; a thread has followed their link."""
    link_the_maildir(maildir / "cur", tmp_path / "elsewhere")
    await warm_up(store)
    session = await open_alice(store)
    assert [session.at_hand(Index(place)) is not None for place in range(2)] == [True, True]
    await session.close()


async def test_mail_that_was_moved_to_another_disk_is_at_hand_again(
    store: MaildirStore, maildir: Path, tmp_path: Path
) -> None:
    """The new paths are learnt when the folders are read again."""
    await warm_up(store)
    (maildir / "new" / "3.three").write_bytes(TEXT)
    link_the_maildir(maildir / "cur", tmp_path / "elsewhere")
    for is_at_hand in (False, True):
        session = await open_alice(store)
        assert (session.at_hand(Index(2)) is not None) is is_at_hand
        assert await read_all(session) == [WIRE] * 3
        await session.close()


def write_other_octets(path: Path) -> None:
    """Put a file there that is as long as the other was."""
    path.write_bytes(TEXT.replace(b"one", b"two"))
    os.utime(path, ns=(5, 5))


@pytest.mark.parametrize("put", [write_other_octets, Path.mkdir, os.mkfifo])
async def test_what_is_not_the_file_that_is_known_is_not_read(
    store: MaildirStore, maildir: Path, put: Callable[[Path], None]
) -> None:
    """Another file in its place, a folder, a pipe that nobody writes to: a thread finds out."""
    await warm_up(store)
    session = await open_alice(store)
    assert session.at_hand(Index(0)) is not None
    path = maildir / "new" / "1.one"
    path.unlink()
    put(path)
    assert session.at_hand(Index(0)) is None
    await session.close()


async def test_a_file_of_another_file_system_is_not_read(
    store: MaildirStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another disk was mounted there: its inodes are others', and nothing is known of it."""
    await warm_up(store)
    session = await open_alice(store)
    reach = session._messages.maildir.reach
    assert reach is not None
    monkeypatch.setattr(session._messages.maildir, "reach", reach._replace(device=reach.device + 1))
    assert session.at_hand(Index(0)) is None
    await session.close()


async def test_nobody_waits_for_a_thread_that_looks_up_digests(
    store: MaildirStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up holds its lock for as long as the disk takes."""
    await warm_up(store)
    session = await open_alice(store)
    guard = threading.Lock()
    monkeypatch.setattr(session._messages.digests, "_guard", guard)
    with guard:
        asking = threading.Thread(target=session.at_hand, args=(Index(0),), daemon=True)
        asking.start()
        asking.join(10)
        assert not asking.is_alive()
    await session.close()


async def test_reading_at_once_is_noticed_by_nobody(store: MaildirStore, maildir: Path) -> None:
    """The time of access is the owner's own reading of it, which mail programs go by."""
    await warm_up(store)
    path = maildir / "new" / "1.one"
    os.utime(path, ns=(0, path.stat().st_mtime_ns))  # so old that the system would renew it
    session = await open_alice(store)
    assert session.at_hand(Index(0)) is not None
    assert path.stat().st_atime_ns == 0
    await session.close()


async def test_what_may_not_be_read_unnoticed_is_read(
    store: MaildirStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's file is opened the way that worked in the thread."""
    real = os.open

    def refuse_owners_flags(path: Any, flags: int, *mode: int, **options: Any) -> int:
        if flags & reach_module.UNNOTICED:
            raise PermissionError(1, "Operation not permitted")
        return real(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", refuse_owners_flags)
    await warm_up(store)
    session = await open_alice(store)
    assert session.at_hand(Index(0)) is not None
    reach = session._messages.maildir.reach
    assert reach is not None
    assert reach.how == reach_module._NOTICED_HOW
    await session.close()


async def test_a_disk_that_fails_is_left_to_a_thread(
    store: MaildirStore, maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked at once never raises, leaves nothing open, and keeps no lease."""
    await warm_up(store)
    session = await open_alice(store)
    with monkeypatch.context() as failing:
        failing.setattr(os, "fstat", fail)
        assert session.at_hand(Index(0)) is None
        assert not is_surely_there_still(session._messages)
    assert [path for path in open_files() if path.is_relative_to(maildir)] == []
    await session.close()
    await (await open_alice(store)).close()


def open_files() -> list[Path]:
    """Return what this process has open now."""
    paths = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # what another thread has just closed
            paths.append(descriptor.readlink())
    return paths


def fail(_: int) -> os.stat_result:
    """Answer as a broken disk does."""
    raise OSError(5, "Input/output error")


def test_a_file_system_that_cannot_promise_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network's says that it does not know RWF_NOWAIT."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(os, "preadv", refuse)
            learn_promise(1, file.fileno())
        learn_promise(2, file.fileno())
    assert not promises(1)
    assert promises(2)
    assert not promises(3)


def refuse(*_: object) -> int:
    """Answer as NFS does."""
    raise OSError(95, "Operation not supported")


def test_what_cannot_be_opened_is_not_cached(tmp_path: Path) -> None:
    """Whatever the reason: it is found out by a thread."""
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("none", "link"):
        assert open_cached(os.fsencode(tmp_path / name), READ) == NOT_CACHED
    (tmp_path / "folder").mkdir()
    no_link = open_how(os.O_RDONLY, follows_links=False)
    assert open_cached(os.fsencode(tmp_path / "link" / "folder"), no_link) == NOT_CACHED
    path = os.fsencode(tmp_path / "link" / "folder")
    tries = (open_cached(path, READ) for _ in range(100))  # a mount meanwhile makes one fail
    descriptor = next(it for it in tries if it != NOT_CACHED)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


LONG = b"Subject: long\n\n" + b".x\n" * 100_000


async def warm_up_long(store: MaildirStore, maildir: Path) -> bytes:
    """Let the store learn all there is to know of a third message, a long one; return its wire."""
    (maildir / "new" / "3.long").write_bytes(LONG)
    wire = LONG.replace(b"\n", b"\r\n")
    for _ in range(2):
        session = await open_alice(store)
        assert await read_all(session) == [WIRE, WIRE, wire]
        await session.close()
        await outcome(store._files.submit(lambda: None))  # behind the writing of digests
    return wire


async def test_a_long_message_is_begun_and_read_without_a_thread(
    store: MaildirStore, maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Piece by piece, as long as the system has it in memory."""
    wire = await warm_up_long(store, maildir)
    hops = Hops(monkeypatch, store)
    session = await open_alice(store)
    assert session.at_hand(Index(2)) is None
    assert await read_all(session) == [WIRE, WIRE, wire]
    await session.close()
    assert hops.count == 0


def write_other_lines(path: Path) -> None:
    """Put a message there that is as long as the other was."""
    path.write_bytes(LONG.replace(b".x", b".y"))
    os.utime(path, ns=(5, 5))


def cannot_be_asked(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "fstat", fail)


def is_not_in_memory(_: Path, patch: pytest.MonkeyPatch) -> None:
    def preadv(*_: object) -> int:
        raise BlockingIOError

    patch.setattr(os, "preadv", preadv)


def is_another(path: Path, _: pytest.MonkeyPatch) -> None:
    path.unlink()
    write_other_lines(path)


def is_a_pipe(path: Path, _: pytest.MonkeyPatch) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "happens",
    [cannot_be_asked, is_not_in_memory, is_another, is_a_pipe],
    ids=lambda it: it.__name__,
)
async def test_a_long_message_that_is_not_as_it_was_is_left_to_a_thread(
    store: MaildirStore,
    maildir: Path,
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    """Nothing of it is handed out, and nothing is left open."""
    await warm_up_long(store, maildir)
    session = await open_alice(store)
    path = maildir / "new" / "3.long"
    begun = session._messages.begin_at_once(Index(2))
    assert begun is not None
    begun[0].close()
    with monkeypatch.context() as patch:
        happens(path, patch)
        assert session._messages.begin_at_once(Index(2)) is None
    assert [path for path in open_files() if path.is_relative_to(maildir)] == []
    await session.close()
