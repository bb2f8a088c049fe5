"""docs/events.md says what is recorded and how it is exported."""

import re
from pathlib import Path

from msgspec.structs import replace
from tests.events.conftest import BEGIN, ns_of, numbered
from tests.events.samples import classes, run_of, sample
from tests.events.test_ecs import document_of
from tests.events.test_ocsf import ocsf_of

from mailkeep.events import EventType, types
from mailkeep.events.log import TRAIL_ONLY, level_of
from mailkeep.events.records import NOTHING_BEFORE, event_line, record_from
from mailkeep.events.runs import Told, merged

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()


def table(heading: str) -> dict[str, list[str]]:
    """Return a table's rows by the event that they are about."""
    rows = PAGE.partition(heading)[2].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_event_is_listed_with_its_level_and_fields() -> None:
    """An operator greps for these names."""
    listed = table("| event | level |")
    assert list(listed) == [event_type.value for event_type in EventType]
    for event_type, of in classes().items():
        level, _, named = listed[event_type.value]
        is_logged = event_type not in TRAIL_ONLY
        assert level == (level_of(sample(of)) if is_logged else "trail only"), event_type
        assert re.findall(r"`(\w+)`", named) == [*of.__struct_fields__], event_type


def test_the_mapping_is_the_one_in_force() -> None:
    """Somebody's rules are made from it."""
    listed = table("| event | ECS category |")
    assert list(listed) == [event_type.value for event_type in EventType]
    for event_type, of in classes().items():
        document, said = document_of(sample(of)), ocsf_of(sample(of))
        alert = ", alert" if document["event.kind"] == "alert" else ""
        assert listed[event_type.value] == [
            ", ".join(document["event.category"]),  # type: ignore[arg-type]  # a list of texts
            ", ".join(document["event.type"]),  # type: ignore[arg-type]  # the same
            f"{document['event.outcome']}{alert}",
            f"{said['class_name']} {said['class_uid']}",
            str(said["activity_id"]),
        ], event_type


def test_a_line_of_the_trail_is_as_shown() -> None:
    """Somebody writes a verifier of his own from this page."""
    done = types.DeletionDone(
        session="c0ffee01",
        account="alice@example.com",
        peer="192.0.2.7:40000",
        uidl="1700000000.M1P1.host",
    )
    line = event_line(record_from(1, BEGIN, done), NOTHING_BEFORE).decode()
    assert f"```json trail\n{line}\n```" in PAGE


def test_a_run_is_as_shown() -> None:
    """The same: two messages that were read in a row, of each what it has of its own."""
    first = types.MessageRead(
        session="c0ffee01",
        account="alice@example.com",
        peer="192.0.2.7:40000",
        command="RETR",
        uidl="1700000000.M1P1.host",
        octets=5123,
    )
    second = replace(first, uidl="1700000001.M2P1.host", octets=900)
    begin_ns = ns_of(BEGIN)
    [record] = numbered(
        merged([Told(begin_ns, run_of(first)), Told(begin_ns + 1_204_000, run_of(second))]), 1
    )
    line = event_line(record, "5d" * 32).decode()
    assert f"```json trail\n{line}\n```" in PAGE
