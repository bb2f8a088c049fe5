"""Work goes to a thread and its outcome comes back, whatever happens to who waits for it."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import pytest

from mailkeep.maildrop import hops
from mailkeep.maildrop.hops import Threads, outcome

SOON_S = 30.0


@pytest.fixture(params=[Threads, ThreadPoolExecutor])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Two threads, ours or the library's: `outcome` waits for both."""
    executor: Executor = request.param(2, "test")
    yield executor
    executor.shutdown()


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads(2, "test")
    yield threads
    threads.shutdown()


async def test_what_was_returned_or_raised_comes_back(executor: Executor) -> None:
    """Work that fails is no worse off than a call."""
    assert await outcome(executor.submit(pow, 2, 5, mod=7)) == 4
    with pytest.raises(ZeroDivisionError):
        await outcome(executor.submit(lambda: 1 // 0))
    assert await outcome(executor.submit(int, "7")) == 7


async def test_many_wait_at_once_and_each_gets_its_own(executor: Executor) -> None:
    """One ring for several that have ended wakes all of them."""
    numbers = range(500)
    got = await asyncio.gather(*(outcome(executor.submit(int, number)) for number in numbers))
    assert got == list(numbers)


async def test_what_has_ended_is_not_waited_for() -> None:
    """An executor may do the work where it is handed over."""
    future: Future[int] = Future()
    future.set_result(3)
    waiting = outcome(future)
    with pytest.raises(StopIteration) as ended:
        waiting.send(None)
    assert ended.value.value == 3


async def test_the_loop_goes_on_while_work_is_under_way(threads: Threads) -> None:
    """A disk that does not answer stops nobody else."""
    answers = Event()
    slow = asyncio.ensure_future(outcome(threads.submit(answers.wait, SOON_S)))
    assert await outcome(threads.submit(int, 1)) == 1
    assert not slow.done()
    answers.set()
    assert await slow


async def test_no_more_threads_than_asked_for_and_the_rest_waits_its_turn(
    threads: Threads,
) -> None:
    """First come, first served."""
    both, go_on = threading.Barrier(3), Event()
    begun: list[int] = []

    def busy() -> None:
        both.wait(SOON_S)
        go_on.wait(SOON_S)

    work = [threads.submit(busy) for _ in range(2)]
    both.wait(SOON_S)
    work += [threads.submit(begun.append, number) for number in range(20)]
    assert begun == []
    go_on.set()
    for future in work:
        future.result(SOON_S)
    assert sorted(begun) == list(range(20))


async def test_one_thread_is_enough_for_who_waits_each_time(threads: Threads) -> None:
    """The thread that rested last works next: it is the warmest."""
    names = set()
    for _ in range(50):
        names.add(await outcome(threads.submit(threading.get_ident)))
        await asyncio.sleep(0)
    assert len(names) <= 2


async def test_work_that_has_not_begun_goes_with_its_caller(threads: Threads) -> None:
    """Who left before anything was done for him has nothing done; a commit is done all the same."""
    go_on = Event()
    busy = [threads.submit(go_on.wait, SOON_S) for _ in range(2)]
    done: list[str] = []
    waiting = [
        asyncio.ensure_future(outcome(threads.submit(done.append, "reading"))),
        asyncio.ensure_future(
            outcome(commit := threads.submit(done.append, "commit"), is_for_caller=False)
        ),
    ]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert [task.cancelled() for task in waiting] == [True, True]
    go_on.set()
    commit.result(SOON_S)
    assert [future.result(SOON_S) for future in busy] == [True, True]
    threads.shutdown()
    assert done == ["commit"]


def test_each_loop_has_a_bell_of_its_own(executor: Executor) -> None:
    """A process may run one loop after the other, and two at once."""

    async def ask() -> int:
        return await outcome(executor.submit(int, 5))

    assert [asyncio.run(ask()) for _ in range(3)] == [5, 5, 5]
    got: list[int] = []
    others = [Thread(target=lambda: got.append(asyncio.run(ask()))) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join(SOON_S)
    assert got == [5] * 4


async def test_without_an_eventfd_it_is_the_same(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS has none."""
    monkeypatch.setattr(hops, "_bell_of", lambda _: hops._call_soon)
    assert await outcome(threads.submit(int, 5)) == 5


async def test_a_system_without_threads_says_so(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there is one thread, the work waits for it; with none nobody would ever do it."""

    def start(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", start)
        with pytest.raises(RuntimeError, match="new thread"):
            threads.submit(int)
    go_on = Event()
    busy = threads.submit(go_on.wait, SOON_S)
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", start)
        later = threads.submit(int, 4)
    go_on.set()
    assert busy.result(SOON_S)
    assert later.result(SOON_S) == 4


def test_what_was_taken_is_done_before_the_end_and_nothing_is_taken_after(
    threads: Threads,
) -> None:
    """As the library's executors have it."""
    done: list[int] = []
    for number in range(20):
        threads.submit(done.append, number)
    threads.shutdown()
    assert sorted(done) == list(range(20))
    with pytest.raises(RuntimeError):
        threads.submit(int)


def test_what_waits_can_be_cancelled_at_the_end(threads: Threads) -> None:
    """What has begun is done, the rest is not."""
    go_on = Event()
    for _ in range(2):
        threads.submit(go_on.wait, SOON_S)
    later = threads.submit(int)
    threads.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    threads.shutdown()
    assert later.cancelled()


def test_a_process_that_ends_finishes_a_commit_and_waits_for_no_idle_thread(
    tmp_path: Path,
) -> None:
    """A commit is not torn by the end of the program that began it."""
    code = f"""
import pathlib, threading
from mailkeep.maildrop.hops import Threads
threads = Threads(2, "files")
threads.submit(int).result()
def commit():
    threading.main_thread().join()
    pathlib.Path({str(tmp_path / "done")!r}).touch()
threads.submit(commit)
threads.submit(commit)
threads.submit(commit)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=SOON_S)
    assert (tmp_path / "done").exists()
