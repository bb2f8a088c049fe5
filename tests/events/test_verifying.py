"""Whatever is done to a trail, the first record that is not as it was written is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.events.conftest import BEGIN, ns_of
from tests.events.samples import as_told, read

from mailkeep.events import chain as chain_module
from mailkeep.events.chain import open_chain
from mailkeep.events.checkpoints import Checkpoint, checkpoint_line, open_key
from mailkeep.events.records import canonical, digest
from mailkeep.events.runs import Told, merged
from mailkeep.events.verifying import Broken, Verified, verify_trail

GROUPS = 4
EVENTS = 3
"""Each of the groups has three events and a checkpoint, so line 4 is the first checkpoint."""

Lines = list[bytes]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    chain, _ = open_chain(folder)
    for group in range(GROUPS):
        chain.append([(BEGIN, read(f"{group}-{n}")) for n in range(EVENTS)])
        chain.sign(BEGIN)
    chain.close()
    return folder


@pytest.fixture
def trail(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "trail")


def lines_of(trail: Path) -> Lines:
    return (trail / "000001.jsonl").read_bytes().splitlines()


def write(trail: Path, lines: Lines) -> None:
    (trail / "000001.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def is_checkpoint(line: bytes) -> bool:
    return b'"checkpoint"' in line


def seq_of(line: bytes) -> int:
    said = json.loads(line)
    return int(said.get("seq", said.get("checkpoint")))


def broken(trail: Path, **options: Path) -> Broken:
    found = verify_trail(trail, **options)
    assert isinstance(found, Broken), found
    return found


def test_a_trail_as_it_was_written_is_verified(trail: Path) -> None:
    """With and without a witness, and with a copy of the key."""
    expected = Verified(events=GROUPS * EVENTS, checkpoints=GROUPS, unsigned=0)
    assert verify_trail(trail) == expected
    assert verify_trail(trail, trail / "signing.pub", trail / "checkpoints") == expected


@pytest.mark.parametrize("place", range(GROUPS * (EVENTS + 1)))
def test_a_changed_record_is_named(trail: Path, place: int) -> None:
    """Every line of the trail, an event or a checkpoint."""
    lines = lines_of(trail)
    said = json.loads(lines[place])
    if is_checkpoint(lines[place]):
        said["time"] = "2020-01-01T00:00:00.000000Z"
    else:
        said["fields"]["uidl"] = "forged"
    write(trail, [*lines[:place], canonical(said), *lines[place + 1 :]])
    found = broken(trail)
    assert (found.seq, found.file, found.line) == (seq_of(lines[place]), "000001.jsonl", place + 1)


@pytest.mark.parametrize("place", range(GROUPS * (EVENTS + 1) - 1))
def test_a_removed_record_is_named(trail: Path, place: int) -> None:
    """But for the last, which only a witness can tell of."""
    lines = lines_of(trail)
    write(trail, lines[:place] + lines[place + 1 :])
    found = broken(trail)
    assert found.seq == seq_of(lines[place])
    if not is_checkpoint(lines[place]):
        assert "missing" in found.reason


@pytest.mark.parametrize("place", range(GROUPS * (EVENTS + 1)))
def test_an_inserted_record_is_named(trail: Path, place: int) -> None:
    """With the right link to the line before it and the number that is due."""
    lines = lines_of(trail)
    before = lines[place - 1] if place else None
    forged = {
        "seq": seq_of(before) + 1 if before else 1,
        "time": "2026-11-22T08:44:00.813879Z",
        "event": "message read",
        "fields": {},
        "prev": digest(before) if before else "0" * 64,
    }
    write(trail, [*lines[:place], canonical(forged), *lines[place:]])
    found = broken(trail)
    assert found.line in {place + 1, place + 2}


@pytest.mark.parametrize("place", range(GROUPS * (EVENTS + 1) - 1))
def test_two_that_changed_places_are_named(trail: Path, place: int) -> None:
    """The first of them."""
    lines = lines_of(trail)
    lines[place : place + 2] = lines[place : place + 2][::-1]
    write(trail, lines)
    assert broken(trail).line in {place + 1, place + 2}


def test_a_chain_written_anew_is_told_by_the_checkpoint_behind_it(trail: Path) -> None:
    """Whoever has no key can make links fit and no signature."""
    lines = lines_of(trail)
    forged = _forge(lines, 4)
    write(trail, forged)
    found = broken(trail)
    assert found.seq == 6
    assert "after 3 on" in found.reason


def _forge(
    lines: Lines, place: int, resign: Callable[[dict[str, object]], bytes] | None = None
) -> Lines:
    """Change an event and make all later links fit."""
    forged = lines[:place]
    for line in lines[place:]:
        said = json.loads(line)
        if is_checkpoint(line):
            forged.append(resign(said | {"head": digest(forged[-1])}) if resign else line)
            continue
        said["prev"] = digest(forged[-1])
        if len(forged) == place:
            said["fields"]["uidl"] = "forged"
        forged.append(canonical(said))
    return forged


def test_a_stolen_key_is_told_by_a_witness(trail: Path, original: Path) -> None:
    """Whoever has the key can sign what he wrote, but not on the other machine."""
    key = open_key(trail)
    links = ["0" * 64]

    def resign(said: dict[str, object]) -> bytes:
        checkpoint = Checkpoint(int(str(said["checkpoint"])), str(said["head"]), links[-1])
        line = checkpoint_line(key, BEGIN, checkpoint)
        links.append(digest(line))
        return line

    write(trail, _forge(lines_of(trail), 1, resign))
    assert isinstance(verify_trail(trail), Verified)
    found = broken(trail, witness=original / "checkpoints")
    assert (found.seq, found.reason) == (3, "the witness has another checkpoint")


@pytest.mark.parametrize("kept", range(GROUPS * (EVENTS + 1)))
def test_a_trail_that_was_cut_off_is_told_by_a_witness(trail: Path, kept: int) -> None:
    """Without one it looks like an earlier trail."""
    lines = lines_of(trail)
    write(trail, lines[:kept])
    assert isinstance(verify_trail(trail), Verified)
    found = broken(trail, witness=trail / "checkpoints")
    last = seq_of(lines[kept - 1]) if kept else 0
    is_end_signed = kept and is_checkpoint(lines[kept - 1])
    assert found.seq == (last + 1 if is_end_signed else min(last + 1, _next_signed(lines, kept)))
    assert "cut off" in found.reason


def _next_signed(lines: Lines, kept: int) -> int:
    return next(seq_of(line) for line in lines[kept:] if is_checkpoint(line))


def test_an_old_witness_is_still_one(trail: Path) -> None:
    """It vouches for what it knows."""
    witness = trail / "checkpoints"
    first = witness.read_bytes().splitlines()[0] + b"\n"
    witness.write_bytes(first)
    assert isinstance(verify_trail(trail, witness=witness), Verified)


def test_another_key_signs_nothing(trail: Path, tmp_path: Path) -> None:
    """The key in the folder may be the intruder's: give a copy of the true one."""
    (tmp_path / "other").mkdir()
    open_key(tmp_path / "other")
    found = broken(trail, public_key=tmp_path / "other" / "signing.pub")
    assert (found.seq, found.reason) == (3, "the checkpoint's signature is wrong")


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """But for the last, which a witness tells of."""
    monkeypatch.setattr(chain_module, "FILE_LIMIT_OCTETS", 1)
    chain, _ = open_chain(tmp_path)
    for n in range(4):
        chain.append([(BEGIN, read(str(n)))])
    chain.close()
    (tmp_path / f"{missing:06}.jsonl").unlink()
    found = broken(tmp_path)
    assert (found.seq, found.file) == (missing, f"{missing:06}.jsonl")


def test_a_line_that_is_being_written_is_left_out(trail: Path) -> None:
    """The server may be at it."""
    with (trail / "000001.jsonl").open("ab") as file:
        file.write(b'{"event":"mess')
    assert isinstance(verify_trail(trail), Verified)


def test_a_trail_without_checkpoints_is_not_believed(tmp_path: Path) -> None:
    """Whoever cuts them out must not get away with a chain of his own."""
    chain, _ = open_chain(tmp_path)
    chain.append([(BEGIN, read(str(n))) for n in range(2001)])
    chain.close()
    assert broken(tmp_path).reason == "no checkpoint follows where one must"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_octet_is_overlooked(original: Path, trail: Path, data: st.DataObject) -> None:
    """Any octet of any line, to any other value."""
    path = trail / "000001.jsonl"
    octets = bytearray((original / "000001.jsonl").read_bytes())
    place = data.draw(st.integers(0, len(octets) - 2))
    octets[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(octets)
    line = octets[:place].count(b"\n") + 1
    found = broken(trail)
    assert found.line in {line, line + 1}


@pytest.fixture(scope="module")
def original_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four lines of runs of three, and a checkpoint behind each two."""
    folder = tmp_path_factory.mktemp("runs")
    chain, _ = open_chain(folder)
    for group in range(2):
        told = [as_told(read(f"{group}-{n}", session=f"s{n // 3}")) for n in range(6)]
        chain.append(merged([Told(ns_of(BEGIN), event) for event in told]))
        chain.sign(BEGIN)
    chain.close()
    return folder


@pytest.fixture
def runs(original_runs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original_runs, tmp_path / "runs")


def test_a_trail_of_runs_is_verified(runs: Path) -> None:
    """Events are counted, not lines."""
    assert len(lines_of(runs)) == 6
    assert verify_trail(runs, witness=runs / "checkpoints") == Verified(12, 2, 0)


@pytest.mark.parametrize("place", [0, 1, 3, 4])
@pytest.mark.parametrize("event", range(3))
def test_a_changed_event_of_a_run_is_named_by_the_runs_first(
    runs: Path, place: int, event: int
) -> None:
    """The line is what was signed."""
    lines = lines_of(runs)
    said = json.loads(lines[place])
    said["fields"]["each"][event]["uidl"] = "forged"
    write(runs, [*lines[:place], canonical(said), *lines[place + 1 :]])
    found = broken(runs)
    assert (found.seq, found.line) == (seq_of(lines[place]), place + 1)


@pytest.mark.parametrize("place", [0, 1, 3, 4])
@pytest.mark.parametrize("change", ["removed", "doubled", "emptied", "no list"])
def test_an_event_that_was_taken_out_of_a_run_is_noticed(
    runs: Path, place: int, change: str
) -> None:
    """The numbers behind it do not fit any more; a run of nothing is none."""
    lines = lines_of(runs)
    said = json.loads(lines[place])
    each = said["fields"]["each"]
    changed = {"removed": each[1:], "doubled": [*each, each[0]], "emptied": [], "no list": "x"}
    said["fields"]["each"] = changed[change]
    write(runs, [*lines[:place], canonical(said), *lines[place + 1 :]])
    assert broken(runs).line in {place + 1, place + 2}


@pytest.mark.parametrize("place", [0, 1, 3, 4])
def test_a_removed_run_is_named_by_its_first(runs: Path, place: int) -> None:
    """All of its records are missing."""
    lines = lines_of(runs)
    write(runs, [*lines[:place], *lines[place + 1 :]])
    assert broken(runs).seq == seq_of(lines[place])
