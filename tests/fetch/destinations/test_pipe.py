"""Real programs that take messages, refuse them, hang, and die."""

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from mailkeep.fetch.destinations.parsing import parse_destination
from mailkeep.fetch.destinations.pipe import PipeDestination
from mailkeep.fetch.destinations.seam import DestinationUnavailable, Refusal, Stored
from mailkeep.testing.destination_contract import HAZARDS, slot_of, write

HELLO = b"Subject: hello $(touch hacked)\r\n\r\nbody\r\n"


def run(
    tmp_path: Path, *command: str, limit_s: float = 30, messages: tuple[bytes, ...] = (HELLO,)
) -> list[Stored | Refusal]:
    destination = PipeDestination(command, tmp_path / "spool", time_limit_s=limit_s)
    destination.prepare(is_known=False)
    writers = [write(destination, i + 1, [octets]) for i, octets in enumerate(messages)]
    destination.begin_batch()
    outcomes = destination.commit(writers)
    destination.end_batch()
    assert [*(tmp_path / "spool").iterdir()] == []
    return outcomes


def test_a_program_gets_the_octets_as_they_came(tmp_path: Path) -> None:
    """On its standard input, small and big, in order; exit code 0 is stored."""
    outcomes = run(tmp_path, "tee", "-a", str(tmp_path / "all"), messages=HAZARDS)
    assert outcomes == [Stored("pipe")] * len(HAZARDS)
    assert (tmp_path / "all").read_bytes() == b"".join(HAZARDS)


def test_quotes_work_as_in_a_shell_and_nothing_else_does(tmp_path: Path) -> None:
    """S-62: the command is an argument list; there is no shell, no variable, no redirection."""
    script = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    seen = tmp_path / "se en"
    text = f"pipe:{sys.executable} -c {shlex.quote(script)} '{seen}' $HOME '>' \"a b\" ;"
    destination = parse_destination(text, recipient="alice", spool=tmp_path / "spool")
    destination.prepare(is_known=False)
    assert destination.commit([write(destination, 1, [HELLO])]) == [Stored("pipe")]
    assert seen.read_text() == "['$HOME', '>', 'a b', ';']"


def test_a_program_hears_nothing_of_the_message_but_its_octets(tmp_path: Path) -> None:
    """S-62: its arguments and its environment are those that it would have without a message."""
    code = "import os, sys; open(sys.argv[1], 'w').write(repr(sorted(os.environ.items())))"
    run(tmp_path, sys.executable, "-c", code, str(tmp_path / "seen"))
    seen = dict(eval((tmp_path / "seen").read_text()))  # noqa: S307  # what we have just written
    for name in ("LC_CTYPE", "COLUMNS", "LINES"):  # Python and readline set them
        seen.pop(name, None)
    assert seen.items() <= os.environ.items()


def test_an_exit_code_is_a_refusal_with_its_reason(tmp_path: Path) -> None:
    """S-65: 75 is EX_TEMPFAIL; the last words are made printable, the next message goes on."""
    script = (
        "head=$(head -c 9); printf '%s\\033[31m %s\\n' \"$(yes x | head -c 900)\" busy >&2;"
        ' [ "$head" = "Subject: " ] && exit 75; exit 0'
    )
    refused, stored = run(tmp_path, "sh", "-c", script, messages=(HELLO, b"else"))
    assert isinstance(refused, Refusal)
    assert refused.reason.startswith("sh: exit code 75: x x x")
    assert refused.reason.endswith("x [31m busy")
    assert len(refused.reason) < 230
    assert refused.reason.isprintable()
    assert isinstance(stored, Stored)


def test_a_signal_is_a_refusal(tmp_path: Path) -> None:
    """S-65: a program that is killed has stored nothing that one can rely on."""
    (refused,) = run(tmp_path, "sh", "-c", "kill -9 $$")
    assert refused == Refusal("sh: was ended by signal 9")


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """S-65: at the time limit its whole process group is killed, and the next message goes on."""
    script = f"sleep 600 & echo $! > {tmp_path}/child; read x; [ x$x = xgo ] || sleep 600"
    refused, stored = run(tmp_path, "sh", "-c", script, limit_s=2, messages=(HELLO, b"go\n"))
    assert refused == Refusal("sh: did not end within 2 seconds")
    assert isinstance(stored, Stored)


def test_the_children_of_a_program_that_hangs_are_dead(tmp_path: Path) -> None:
    """Nothing of it goes on writing when the next run hands the message over again."""
    run(tmp_path, "sh", "-c", f"sleep 600 & echo $! > {tmp_path}/child; wait", limit_s=0.5)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 20
    while _is_running(child):
        assert time.monotonic() < deadline


def _is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def test_a_program_that_closes_its_ears_may_still_say_yes(tmp_path: Path) -> None:
    """One that does not read its input is no error of ours: the exit code is the word."""
    assert run(tmp_path, "true", messages=(b"x" * 1_000_000,)) == [Stored("pipe")]


def test_a_program_that_writes_for_ever_takes_no_memory(tmp_path: Path) -> None:
    """What it writes is read and dropped, on both of its outputs."""
    script = "head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2; exit 1"
    (refused,) = run(tmp_path, "sh", "-c", script)
    assert isinstance(refused, Refusal)
    assert "exit code 1" in refused.reason


def test_what_stays_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    """A program may leave a child that keeps its output open."""
    started = time.monotonic()
    script = f"sleep 25 & echo $! > {tmp_path}/child; exit 0"
    assert run(tmp_path, "sh", "-c", script) == [Stored("pipe")]
    assert time.monotonic() - started < 20
    os.kill(int((tmp_path / "child").read_text()), 9)


@pytest.mark.parametrize("command", ["no-such-program-here", "/no/such/program"])
def test_a_program_that_is_missing_is_said_before_anything_is_fetched(
    tmp_path: Path, command: str
) -> None:
    """And also when it goes while messages are on their way."""
    destination = PipeDestination([command], tmp_path)
    with pytest.raises(DestinationUnavailable, match="is not there") as refused:
        destination.prepare(is_known=True)
    assert refused.value.hint
    with pytest.raises(DestinationUnavailable, match="is not there"):
        destination.commit([write(destination, 1, [HELLO])])


def test_what_was_handed_over_counts_when_the_program_goes(tmp_path: Path) -> None:
    """Else the next run would double it."""
    program = tmp_path / "once"
    program.write_text('#!/bin/sh\nrm "$0"\n')
    program.chmod(0o700)
    stored, refused = run(tmp_path, str(program), messages=(HELLO, HELLO))
    assert stored == Stored("pipe")
    assert isinstance(refused, Refusal)


def test_a_program_cannot_be_asked_what_it_has(tmp_path: Path) -> None:
    """It is at least once, and says so."""
    destination = PipeDestination(["cat", "a b"], tmp_path)
    assert destination.name == "pipe:cat 'a b'"
    assert not destination.is_exactly_once
    assert destination.find([slot_of(1).token]) == {}
    assert destination.recover(None) == []
    with pytest.raises(DestinationUnavailable):
        destination.iterate()
