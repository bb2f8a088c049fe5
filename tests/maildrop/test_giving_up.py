"""What a caller who gives up leaves behind: nothing open, nothing locked, nothing half done."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mailkeep.maildrop import MaildropBusy, MaildropUnavailable, MessageUnreadable
from mailkeep.maildrop.maildir.reading import PIECE_OCTETS
from mailkeep.maildrop.maildir.sizes import SizeIndex
from mailkeep.maildrop.maildir.store import OpenMaildir
from mailkeep.testing.maildir_site import ACCOUNT, HeldExecutor, MaildirSite, maildir_site
from mailkeep.testing.store_contract import uidls_of
from mailkeep.values import Index

T = TypeVar("T")


@pytest.fixture
def executor() -> HeldExecutor:
    return HeldExecutor()


@pytest.fixture
def site(tmp_path: Path, executor: HeldExecutor) -> Iterator[MaildirSite]:
    """A site where each hop to a thread waits until the test does it."""
    with maildir_site(tmp_path, opening=executor, files=executor) as site:
        yield site


async def begun(call: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start a call and let it come to where it waits."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    return task


async def give_up(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def finished(executor: HeldExecutor, call: Coroutine[Any, Any, T]) -> T:
    """Make a call and do its one hop."""
    task = await begun(call)
    executor.start()()
    return await task


async def opened(site: MaildirSite, executor: HeldExecutor) -> OpenMaildir:
    return await finished(executor, site.open())


def is_free(site: MaildirSite) -> bool:
    try:
        site.leases.acquire(ACCOUNT).release()
    except MaildropBusy:
        return False
    return True


async def test_an_opening_given_up_in_the_queue_is_never_made(
    site: MaildirSite, executor: HeldExecutor
) -> None:
    """RFC 1939 section 4: the lock goes at once when there was nothing under way."""
    site.put("1.a")
    task = await begun(site.open())
    assert not is_free(site)
    await give_up(task)
    assert is_free(site)
    executor.start()()
    assert not site.sizes.exists()


async def test_an_opening_given_up_under_way_stops_at_its_next_message(
    site: MaildirSite, executor: HeldExecutor
) -> None:
    """A client that left keeps neither the disk busy nor itself out for longer than a message."""
    for i in range(5):
        site.put(f"{i}.a")
    task = await begun(site.open())
    finish = executor.start()
    await give_up(task)
    assert not is_free(site)
    finish()
    assert is_free(site)
    with SizeIndex(site.sizes) as index:
        assert index.count() == 1
    again = await opened(site, executor)
    assert len(again.listing) == 5
    assert site.open_files() == []


async def test_a_system_without_threads_keeps_nobody_locked_out(tmp_path: Path) -> None:
    """RFC 1939 section 4: no session began, so no lease may stay; trying again later helps."""

    class WithoutThreads(HeldExecutor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            super().submit(fn, *args, **kwargs)  # as a ThreadPoolExecutor does: it may yet run
            raise RuntimeError("can't start new thread")

    executor = WithoutThreads()
    with maildir_site(tmp_path, opening=executor, files=executor) as site:
        site.put("1.a")
        with pytest.raises(MaildropUnavailable, match="new thread"):
            await site.open()
        assert is_free(site)


async def test_a_message_opened_for_somebody_who_left_is_closed(
    site: MaildirSite, executor: HeldExecutor
) -> None:
    """A descriptor is not lost with the client that asked for it."""
    site.put("1.a", b"x" * PIECE_OCTETS * 3)
    maildrop = await opened(site, executor)
    for is_under_way in (False, True):
        task = await begun(maildrop.read(Index(0)))
        finish = executor.start() if is_under_way else None
        await give_up(task)
        (finish or executor.start())()
        assert site.open_files() == []


async def test_a_body_closed_during_a_hop_is_closed_after_it(
    site: MaildirSite, executor: HeldExecutor
) -> None:
    """The thread must not read from a descriptor that is somebody else's by now."""
    path = site.put("1.a", b"x" * PIECE_OCTETS * 3)
    maildrop = await opened(site, executor)
    body = await finished(executor, maildrop.read(Index(0)))
    assert await body.next_piece()
    task = await begun(body.next_piece())
    finish = executor.start()
    body.close()
    body.close()
    assert site.open_files() == [path]
    finish()
    assert site.open_files() == []
    assert await task
    with pytest.raises(MessageUnreadable):
        await body.next_piece()


async def test_after_a_piece_that_was_given_up_there_is_no_next(
    site: MaildirSite, executor: HeldExecutor
) -> None:
    """A piece that nobody took must not be skipped: the rest would look like the message."""
    site.put("1.a", b"x" * PIECE_OCTETS * 3)
    maildrop = await opened(site, executor)
    body = await finished(executor, maildrop.read(Index(0)))
    assert await body.next_piece()
    task = await begun(body.next_piece())
    finish = executor.start()
    await give_up(task)
    finish()
    with pytest.raises(MessageUnreadable):
        await body.next_piece()
    body.close()
    assert site.open_files() == []


@pytest.mark.parametrize("is_under_way", [False, True])
async def test_a_commit_given_up_runs_to_its_end_under_its_lease(
    site: MaildirSite, executor: HeldExecutor, is_under_way: bool
) -> None:
    """RFC 1939 section 6: UPDATE, once entered, is made; nobody else sees half of it."""
    site.put("1.a")
    site.put("2.b")
    maildrop = await opened(site, executor)
    task = await begun(maildrop.commit(uidls_of(maildrop)[:1]))
    finish = executor.start() if is_under_way else None
    await give_up(task)
    await maildrop.close()
    assert not is_free(site)
    (finish or executor.start())()
    assert is_free(site)
    assert site.filenames() == {"2.b"}
    await maildrop.close()


async def test_closing_waits_for_nothing(site: MaildirSite, executor: HeldExecutor) -> None:
    """A session's end is never held up by a slow disk."""
    site.put("1.a", b"x" * PIECE_OCTETS * 3)
    maildrop = await opened(site, executor)
    task = await begun(maildrop.read(Index(0)))
    closing = maildrop.close()
    with pytest.raises(StopIteration):
        closing.send(None)
    assert is_free(site)
    await give_up(task)
