"""The state of an account lies in a folder of its own, and one run has it at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.site import python_path

from mailkeep.fetch.failures import AccountLocked, FetchExit, StorageFailed
from mailkeep.fetch.state_folder import AccountFolder

HOLD = """
import sys
from pathlib import Path
from mailkeep.fetch.state_folder import AccountFolder
with AccountFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def made(state: Path, account: str = "alice@mail.example.com") -> AccountFolder:
    folder = AccountFolder.of(state, account)
    folder.make()
    return folder


def test_a_usual_account_has_a_folder_of_its_name(tmp_path: Path) -> None:
    """People look into it, so it has a name that they know."""
    folder = made(tmp_path / "state")
    assert folder.path == tmp_path / "state" / "alice@mail.example.com"
    assert folder.journal == folder.path / "journal.db"
    assert [folder.spool.is_dir(), folder.quarantine.is_dir()] == [True, True]


ODD = [
    "a/b@host",
    "../../etc@host",
    "..",
    ".",
    ".hidden@host",
    "/@host",
    "~@host",
    "-rf@host",
    "a b@host",
    "a\tb@host",
    "a%2Fb@host",
    "a\\b@host",
    "\u043f\u043e\u0447\u0442\u0430@host",
    "x" * 300 + "@host",
    "\u043f" * 40 + "@host",
    "a@host@2001:db8::1",
    "*?|<>:\"'@host",
]


@pytest.mark.parametrize("account", ODD)
def test_an_odd_account_has_a_folder_below_the_state(tmp_path: Path, account: str) -> None:
    """S-57: no user or host leads out of it, and every file system takes the name."""
    folder = made(tmp_path / "state", account)
    assert folder.path.parent == tmp_path / "state"
    assert [*(tmp_path / "state").iterdir()] == [folder.path]
    assert [*tmp_path.iterdir()] == [tmp_path / "state"]
    assert len(folder.path.name.encode()) <= 200
    assert folder.path.name.isascii()
    assert folder.path.name[0] != "."


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_accounts_never_share_a_folder(one: str, other: str) -> None:
    """One journal for two mailboxes would mix them up."""
    state = Path("/state")
    encodable = [name for name in {one, other} if name.isprintable()]
    assert len({AccountFolder.of(state, name).path for name in encodable}) == len(encodable)


def test_state_is_for_its_owner_only(tmp_path: Path) -> None:
    """Quarantine has mail in it, and the names of accounts are nobody's business."""
    folder = made(tmp_path / "local" / "state")
    for path in (folder.path, folder.spool, folder.quarantine, *folder.path.parents[:2]):
        assert path.stat().st_mode & 0o777 == 0o700
    with folder.locked():
        assert (folder.path / "lock").stat().st_mode & 0o777 == 0o600
    folder.make()  # what is there stays


@pytest.mark.parametrize("name", ["alice@mail.example.com", "alice@mail.example.com/spool", ""])
def test_a_folder_that_cannot_be_made_is_a_matter_of_storage(tmp_path: Path, name: str) -> None:
    """Exit code 9, with a way out; whatever is in the way stays."""
    in_the_way = tmp_path / "state" / name
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_text("mine")
    with pytest.raises(StorageFailed) as refused:
        made(tmp_path / "state")
    assert refused.value.code is FetchExit.STORAGE
    assert "--state" in (refused.value.hint or "")
    assert in_the_way.read_text() == "mine"


def test_an_account_that_another_process_has_is_locked_until_it_ends(tmp_path: Path) -> None:
    """S-11: a second run says who has it; a killed one has let it go."""
    folder = made(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | python_path(),
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with (
                pytest.raises(AccountLocked, match=f"process {other.pid} ") as refused,
                folder.locked(),
            ):
                pytest.fail("two have it")
            assert refused.value.code is FetchExit.LOCKED
        finally:
            other.kill()
            other.wait()
    with folder.locked():
        assert int((folder.path / "lock").read_text()) == os.getpid()


def test_a_second_run_in_one_process_is_locked_out_too(tmp_path: Path) -> None:
    """S-11: two settings may name one mailbox; and what is let go can be had again."""
    folder = made(tmp_path)
    for _ in range(2):
        with folder.locked():
            with pytest.raises(AccountLocked, match=f"process {os.getpid()} "), folder.locked():
                pytest.fail("two have it")
            with pytest.raises(AccountLocked), folder.locked():
                pytest.fail("the refused one has let it go")


def test_another_account_is_not_locked(tmp_path: Path) -> None:
    """Four mailboxes are fetched at a time."""
    with made(tmp_path, "a@host").locked(), made(tmp_path, "b@host").locked():
        pass


def test_a_lock_falls_when_a_run_fails(tmp_path: Path) -> None:
    """Whatever ended it."""
    folder = made(tmp_path)
    with pytest.raises(ZeroDivisionError), folder.locked():
        raise ZeroDivisionError
    with folder.locked():
        pass


def test_a_lock_that_cannot_be_had_is_a_matter_of_storage(tmp_path: Path) -> None:
    """A folder in its place, or no folder to make it in."""
    folder = made(tmp_path)
    (folder.path / "lock").mkdir()
    with pytest.raises(StorageFailed), folder.locked():
        pytest.fail("there is no lock")
    with pytest.raises(StorageFailed), AccountFolder(tmp_path / "none").locked():
        pytest.fail("there is no folder")
