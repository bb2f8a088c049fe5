"""A disk that takes 200 ms for everything stops nobody but who waits for it."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tests.adversity.loopback import LOGIN, Client, Loopback, Serve

from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths, deliver
from mailkeep.maildrop.maildir.store import MaildirStore

READ_S = 0.2
NOOP_S = 0.02

BIG = b"Subject: big\r\n\r\n" + b"0123456789abcde\r\n" * 20_000
SMALL = b"Subject: small\r\n\r\nx\r\n"

DISK = ("open", "stat", "scandir", "listdir", "read", "pread", "unlink", "fsync")


class Disk:
    """Every call that may wait for a disk, made slow, and who made it."""

    def __init__(self, patch: pytest.MonkeyPatch, delay_s: float) -> None:
        self._loop_thread = threading.get_ident()
        self._delay_s = delay_s
        self.calls = 0
        self.calls_of_the_loop: list[str] = []
        for name in DISK:
            patch.setattr(os, name, self._slow(name, getattr(os, name)))
        patch.setattr(sqlite3, "connect", self._slow("connect", sqlite3.connect))
        patch.setattr(os, "preadv", self._not_cached, raising=False)

    def _slow(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if threading.get_ident() == self._loop_thread:
                self.calls_of_the_loop.append(f"{name}{args}")
            threading.Event().wait(self._delay_s)
            return real(*args, **options)

        return call

    def _not_cached(self, *_: Any) -> int:
        """Say what Linux says of `RWF_NOWAIT` when nothing is in the page cache."""
        raise BlockingIOError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MaildirStore]:
    """Three messages of Alice's, one of them big and one of another program's; Bob has none."""
    maildir = tmp_path / "mail" / "alice"
    for text in (SMALL, BIG):
        source = tmp_path / "message"
        source.write_bytes(text)
        with source.open("rb") as octets:
            deliver(maildir, octets, "host")
    (maildir / "cur" / "1999999999.other:2,S").write_bytes(BIG.replace(b"\r\n", b"\n"))
    leases = Leases(tmp_path / "leases")
    yield MaildirStore(MaildirPaths(tmp_path, "mail/{local}"), leases, tmp_path / "index")
    leases.close()


async def converse(client: Client) -> None:
    """Do everything that reads and writes mail."""
    for _ in range(2):
        await client.send(b"STAT\r\nUIDL\r\nRETR 1\r\nRETR 2\r\nRETR 3\r\nTOP 3 1\r\n")
        assert await client.read_line() == b"+OK 3 %d\r\n" % (len(SMALL) + 2 * len(BIG))
        await client.read_through(b"\r\n.\r\n")
        for text in (SMALL, BIG, BIG):
            assert (await client.read_through(b"\r\n.\r\n")).endswith(text + b".\r\n")
        assert (await client.read_through(b"\r\n.\r\n")).endswith(BIG[:33] + b".\r\n")
    await client.send(b"DELE 1\r\nQUIT\r\n")
    assert await client.read_to_end() == b"+OK marked as deleted\r\n+OK bye\r\n"


async def test_the_loop_never_waits_for_a_disk(
    serve: Serve, store: MaildirStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From login to QUIT every call that may wait is made by a thread."""
    server = await serve(store)
    with monkeypatch.context() as patch:
        disk = Disk(patch, 0)
        await converse(await server.logged_in())
        await look_in(server)
    assert disk.calls > 20
    assert disk.calls_of_the_loop == []


async def look_in(server: Loopback) -> None:
    """Come once more, after what was put off until the session had ended."""
    client = await server.logged_in()
    await client.send(b"QUIT\r\n")
    assert await client.read_to_end() == b"+OK bye\r\n"


async def test_other_sessions_are_answered_while_a_disk_is_slow(
    serve: Serve, store: MaildirStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 ms a call: a loop that waited for one of them would answer a NOOP once in 200 ms.

    The median, because the machine may be busy with other things.
    """
    server = await serve(store)
    slow = await server.logged_in()
    bob = await server.greeted()
    await bob.send(LOGIN.replace(b"alice", b"bob"))
    for _ in range(2):
        assert (await bob.read_line()).startswith(b"+OK")
    with monkeypatch.context() as patch:
        disk = Disk(patch, READ_S)
        conversation = asyncio.ensure_future(converse(slow))
        took_s = []
        while not conversation.done():
            began_s = time.perf_counter()
            await bob.send(b"NOOP\r\n")
            assert (await bob.read_line()).startswith(b"+OK")
            took_s.append(time.perf_counter() - began_s)
        await conversation
    assert disk.calls > 10
    assert len(took_s) > 20
    assert median(took_s) < NOOP_S
    assert sorted(took_s)[int(len(took_s) * 0.99)] < READ_S
