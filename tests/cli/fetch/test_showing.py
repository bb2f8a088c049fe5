"""Who shows a fetch: a bar, plain lines or JSON; chosen by options and by what stderr is."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.fetch.scenes import SCENES
from tests.cli.fetch.terminal import environment, play_on_terminal, play_piped, screens
from tests.harness.programs import DEADLINE_S

from mailkeep.cli.fetch.showing import describe_destinations
from mailkeep.fetch.destinations.parsing import parse_destination

ESCAPE = "\x1b"


def test_a_terminal_gets_a_bar() -> None:
    """A person sees that something moves."""
    moving, end = screens(play_on_terminal("chosen", "middle"))
    assert "5/12" in moving.text
    assert "5/12" not in end.text


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("reporter", ["chosen", "bar", "quiet", "json"])
def test_no_escape_code_where_there_is_no_terminal(reporter: str, scene: str) -> None:
    """A log, a mail of cron and a pipe stay readable, whatever a server says (S-56)."""
    done = play_piped(reporter, scene)
    assert ESCAPE not in done.stdout + done.stderr
    assert (done.stdout == "") is (reporter != "json")


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(term: str) -> None:
    """Nothing is drawn where it cannot be drawn over (Emacs, a serial console)."""
    written = play_on_terminal("chosen", "middle", changed={"TERM": term})
    assert "120 messages, 12 new" in written
    assert ESCAPE not in written


def test_quiet_has_no_bar_on_a_terminal_either() -> None:
    """`--quiet`: warnings and errors only."""
    written = play_on_terminal("quiet", "ordinary")
    assert ESCAPE not in written
    assert all(line.startswith("warning: ") for line in written.splitlines())


def test_nobody_waits_for_rich_or_a_network_without_need() -> None:
    """A timer's run that finds nothing new is quick: what is heavy is imported late."""
    heavy = {"rich", "asyncio", "ssl", "sqlite3"}
    code = f"import sys, mailkeep.cli.fetch.showing; print({heavy} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=DEADLINE_S,
        check=True,
    )
    assert done.stdout == "set()\n"


def test_destinations_that_may_double_are_named_once() -> None:
    """`pipe:` and `lmtp:` are at least once, and the output says so."""
    places = ["maildir:~/Mail", "lmtp:localhost:24", "pipe:cat -", "pipe:cat -"]
    assert describe_destinations(places) == (
        "lmtp:localhost:24 and pipe:cat -: at least once;"
        " a crash while handing on may deliver a message twice"
    )


@pytest.mark.parametrize(
    "text", ["maildir:/m", "mbox:/m", "dir:/m", "pipe:cat", "lmtp:localhost:24", "lmtp:/socket"]
)
def test_what_is_said_is_what_the_destination_promises(text: str, tmp_path: Path) -> None:
    """A note that is always there is read by nobody; one that is missing is a lie."""
    place = parse_destination(text, recipient="alice", spool=tmp_path)
    assert (describe_destinations([text]) is None) == place.is_exactly_once
