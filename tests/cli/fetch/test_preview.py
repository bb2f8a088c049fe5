"""`--dry-run`: the plan as a table and as JSON."""

import json
import re
from collections.abc import Mapping

import pytest
from tests.cli.fetch.scenes import ALICE, HOSTILE
from tests.cli.fetch.terminal import ROOT, compare

from mailkeep.cli.fetch.preview import Action, show_preview
from mailkeep.fetch.events import Why
from mailkeep.fetch.listing import Listing
from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.plan import Check, Delete, Deletions, Plan, Skipped, Wanted
from mailkeep.fetch.session import Preview

PAGE = (ROOT / "docs" / "fetch-events.md").read_text()


def make_preview() -> Preview:
    """Return a plan with every action, a doubtful message and a hostile unique-id."""
    doubtful = Wanted(9, MessageKey(b"uid-9", 0, 1), 900, Why.REUSED)
    plan = Plan(
        fetch=[
            Wanted(7, MessageKey(b"uid-7"), 3_400_000, Why.NEW),
            Wanted(8, MessageKey(HOSTILE.encode()), None, Why.AGAIN),
            Wanted(6, MessageKey(b"uid-6"), 30_000_000, Why.NEW, header_only=True),
            doubtful,
        ],
        check=[Check(doubtful, frozenset({b"uid-9"}))],
        leave=[Wanted(1, MessageKey(b"uid-1"), 100, Why.BEFORE_FIRST_RUN)],
        skip=[Skipped(5, b"uid-5", 200_000_000, Why.TOO_LARGE)],
        stored=4,
    )
    deletions = Deletions(
        delete=[Delete(2, 17, b"uid-2", Why.POLICY_AGE)],
        keep=[Skipped(3, b"uid-3", 300, Why.TWIN)],
    )
    octets = [100, 200, 300, 400, 200_000_000, 30_000_000, 3_400_000, None, 900, 1000]
    return Preview(Listing(range(1, 11), [b"uid"] * 10, octets), plan, deletions)


def shown(
    preview: Preview, capsys: pytest.CaptureFixture[str], *, as_json: bool, account: str = ALICE
) -> str:
    show_preview(account, preview, json=as_json)
    written = capsys.readouterr()
    assert written.err == ""
    return written.out


def test_the_table_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """A line a message in the mailbox's order, what is stored only counted, then the total."""
    compare("preview", shown(make_preview(), capsys, as_json=False))


def test_json_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """One document, with the whole unique-ids."""
    text = shown(make_preview(), capsys, as_json=True)
    assert json.loads(text)["plan"][6]["uidl"].endswith("A" * 5000)
    compare("preview json", text.replace("A" * 5000, "A..."))


def test_nothing_to_do_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """No table without rows."""
    preview = Preview(Listing([1], [b"a"], [5]), Plan(stored=1), Deletions())
    assert shown(preview, capsys, as_json=False) == f"{ALICE}: 1 message, 1 already stored\n"


def test_a_hostile_unique_id_breaks_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """S-56: every line is printable, and as short as its reason lets it be."""
    text = shown(make_preview(), capsys, as_json=False, account=HOSTILE[:12])
    lines = text.splitlines()
    assert len(lines) == 10
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines[:-1])) < 140


def test_json_is_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Every name of the example is printed with a value of that type, and no other name is."""
    (block,) = re.findall(r"^```json preview\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    example = json.loads(block)
    found = json.loads(shown(make_preview(), capsys, as_json=True))
    assert _types(found) == _types(example)
    assert _types(found["plan"][-1]) == _types(example["plan"][0])
    assert {type(entry["octets"]) for entry in found["plan"]} == {int, type(None)}


def test_the_page_lists_every_action_and_every_reason() -> None:
    """A script can match on them."""
    actions = re.findall(r"^\| `(\w+)` \|", PAGE.partition("| action |")[2], re.MULTILINE)
    reasons = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.partition("| why |")[2], re.MULTILINE)
    assert actions[: len(Action)] == [action.value for action in Action]
    assert reasons == [(why.name.lower(), why.value) for why in Why]


def _types(value: Mapping[str, object]) -> list[tuple[str, type]]:
    return [(name, type(found)) for name, found in value.items()]
