"""The locks of an mbox, against real processes that hold them."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailkeep.fetch.destinations.mbox import MboxDestination
from mailkeep.fetch.destinations.mbox_locks import MboxLock
from mailkeep.fetch.destinations.seam import DestinationUnavailable

FCNTL = "import fcntl; file = open(path, 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX)"
DOTLOCK = "import os; open(path + '.lock', 'x').write(f'{os.getpid()}\\n')"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mbox"
    path.touch()
    return path


@pytest.fixture
def dotlock(path: Path) -> Path:
    return path.with_name("mbox.lock")


@contextmanager
def another_program(path: Path, code: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that has done something to the mbox and waits."""
    whole = f"import sys; path = sys.argv[1]; {code}; print('ready', flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", whole, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("code", [FCNTL, DOTLOCK], ids=["fcntl", "dotlock"])
def test_an_mbox_that_another_program_holds_is_not_touched(path: Path, code: str) -> None:
    """S-69: whichever lock it uses; the text says which file, and the hint what to do."""
    with another_program(path, code):
        destination = MboxDestination(path, path.parent / "spool", lock_timeout_s=0)
        with pytest.raises(DestinationUnavailable, match="is locked") as refused:
            destination.begin_batch()
        assert refused.value.hint
        assert destination.end_batch() is None
        assert path.with_name("mbox.lock").exists() == (code == DOTLOCK)


@pytest.mark.parametrize("code", [FCNTL, DOTLOCK], ids=["fcntl", "dotlock"])
def test_a_lock_is_waited_for(path: Path, code: str) -> None:
    """S-69: mail programs hold it for a moment; then it is ours."""
    with another_program(path, code) as process:
        waiting = MboxLock(path, timeout_s=30)
        ours = threading.Thread(target=waiting.acquire)
        ours.start()
        process.kill()
        process.wait()
        ours.join()
        assert waiting.descriptor >= 0
        waiting.release()


def test_ours_keeps_others_out(path: Path, dotlock: Path) -> None:
    """Both locks are taken, whichever the other program looks at."""
    lock = MboxLock(path, timeout_s=0)
    lock.acquire()
    assert dotlock.read_text() == f"{os.getpid()}:{socket.gethostname()}\n"
    assert another_sees_it_locked(path)
    lock.release()
    lock.release()
    assert not dotlock.exists()
    assert not another_sees_it_locked(path)


def test_two_accounts_of_one_process_keep_each_other_out(path: Path) -> None:
    """A process has its fcntl locks as one, so the dotlock must hold between its threads."""
    first, second = MboxLock(path, timeout_s=0), MboxLock(path, timeout_s=0)
    first.acquire()
    with pytest.raises(DestinationUnavailable, match="locked"):
        second.acquire()
    second.release()
    assert another_sees_it_locked(path)
    first.release()
    second.acquire()
    second.release()


def another_sees_it_locked(path: Path) -> bool:
    code = (
        "import fcntl, sys\n"
        "try: fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except OSError: sys.exit(7)\n"
    )
    return subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 7


def test_the_lock_of_a_killed_run_is_taken_over(path: Path, dotlock: Path) -> None:
    """S-69: its process is dead, so nobody is in the middle of anything."""
    with another_program(path, DOTLOCK) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert dotlock.exists()
        lock = MboxLock(path, timeout_s=5)
        lock.acquire()
        assert dotlock.read_text().startswith(f"{os.getpid()}:")
        lock.release()
        assert not dotlock.exists()


def test_the_lock_of_a_run_with_our_own_number_is_taken_over(path: Path, dotlock: Path) -> None:
    """In a container every run may be process 1."""
    dotlock.write_text(f"{os.getpid()}:{socket.gethostname()}\n")
    lock = MboxLock(path, timeout_s=5)
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("content", ["", "0\n", "1:another.host\n", "rubbish\n"])
def test_a_lock_that_names_no_process_here_goes_when_it_is_old(
    path: Path, dotlock: Path, content: str
) -> None:
    """A young one is respected; one that is older than Postfix respects it is not."""
    dotlock.write_text(content)
    with pytest.raises(DestinationUnavailable, match=r"mbox\.lock"):
        MboxLock(path, timeout_s=0).acquire()
    assert dotlock.exists()
    old = dotlock.stat().st_mtime - 600
    os.utime(dotlock, (old, old))
    lock = MboxLock(path, timeout_s=5)
    lock.acquire()
    lock.release()


def test_an_old_lock_of_a_living_process_is_respected(path: Path, dotlock: Path) -> None:
    """Somebody may have their mail open for hours."""
    with another_program(path, DOTLOCK):
        os.utime(dotlock, (0, 0))
        with pytest.raises(DestinationUnavailable, match="locked"):
            MboxLock(path, timeout_s=0).acquire()
        assert dotlock.exists()


def test_a_lock_that_is_not_ours_any_more_is_not_removed(path: Path, dotlock: Path) -> None:
    """Another program may have taken ours for a stale one and made its own."""
    lock = MboxLock(path, timeout_s=0)
    lock.acquire()
    dotlock.rename(dotlock.with_name("gone"))
    dotlock.write_text("1:another.host\n")
    lock.release()
    assert dotlock.read_text() == "1:another.host\n"


def test_a_file_that_was_replaced_while_it_was_locked_is_locked_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some programs write a new file and rename it over the old one."""
    import fcntl

    real, calls = fcntl.lockf, []

    def replaced_first(descriptor: int, how: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            path.with_name("new").write_bytes(b"rewritten")
            path.with_name("new").rename(path)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "lockf", replaced_first)
    lock = MboxLock(path, timeout_s=5)
    descriptor = lock.acquire()
    assert os.pread(descriptor, 100, 0) == b"rewritten"
    lock.release()


def test_a_folder_without_room_for_a_lock_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dotlock that cannot be written leaves none."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DestinationUnavailable, match="no space left"):
        MboxLock(path, timeout_s=0).acquire()
    assert [each.name for each in path.parent.iterdir()] == ["mbox"]


def test_without_hard_links_a_dotlock_is_made_all_the_same(
    path: Path, dotlock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems have none; there a killed run may leave one that names nobody."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    lock = MboxLock(path, timeout_s=0)
    lock.acquire()
    assert dotlock.read_text() == f"{os.getpid()}:{socket.gethostname()}\n"
    with pytest.raises(DestinationUnavailable, match="locked"):
        MboxLock(path, timeout_s=0).acquire()
    lock.release()
    assert not dotlock.exists()
