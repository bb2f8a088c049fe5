"""The chain of files: what it holds after a crash at any place, and who may write it."""

import errno
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.events.conftest import BEGIN, Clock
from tests.events.samples import read

from mailkeep.events import chain as chain_module
from mailkeep.events.chain import Chain, TrailHeld, find_end, open_chain
from mailkeep.events.checkpoints import CHECKPOINT_EVENTS, CHECKPOINT_S, BadKey
from mailkeep.events.trail_files import lines_backwards, lines_of
from mailkeep.events.verifying import Verified, verify_trail

if TYPE_CHECKING:
    from collections.abc import Callable


def append(chain: Chain, *uidls: str) -> None:
    chain.append([(BEGIN, read(uidl)) for uidl in uidls])


def uidls_in(folder: Path) -> list[str]:
    lines = [
        json.loads(raw.octets) for path in sorted(folder.glob("*.jsonl")) for raw in lines_of(path)
    ]
    return [line["fields"]["uidl"] for line in lines if "fields" in line]


def test_what_was_appended_is_there_and_goes_on(tmp_path: Path) -> None:
    """Numbers have no hole, whatever was closed in between."""
    for run in range(3):
        chain, torn = open_chain(tmp_path)
        assert torn == 0
        assert chain.end.seq == 2 * run
        append(chain, f"{run}a", f"{run}b")
        chain.close()
    assert uidls_in(tmp_path) == ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert verify_or_sign(tmp_path) == Verified(6, 1, 0)


def verify_or_sign(folder: Path) -> object:
    chain, _ = open_chain(folder)
    chain.sign(BEGIN)
    chain.close()
    return verify_trail(folder, witness=folder / "checkpoints")


def test_one_program_writes(tmp_path: Path) -> None:
    """Two would make two chains of one."""
    chain, _ = open_chain(tmp_path)
    with pytest.raises(TrailHeld):
        open_chain(tmp_path)
    chain.close()
    open_chain(tmp_path)[0].close()


def test_a_torn_last_line_is_cut_at_every_octet(tmp_path: Path) -> None:
    """Killed in the middle of a write: what was confirmed stays, what was not goes."""
    whole = tmp_path / "whole"
    chain, _ = open_chain(whole)
    append(chain, "1", "2", "3")
    chain.close()
    octets = (whole / "000001.jsonl").read_bytes()
    ends = [i + 1 for i, octet in enumerate(octets) if octet == ord("\n")]
    for length in range(len(octets) + 1):
        (whole / "000001.jsonl").write_bytes(octets[:length])
        chain, torn = open_chain(whole)
        lines = sum(end <= length for end in ends)
        assert chain.end.seq == lines
        assert torn == length - ([0, *ends][lines])
        append(chain, "after")
        chain.close()
        assert uidls_in(whole) == [*"123"[:lines], "after"]
        assert isinstance(verify_or_sign(whole), Verified)
        (whole / "checkpoints").unlink()


def test_octets_that_never_arrived_are_cut(tmp_path: Path) -> None:
    """A file system may leave NULs at the end after a power cut."""
    chain, _ = open_chain(tmp_path)
    append(chain, "1")
    chain.close()
    with (tmp_path / "000001.jsonl").open("ab") as file:
        file.write(b"\0" * 5000)
    assert verify_or_sign(tmp_path) == Verified(1, 1, 0)


def test_damage_is_left_for_verify_and_the_chain_goes_on(tmp_path: Path) -> None:
    """A whole line that is no record was not torn: cutting it would hide who did it."""
    chain, _ = open_chain(tmp_path)
    append(chain, "1", "2")
    chain.close()
    path = tmp_path / "000001.jsonl"
    damaged = path.read_bytes().replace(b'"uidl":"2"', b'"uidl": 2')
    path.write_bytes(damaged)
    chain, _ = open_chain(tmp_path)
    append(chain, "3")
    chain.close()
    assert path.read_bytes() == damaged
    found = verify_trail(tmp_path)
    assert (found.seq, found.line) == (2, 2)  # type: ignore[union-attr]  # it is Broken


def test_files_are_full_at_their_limit_and_the_chain_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also across a file that was begun and has nothing yet."""
    monkeypatch.setattr(chain_module, "FILE_LIMIT_OCTETS", 600)
    for run in range(4):
        chain, _ = open_chain(tmp_path)
        append(chain, *(f"{run}{n}" for n in range(3)))
        chain.close()
    assert len([*tmp_path.glob("*.jsonl")]) == 4
    (tmp_path / "000005.jsonl").touch()
    assert find_end(tmp_path)[0].seq == 12
    assert verify_or_sign(tmp_path) == Verified(12, 1, 0)


def test_a_group_that_failed_is_there_once_when_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it may have been written, or all of it without being durable."""
    chain, _ = open_chain(tmp_path)
    append(chain, "1")
    for failing in (_write_half, _fsync_fails):
        with monkeypatch.context() as patched:
            failing(patched)
            with pytest.raises(OSError, match="No space"):
                append(chain, "2", "3")
        assert chain.end.seq == 1
    append(chain, "2", "3")
    chain.close()
    assert uidls_in(tmp_path) == ["1", "2", "3"]
    assert verify_or_sign(tmp_path) == Verified(3, 1, 0)


def _write_half(patched: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real: Callable[..., int] = os.write

    def write(descriptor: int, octets: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(octets)
        return real(descriptor, bytes(octets)[: len(octets) // 2])

    patched.setattr(os, "write", write)


def _fsync_fails(patched: pytest.MonkeyPatch) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patched.setattr(os, "fsync", fsync)


def test_a_file_that_was_shortened_is_not_written_over(tmp_path: Path) -> None:
    """What is missing must be seen to be missing."""
    chain, _ = open_chain(tmp_path)
    append(chain, "1", "2", "3")
    chain._close_file()
    path = tmp_path / "000001.jsonl"
    os.truncate(path, path.read_bytes().index(b"\n") + 1)
    append(chain, "4")
    chain.close()
    found = verify_trail(tmp_path)
    assert (found.seq, found.file, found.line) == (2, "000002.jsonl", 1)  # type: ignore[union-attr]  # Broken


def test_a_checkpoint_is_due_by_number_and_by_time(tmp_path: Path, clock: Clock) -> None:
    """What is unsigned stays little; where nothing happens nothing is signed."""
    chain, _ = open_chain(tmp_path)
    assert chain.checkpoint_due_in_s(clock()) is None
    append(chain, "1")
    clock.move(10)
    assert chain.checkpoint_due_in_s(clock()) == CHECKPOINT_S - 10
    clock.move(CHECKPOINT_S)
    assert chain.checkpoint_due_in_s(clock()) == 0
    chain.sign(clock())
    assert chain.checkpoint_due_in_s(clock()) is None
    append(chain, *map(str, range(CHECKPOINT_EVENTS)))
    assert chain.checkpoint_due_in_s(clock()) == 0
    chain.close()


def test_what_was_unsigned_is_still_known_after_a_crash(tmp_path: Path) -> None:
    """Otherwise a server that crashes often would never sign."""
    for _ in range(3):
        chain, _ = open_chain(tmp_path)
        append(chain, *map(str, range(CHECKPOINT_EVENTS // 2 - 100)))
        chain.close()
    chain, _ = open_chain(tmp_path)
    assert chain.end.events_unsigned == 3 * (CHECKPOINT_EVENTS // 2 - 100)
    assert chain.checkpoint_due_in_s(BEGIN) == 0
    chain.close()


def test_a_witness_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """It is a copy: what it lacks it gets with the next checkpoint."""
    chain, _ = open_chain(tmp_path)
    append(chain, "1")
    witness = tmp_path / "checkpoints"
    witness.mkdir()
    chain.sign(BEGIN)
    assert chain.end.events_unsigned == 0
    witness.rmdir()
    append(chain, "2")
    chain.sign(BEGIN)
    chain.close()
    assert len(witness.read_bytes().splitlines()) == 2


def test_a_torn_line_of_the_witness_is_mended(tmp_path: Path) -> None:
    """A copy with two lines in one would be useless."""
    chain, _ = open_chain(tmp_path)
    append(chain, "1")
    chain.sign(BEGIN)
    chain.close()
    witness = tmp_path / "checkpoints"
    whole = witness.read_bytes()
    witness.write_bytes(whole + whole[:40])
    assert verify_or_sign(tmp_path) == Verified(1, 1, 0)
    assert witness.read_bytes() == whole


def test_keys_and_records_are_the_owners_alone(tmp_path: Path) -> None:
    """They name who read what."""
    folder = tmp_path / "trail"
    chain, _ = open_chain(folder)
    append(chain, "1")
    chain.sign(BEGIN)
    chain.close()
    assert folder.stat().st_mode & 0o077 == 0
    for name in ("signing.key", "000001.jsonl", "checkpoints", "lock"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name


@pytest.mark.parametrize("change", ["missing", "another", "no key"])
def test_a_trail_goes_on_with_its_own_key_only(tmp_path: Path, change: str) -> None:
    """A new key would make all checkpoints to come look forged; nothing is changed."""
    open_chain(tmp_path)[0].close()
    key = tmp_path / "signing.key"
    if change == "another":
        open_chain(tmp_path / "other")[0].close()
        (tmp_path / "other" / "signing.key").replace(key)
    elif change == "missing":
        key.unlink()
    else:
        key.write_bytes(b"nothing")
    before = key.read_bytes() if key.exists() else None
    with pytest.raises(BadKey, match=re.escape(str(key))):
        open_chain(tmp_path)
    assert (key.read_bytes() if key.exists() else None) == before


@pytest.mark.parametrize("octets", [b"", b"\n", b"a", b"a\n", b"a\nb", b"\n\na\n", b"x" * 70_000])
def test_lines_are_the_same_from_both_ends(tmp_path: Path, octets: bytes) -> None:
    """A block's edge may be anywhere in a line, or between two."""
    path = tmp_path / "f"
    for padding in (0, 1, (1 << 16) - 2, (1 << 16) - 1, 1 << 16):
        path.write_bytes(b"p" * padding + octets)
        assert [*lines_backwards(path)] == [*lines_of(path)][::-1]
