"""docs/commands.md says what the commands and the log really print."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.cli.conftest import PASSWORD, Run

from mailkeep.events import EventType

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()


def example(name: str) -> Mapping[str, object]:
    """Return one of the page's examples."""
    (block,) = re.findall(rf"^```json {name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found: Mapping[str, object] = json.loads(block)
    return found


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("account", ("account", "list")),
        ("message", ("maildrop", "list", "alice")),
        ("finding", ("doctor",)),
    ],
)
def test_json_is_what_the_page_shows(
    mailkeep: Run, site: Path, name: str, command: tuple[str, ...]
) -> None:
    """Every name of an example is printed with a value of that type, and no other name is."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    mailkeep("--site", site, "deliver", "alice", stdin=b"Subject: x\n\n")
    printed = json.loads(mailkeep("--site", site, *command, "--json").out)[0]
    shown = example(name)
    assert list(printed) == list(shown)
    nullable = {"hint"}
    for key in shown.keys() - nullable:
        assert type(printed[key]) is type(shown[key]), key


def test_every_event_is_listed_and_no_other() -> None:
    """An operator greps for these names."""
    rows = PAGE.partition("| event |")[2].splitlines()[2:]
    listed = {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert listed == {event.value for event in EventType}
