"""Dovecot's auth-policy JSON, both ways."""

import contextlib
import json
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.defence.policy_question import (
    PolicyAnswer,
    PolicyQuestion,
    PolicyReport,
    PolicyServerUnavailable,
    question_octets,
    read_answer,
)

QUESTION = PolicyQuestion(
    login="alice@example.com",
    remote=ip_address("192.0.2.7"),
    session="abc",
    tls=True,
    seal=bytes.fromhex("1c74ffffffffffffffffffffffffffff"),
)
ASKED = {
    "login": "alice@example.com",
    "pwhash": "01c7",
    "remote": "192.0.2.7",
    "device_id": "",
    "protocol": "pop3",
    "session_id": "abc",
    "tls": True,
}


def test_a_question_has_the_fields_that_dovecot_sends() -> None:
    """Of the password no more than twelve bits."""
    assert json.loads(question_octets(QUESTION)) == ASKED


def test_a_report_says_what_came_of_it() -> None:
    """And whether the policy server itself had said no."""
    report = PolicyReport(is_success=False, is_policy_reject=True)
    told = json.loads(question_octets(QUESTION, report))
    assert told == ASKED | {"success": False, "policy_reject": True}


@pytest.mark.parametrize("name", ["\ud800", 'a"b\\', "\u00e9\n", "x" * 10_000])
def test_any_name_can_be_asked_about(name: str) -> None:
    """JSON and ASCII, whatever somebody sent as a name."""
    question = PolicyQuestion(name, ip_address("::1"), "s", tls=False, seal=None)
    octets = question_octets(question)
    assert octets.isascii()
    assert json.loads(octets)["login"] == name
    assert json.loads(octets)["pwhash"] == ""


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (b'{"status": 0, "msg": "ok"}', PolicyAnswer(is_rejected=False, wait_s=0)),
        (b'{"status": -1, "msg": "no"}', PolicyAnswer(is_rejected=True, wait_s=0)),
        (b'{"status": 7}', PolicyAnswer(is_rejected=False, wait_s=7)),
        (b'{"status": 99999}', PolicyAnswer(is_rejected=False, wait_s=15)),
    ],
)
def test_what_an_answer_means(octets: bytes, answer: PolicyAnswer) -> None:
    """-1 no, 0 yes, more: yes, after so many seconds, fifteen at most."""
    assert read_answer(octets) == answer


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"{}",
        b"nonsense",
        b'{"status": "0"}',
        b'{"status": true}',
        b"\xff",
        b"[" * 99999,
    ],
)
def test_what_is_no_answer(octets: bytes) -> None:
    """It is as if there had been none."""
    with pytest.raises(PolicyServerUnavailable):
        read_answer(octets)


@given(st.binary(max_size=100))
def test_any_octets_are_an_answer_or_none(octets: bytes) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(PolicyServerUnavailable):
        read_answer(octets)
