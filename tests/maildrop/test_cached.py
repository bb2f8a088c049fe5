"""What the loop opens and reads itself: only what needs no waiting, and only what is as it was."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from mailkeep.maildrop import cached
from mailkeep.maildrop.cached import NOT_CACHED, learn_promise, open_cached, open_how, promises
from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.maildrop.maildir.store import MaildirStore, OpenMaildir
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
    yield MaildirStore(paths, leases, tmp_path / "index", now_ns=lambda: later_ns)
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
    assert session._messages.read_at_once(Index(0)) is None
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
        assert session._messages.read_at_once(Index(0)) is None
    assert session._messages.read_at_once(Index(0)) is not None
    await session.close()


async def test_a_disk_that_fails_is_left_to_a_thread(
    store: MaildirStore, maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked at once never raises, leaves nothing open, and keeps no lease."""
    await warm_up(store)
    session = await open_alice(store)
    with monkeypatch.context() as failing:
        failing.setattr(os, "fstat", fail)
        assert session._messages.read_at_once(Index(0)) is None
        assert session._messages.maildir.states_at_once() == (None, None)
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
    descriptor = open_cached(os.fsencode(tmp_path), READ)
    assert descriptor != NOT_CACHED
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
