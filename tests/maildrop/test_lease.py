"""The lease: exclusive access to a maildrop (RFC 1939 section 4)."""

import errno
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailkeep.maildrop import MaildropBusy, MaildropUnavailable
from mailkeep.maildrop.lease import Leases
from mailkeep.values import AccountId

ALICE = AccountId(1)
BOB = AccountId(2**40)

HOLD = """
import sys
from pathlib import Path
from mailkeep.maildrop.lease import Leases
leases = Leases(Path(sys.argv[1]))
lease = leases.acquire(1)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["locks of the open file", "record locks of the process"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of leases, with the locks of this platform and those of a lesser one."""
    if request.param.startswith("record"):
        monkeypatch.delattr(fcntl, "F_OFD_SETLK", raising=False)
    return tmp_path / "run" / "leases"


@pytest.fixture
def leases(path: Path) -> Iterator[Leases]:
    leases = Leases(path)
    yield leases
    leases.close()


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds Alice's lease."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_session_in_the_process_is_refused(leases: Leases) -> None:
    """RFC 1939 section 4: one session a maildrop; another account is not concerned."""
    lease = leases.acquire(ALICE)
    leases.acquire(BOB)
    with pytest.raises(MaildropBusy):
        leases.acquire(ALICE)
    lease.release()
    leases.acquire(ALICE)


def test_a_lease_given_back_twice_is_not_taken_from_the_next(leases: Leases) -> None:
    """The connection's end and QUIT may both close a maildrop; the next session keeps its own."""
    first = leases.acquire(ALICE)
    first.release()
    leases.acquire(ALICE)
    first.release()
    with pytest.raises(MaildropBusy):
        leases.acquire(ALICE)


def test_a_session_in_another_process_is_respected(
    leases: Leases, holder: subprocess.Popen[bytes]
) -> None:
    """RFC 1939 section 4, between workers: busy here, and still busy after having asked."""
    for _ in range(2):
        with pytest.raises(MaildropBusy):
            leases.acquire(ALICE)
    leases.acquire(BOB)
    assert holder.poll() is None


def test_a_lease_falls_with_its_process(leases: Leases, holder: subprocess.Popen[bytes]) -> None:
    """A worker that is killed must not lock anybody out of their mail."""
    with pytest.raises(MaildropBusy):
        leases.acquire(ALICE)
    holder.kill()
    holder.wait()
    leases.acquire(ALICE)


def test_a_lease_here_is_respected_by_another_process(path: Path, leases: Leases) -> None:
    """RFC 1939 section 4, the other way round, and after it was given back."""
    command = [sys.executable, "-c", HOLD, str(path)]
    lease = leases.acquire(ALICE)
    refused = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert b"MaildropBusy" in refused.stderr
    lease.release()
    taken = subprocess.run(command, input=b"", capture_output=True, check=True)
    assert taken.stdout == b"held\n"


def test_a_lock_file_that_fails_opens_no_maildrop(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a working lock nobody gets in: two sessions would be worse than none."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "fcntl", fail)
        patch.setattr(fcntl, "lockf", fail)
        with pytest.raises(MaildropUnavailable, match="no locks"):
            leases.acquire(ALICE)
    leases.acquire(ALICE).release()
