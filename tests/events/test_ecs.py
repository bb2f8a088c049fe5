"""ECS documents have fields that ECS has."""

import hashlib
import json
from pathlib import Path

import pytest
from tests.events.conftest import BEGIN
from tests.events.samples import EVERY_EVENT

from mailkeep.events import Event, types
from mailkeep.events.ecs import ECS_VERSION, to_ecs
from mailkeep.events.exporting import Format, export_line
from mailkeep.events.ocsf import Source
from mailkeep.events.records import Record, record_from

LISTED = Path(__file__).parent / "ecs_fields.txt"

TYPES_OF_CATEGORIES = {
    "authentication": {"start", "end", "info"},
    "configuration": {"access", "change", "creation", "deletion", "info"},
    "email": {"info"},
    "file": {"access", "change", "creation", "deletion", "info"},
    "iam": {"admin", "change", "creation", "deletion", "group", "info", "user"},
    "intrusion_detection": {"allowed", "denied", "info"},
    "network": {"access", "allowed", "connection", "denied", "end", "info", "protocol", "start"},
    "process": {"access", "change", "end", "info", "start"},
    "session": {"start", "end", "info"},
}
"""ECS, allowed values of event.category: which types are expected in which."""


def fields_of_ecs() -> set[str]:
    """Return the names of the vendored list, which is as it was made."""
    lines = LISTED.read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    rest = "".join(lines[len(head) :])
    assert hashlib.sha256(rest.encode()).hexdigest() == head[-1].split()[-1]
    assert any("Apache-2.0" in line for line in head)
    return set(rest.split())


def document_of(event: Event) -> dict[str, object]:
    return to_ecs(record_from(7, BEGIN, event), host="mail.example.com", version="1.2.3")


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_every_field_is_of_ecs_or_our_own(event: Event) -> None:
    """A field of another meaning would spoil somebody's index."""
    document = document_of(event)
    ours = {name for name in document if name.startswith("mailkeep.")}
    assert set(document) - ours <= fields_of_ecs()
    assert ours <= {f"mailkeep.{name}" for name, _ in event.known()}
    assert document["ecs.version"] == ECS_VERSION
    assert document["@timestamp"] == "2026-11-22T08:44:00.813879Z"


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_the_classes_are_those_that_ecs_expects(event: Event) -> None:
    """Each type belongs to one of the categories."""
    document = document_of(event)
    categories, kinds = document["event.category"], document["event.type"]
    assert isinstance(categories, list)
    assert isinstance(kinds, list)
    allowed = set().union(*(TYPES_OF_CATEGORIES[category] for category in categories))
    assert set(kinds) <= allowed
    assert document["event.kind"] in {"event", "alert"}
    assert document["event.outcome"] in {"success", "failure", "unknown"}


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_no_field_is_lost(event: Event) -> None:
    """Every value of an event is somewhere in its document."""
    text = json.dumps(document_of(event)).lower()
    for name, value in event.known():
        if name not in {"peer", "version", "seconds"}:
            assert json.dumps(value).lower() in text, name


def test_a_login_says_who_and_whence() -> None:
    """What every dashboard asks for."""
    event = types.LoginRefused(
        session="s", peer="[2001:db8::7]:4", mechanism="PLAIN", reason="wrong", name="alice"
    )
    document = document_of(event)
    assert document["source.ip"] == "2001:db8::7"
    assert document["source.port"] == 4
    assert document["user.name"] == "alice"
    assert document["event.outcome"] == "failure"
    assert document["event.category"] == ["authentication"]


@pytest.mark.parametrize(("set_to", "kind"), [(True, "alert"), (False, "event")])
def test_a_new_place_is_an_alert_when_the_operator_says_so(set_to: bool, kind: str) -> None:
    """`log` and `alert` in the settings."""
    event = types.LoginFromNewPlace(
        session="s", account="a@b", peer="p", reason="r", refused=False, is_alert=set_to
    )
    assert document_of(event)["event.kind"] == kind


def test_a_change_says_who_changed_whom() -> None:
    """user is who did it, user.target whom it was done to."""
    document = document_of(types.AccountChanged(account="a@b", what="disabled", by="root"))
    assert (document["user.name"], document["user.target.name"]) == ("root", "a@b")


def test_tls_is_split_as_ecs_wants_it() -> None:
    """`TLSv1.3` is protocol and number."""
    event = types.TlsAgreed(session="s", peer="p", version="TLSv1.3", suite="X")
    document = document_of(event)
    assert (document["tls.version_protocol"], document["tls.version"]) == ("tls", "1.3")


def test_an_event_of_a_newer_program_is_exported_too() -> None:
    """Nothing is left out because this program does not know it."""
    document = to_ecs(Record(1, BEGIN, "brand new", {"x": 1}), host="h", version="1")
    assert document["event.action"] == "brand-new"
    assert document["mailkeep.x"] == 1


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_an_export_is_one_line(event: Event, form: Format) -> None:
    """ASCII, one object."""
    line = export_line(record_from(1, BEGIN, event), form, Source("h", "1"))
    assert line.isascii()
    assert "\n" not in line
    assert isinstance(json.loads(line), dict)
