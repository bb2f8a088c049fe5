"""OCSF events are what OCSF says, by its published models and by its published classes.

The model package has the base event, findings and the objects, but no class for logins, accounts,
network or files: those are checked against a vendored extract of the published schema.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.events.conftest import BEGIN
from tests.events.samples import EVERY_EVENT, read

from mailkeep.events import Event, types
from mailkeep.events.ocsf import OCSF_VERSION, Source, to_ocsf
from mailkeep.events.records import Record, record_from

LISTED = Path(__file__).parent / "ocsf_classes.json"
SOURCE = Source("mail.example.com", "1.2.3")
VERSION_OF_MODELS = import_module("py_ocsf_models").OCSF_VERSION


def model(module: str, name: str) -> type[BaseModel]:
    """Return a model of the published package, which comes without types."""
    found: type[BaseModel] = getattr(import_module(f"py_ocsf_models.{module}"), name)
    return found


BASE_EVENT = model("events.base_event", "BaseEvent")
FINDING = model("events.findings.detection_finding", "DetectionFinding")
MODELS: Mapping[str, type[BaseModel]] = {
    "user": model("objects.user", "User"),
    "service": model("objects.service", "Service"),
    "device": model("objects.device", "Device"),
    "metadata": model("objects.metadata", "Metadata"),
    "product": model("objects.product", "Product"),
    "app": model("objects.product", "Product"),
    "hashes": model("objects.fingerprint", "FingerPrint"),
    "observables": model("objects.observable", "Observable"),
}
ASKED_FOR_TOO: Mapping[str, Mapping[str, str]] = {"device": {"ip": "192.0.2.1", "region": "here"}}
"""What a model wants although the schema only recommends it, and the server does not know it."""

SCALARS = {
    "string_t": str,
    "integer_t": int,
    "long_t": int,
    "timestamp_t": int,
    "boolean_t": bool,
    "ip_t": str,
    "port_t": int,
    "hostname_t": str,
    "json_t": object,
    "object": dict,
}


@cache
def schema() -> dict[str, Any]:
    """Return the vendored extract, which is as it was made."""
    head, _, rest = LISTED.read_text().partition("\n")
    about = json.loads(head)
    assert about["licence"] == "Apache-2.0"
    assert about["version"] == OCSF_VERSION == VERSION_OF_MODELS
    assert hashlib.sha256(rest.encode()).hexdigest() == about["sha256_of_the_rest"]
    found: dict[str, Any] = json.loads(rest)
    return found


def check(value: object, kind: str, where: str) -> None:
    """Check a value against a type of the schema."""
    if kind.endswith("[]"):
        assert isinstance(value, list), where
        for item in value:
            check(item, kind.removesuffix("[]"), where)
    elif kind in schema()["objects"]:
        assert isinstance(value, dict), where
        check_attributes(value, schema()["objects"][kind], where)
    else:
        assert kind in SCALARS, f"{where}: {kind} is not in the extract"
        assert isinstance(value, SCALARS[kind]), where
        assert kind == "boolean_t" or not isinstance(value, bool), where


def check_attributes(value: dict[str, Any], described: dict[str, Any], where: str) -> None:
    """Check names, requirements, types, numbers of enumerations and constraints."""
    attributes = {name: text.split() for name, text in described["attributes"].items()}
    unknown = set(value) - set(attributes)
    assert not unknown, f"{where}: {unknown}"
    missing = {name for name, (need, _) in attributes.items() if need == "required"} - set(value)
    assert not missing - {"type_uid"}, f"{where}: {missing}"
    for name, given in value.items():
        check(given, attributes[name][1], f"{where}.{name}")
        assert given in described.get("enums", {}).get(name, [given]), f"{where}.{name}: {given}"
    if one_of := described.get("constraints", {}).get("at_least_one"):
        assert set(one_of) & set(value), f"{where}: none of {one_of}"


def check_models(value: object, name: str = "") -> None:
    """Check every object that the model package knows with its model."""
    if isinstance(value, list):
        for item in value:
            check_models(item, name)
    elif isinstance(value, dict) and name != "unmapped":
        if name in MODELS:
            MODELS[name].model_validate({**ASKED_FOR_TOO.get(name, {}), **value})
        for key, inner in value.items():
            check_models(inner, key)


def ocsf_of(event: Event) -> dict[str, Any]:
    return to_ocsf(record_from(7, BEGIN, event), SOURCE)


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_every_event_is_of_a_published_class(event: Event) -> None:
    """Its numbers, names, types, and what the class requires."""
    said = ocsf_of(event)
    classes = {described["class_uid"]: described for described in schema()["classes"].values()}
    described = classes[said["class_uid"]]
    assert said["category_uid"] == described["category_uid"]
    assert said["class_name"] == described["caption"]
    assert said["type_uid"] == 100 * said["class_uid"] + said["activity_id"]
    check_attributes(said, described, event.type.name)


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_every_event_fits_the_published_models(event: Event) -> None:
    """The base event, a finding as a whole, and every object there is a model for."""
    said = ocsf_of(event)
    BASE_EVENT.model_validate(said)
    check_models(said)
    if said["class_uid"] == 2004:
        FINDING.model_validate(said)
        assert said["type_uid"] == 200401


def test_the_classes_are_the_right_ones() -> None:
    """What a rule of somebody's looks for."""
    found = {event.type.name: ocsf_of(event)["class_uid"] for event in EVERY_EVENT}
    assert found["LOGIN_ACCEPTED"] == found["LOGIN_REFUSED"] == found["SESSION_ENDED"] == 3002
    assert found["ACCOUNT_CHANGED"] == found["DEVICE_CHANGED"] == 3001
    assert found["CONNECTION_OPENED"] == found["TLS_AGREED"] == 4001
    assert found["MESSAGE_READ"] == found["DELETION_DONE"] == 1001
    assert found["HOT_PASSWORD_RIGHT"] == 2004
    assert found["STARTED"] == 6002


def test_a_refused_login_is_a_failure_of_somebody_from_somewhere() -> None:
    """OCSF Authentication: status, user, source."""
    event = types.LoginRefused(
        session="s", peer="192.0.2.7:4", mechanism="OAUTHBEARER", reason="expired", name="alice"
    )
    said = ocsf_of(event)
    assert (said["status_id"], said["status_detail"]) == (2, "expired")
    assert said["user"]["name"] == "alice"
    assert said["src_endpoint"] == {"ip": "192.0.2.7", "port": 4}
    assert (said["auth_protocol"], said["auth_protocol_id"]) == ("OAUTHBEARER", 6)


@pytest.mark.parametrize(
    ("what", "activity"),
    [
        ("added", 1),
        ("enabled", 2),
        ("main password changed", 3),
        ("disabled: not used", 5),
        ("renamed", 99),
    ],
)
def test_an_accounts_change_has_its_number(what: str, activity: int) -> None:
    """What has none is Other, and its words are kept."""
    said = ocsf_of(types.AccountChanged(account="a@b", what=what, by="root"))
    assert said["activity_id"] == activity
    assert said["unmapped"]["what"] == what


def test_a_message_that_was_read_has_its_digest() -> None:
    """So that it can be found where it went."""
    said = ocsf_of(read("1", sha256="ab" * 32))
    assert said["file"]["hashes"] == [
        {"algorithm_id": 3, "algorithm": "SHA-256", "value": "ab" * 32}
    ]
    assert said["unmapped"]["octets"] == 100


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.type.name)
def test_no_field_is_lost(event: Event) -> None:
    """Every value of an event is somewhere in what is exported."""
    text = json.dumps(ocsf_of(event))
    for name, value in event.known():
        if name not in {"peer", "seconds"}:
            assert json.dumps(value) in text, name


def test_an_event_of_a_newer_program_is_a_base_event() -> None:
    """Nothing is left out because this program does not know it."""
    said = to_ocsf(Record(1, BEGIN, "brand new", {"x": 1}), SOURCE)
    assert (said["class_uid"], said["unmapped"]) == (0, {"x": 1})
