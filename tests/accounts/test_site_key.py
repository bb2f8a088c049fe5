"""The site's secret: made once, kept private, and never seen."""

import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mailkeep.accounts.site_key import SiteKey, SiteKeyProblem, open_site_key
from mailkeep.values import Secret

OPEN = """
import sys
from pathlib import Path
from mailkeep.accounts.site_key import open_site_key
sys.stdin.read()
print(open_site_key(Path(sys.argv[1])).identifier.hex())
"""


def test_a_key_is_made_once_and_read_from_then_on(tmp_path: Path) -> None:
    """Device passwords are good after a restart."""
    path = tmp_path / "site.key"
    first = open_site_key(path)
    assert len(path.read_bytes()) == 32
    assert open_site_key(path).derive("x") == first.derive("x")
    assert [file.name for file in tmp_path.iterdir()] == ["site.key"]


def test_two_sites_have_two_keys(tmp_path: Path) -> None:
    """It is random."""
    one, other = (open_site_key(tmp_path / name) for name in ("a", "b"))
    assert one.derive("x") != other.derive("x")
    assert one.identifier != other.identifier


def test_a_key_is_its_owners_only(tmp_path: Path) -> None:
    """Mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        open_site_key(tmp_path / "site.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "site.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """And the operator is told what that means."""
    path = tmp_path / "site.key"
    open_site_key(path)
    path.chmod(mode)
    with pytest.raises(SiteKeyProblem, match=str(path)) as caught:
        open_site_key(path)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"k" * 31, b"k" * 33, b"k" * 100_000])
def test_a_damaged_key_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    """Another one in its place would make every device's password wrong."""
    path = tmp_path / "site.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(SiteKeyProblem, match="damaged") as caught:
        open_site_key(path)
    assert "backup" in caught.value.hint
    assert path.read_bytes() == content


def test_a_folder_that_is_missing_or_in_its_place_is_named(tmp_path: Path) -> None:
    """The confused user."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "site.key", tmp_path / "folder"):
        with pytest.raises(SiteKeyProblem, match=str(path)) as caught:
            open_site_key(path)
        assert caught.value.hint


@pytest.mark.root
def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    """Who could lay a key there could check guesses with it."""
    path = tmp_path / "site.key"
    open_site_key(path)
    os.chown(path, 65534, -1)
    with pytest.raises(SiteKeyProblem, match="another user"):
        open_site_key(path)


def test_programs_that_start_at_once_get_one_key(tmp_path: Path) -> None:
    """One makes it, the others find it; nothing is left beside it."""
    path = tmp_path / "site.key"
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.close()
        program.stdin = None
    told = {program.communicate(timeout=60)[0] for program in programs}
    assert told == {open_site_key(path).identifier.hex().encode() + b"\n"}
    assert [file.name for file in tmp_path.iterdir()] == ["site.key"]


def test_who_is_a_moment_late_takes_the_key_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and making, another program may have made it: that one is never replaced."""
    path = tmp_path / "site.key"
    first = open_site_key(path)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert open_site_key(path).identifier == first.identifier
    assert [file.name for file in tmp_path.iterdir()] == ["site.key"]


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_disk_that_fails_leaves_no_half_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whole or not at all; the next try makes it."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(SiteKeyProblem, match="No space"):
        open_site_key(tmp_path / "site.key")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    open_site_key(tmp_path / "site.key")


def test_keys_for_two_purposes_are_two_keys() -> None:
    """What is told by one must not help with the other."""
    key = SiteKey(Secret(b"k" * 32))
    derived = [key.derive(purpose).reveal() for purpose in ("a", "b", "identifier", "")]
    assert len(set(derived)) == 4
    assert {len(one) for one in derived} == {32}
    assert key.identifier != b"k" * 8
    assert key.derive("a") == SiteKey(Secret(b"k" * 32)).derive("a")


def test_a_key_is_not_seen_and_does_not_travel() -> None:
    """In no log, no trace and no pickle."""
    key = SiteKey(Secret(b"secret octets of the site, 32 in"))
    assert "secret" not in f"{key!r} {key} {key.derive('x')!r}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
