"""`--dry-run`: what a run would do with each message, and why, as a table or as JSON.

What is stored and stays needs no line: it is counted. A number is valid in that session only; it is
shown because other programs show it too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mailkeep.cli.fetch.amounts import format_count, format_octets
from mailkeep.cli.fetch.untrusted import cut, show_octets
from mailkeep.cli.talk import printable, show, show_json, show_table
from mailkeep.fetch.events import Why

if TYPE_CHECKING:
    from mailkeep.fetch.session import Preview

_UIDL_CHARACTERS = 32
"""A table's lines fit a terminal then; JSON has the whole."""
_IF_CHECKED = " (its header decides)"


class Action(Enum):
    """What would become of a message; the words are those of the JSON output."""

    FETCH = "fetch"
    HEADER = "header"
    DELETE = "delete"
    KEEP = "keep"
    SKIP = "skip"
    LEAVE = "leave"


_TOTALS = {
    Action.FETCH: "to fetch",
    Action.HEADER: "as header only",
    Action.DELETE: "to delete",
    Action.KEEP: "kept to be safe",
    Action.SKIP: "skipped",
    Action.LEAVE: "left from before the first run",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One message of the plan.

    Attributes:
        octets: as announced, or None.
        is_checked: its header is looked at first, and may show that it is stored already.
    """

    action: Action
    number: int
    octets: int | None
    uidl: bytes
    why: Why
    is_checked: bool = False


def show_preview(account: str, preview: "Preview", *, json: bool) -> None:
    """Show on standard output what a run would do.

    Args:
        account: its name.
        preview: see `mailkeep.fetch.run.AccountRun.preview`.
        json: one JSON document instead of a table.
    """
    lines = sorted(plan_lines(preview), key=lambda line: line.number)
    if json:
        show_json(_describe(account, preview, lines))
        return
    if lines:
        show_table(("ACTION", "NUMBER", "OCTETS", "UIDL", "WHY"), [_cells(line) for line in lines])
    show(f"{printable(account)}: {_total(preview, lines)}")


def plan_lines(preview: "Preview") -> Iterator[Line]:
    """Yield every message of a plan that is more than stored, unordered."""
    plan, deletions = preview.plan, preview.deletions
    checked = {check.wanted.number for check in plan.check}
    for wanted in plan.fetch:
        action = Action.HEADER if wanted.header_only else Action.FETCH
        is_checked = wanted.number in checked
        uidl = wanted.key.uidl
        yield Line(action, wanted.number, wanted.announced, uidl, wanted.why, is_checked)
    for left in plan.leave:
        yield Line(Action.LEAVE, left.number, left.announced, left.key.uidl, left.why)
    for action, some in ((Action.SKIP, plan.skip), (Action.KEEP, deletions.keep)):
        for one in some:
            yield Line(action, one.number, one.announced, one.uidl, one.why)
    octets = dict(zip(preview.listing.numbers, preview.listing.octets, strict=True))
    for delete in deletions.delete:
        yield Line(Action.DELETE, delete.number, octets[delete.number], delete.uidl, delete.why)


def _cells(line: Line) -> tuple[object, ...]:
    octets = "?" if line.octets is None else line.octets
    uidl = cut(show_octets(line.uidl), _UIDL_CHARACTERS)
    why = line.why.value + (_IF_CHECKED if line.is_checked else "")
    return line.action.value, line.number, octets, uidl, why


def _total(preview: "Preview", lines: list[Line]) -> str:
    said = []
    for action, words in _TOTALS.items():
        chosen = [line.octets or 0 for line in lines if line.action is action]
        if chosen:
            octets = f" ({format_octets(sum(chosen))})" if action is Action.FETCH else ""
            said.append(f"{len(chosen)} {words}{octets}")
    said.append(f"{preview.plan.stored} already stored")
    return f"{format_count(len(preview.listing.numbers), 'message')}, {', '.join(said)}"


def _describe(account: str, preview: "Preview", lines: list[Line]) -> dict[str, object]:
    return {
        "account": account,
        "messages": len(preview.listing.numbers),
        "already_stored": preview.plan.stored,
        "plan": [
            {
                "action": line.action.value,
                "number": line.number,
                "octets": line.octets,
                "uidl": show_octets(line.uidl),
                "why": line.why.name.lower(),
                "is_checked": line.is_checked,
            }
            for line in lines
        ],
    }
