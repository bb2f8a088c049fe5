"""What a worker and the door say to each other: all of it arrives, and nothing else gets in."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.defence import (
    Attempt,
    Ban,
    Consequences,
    Let,
    Success,
    Turned,
    Turning,
    Welcome,
)
from mailkeep.defence.counters import name_key
from mailkeep.server import door_wire as wire
from mailkeep.values import AccountId, DeviceId

NUMBERS = st.integers(1, 2**53)
IDS = st.integers(-(2**63), 2**63 - 1)
SECONDS = st.floats(0, 1e9)
WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", max_size=64)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=2000)
"""Halves of surrogate pairs too."""

ATTEMPTS = st.builds(
    Attempt,
    session=WORDS,
    source=st.ip_addresses(),
    name=st.text(max_size=wire.NAME_LIMIT_CHARACTERS),
    mechanism=WORDS,
    password_seal=st.none() | st.binary(max_size=32),
    is_sure=st.booleans(),
    tls=st.booleans(),
)
BANS = st.builds(
    Ban,
    prefix=st.ip_addresses().map(lambda it: f"{it}/{it.max_prefixlen}"),
    seconds=st.none() | st.integers(0, 86_400),
    reason=st.text(max_size=wire.TEXT_LIMIT_CHARACTERS),
)
MANY_BANS = st.lists(BANS, max_size=wire.BANS_LIMIT).map(tuple)
TURNINGS = st.sampled_from(Turning)
COUNTRIES = st.none() | st.text(max_size=8)
WELCOMES = st.builds(
    Welcome,
    refused=st.none() | TURNINGS,
    familiar=st.booleans(),
    odd=st.none() | TURNINGS,
    is_alert=st.booleans(),
    country=COUNTRIES,
    country_before=COUNTRIES,
    bans=MANY_BANS,
)

ASKED = (
    b'{"door":"ask","number":1,"session":"s","source":"192.0.2.1","name":"a","mechanism":"PLAIN",'
    b'"seal":"00ff","sure":false,"tls":true}'
)


def sent_request(request: wire.Request) -> wire.Request:
    line = wire.encode(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= wire.REQUEST_LIMIT_OCTETS
    return wire.decode_request(line[:-1])


def sent_answer(answer: wire.Said) -> wire.Said:
    line = wire.encode(answer)
    assert line.count(b"\n") == 1
    assert len(line) <= wire.ANSWER_LIMIT_OCTETS
    return wire.decode_said(line[:-1])


@given(NUMBERS, ATTEMPTS)
def test_an_attempt_arrives_as_it_was_sent(number: int, attempt: Attempt) -> None:
    """The door judges what the worker saw."""
    asked = sent_request(wire.Ask.of(number, attempt))
    assert isinstance(asked, wire.Ask)
    assert (asked.number, asked.attempt()) == (number, attempt)


@given(ANY_TEXT)
def test_any_name_can_be_sent_and_is_counted_as_itself(name: str) -> None:
    """A stranger chooses it; a line that the door refuses would cost all others their places."""
    attempt = Attempt("s", ip_address("192.0.2.1"), name, "PLAIN", None, is_sure=False)
    asked = sent_request(wire.Ask.of(1, attempt))
    assert isinstance(asked, wire.Ask)
    if not any("\ud800" <= it <= "\udfff" for it in name):
        assert name_key(asked.attempt().name) == name_key(name)


def test_two_long_names_that_begin_alike_stay_two() -> None:
    """A name that was only cut would be counted as another."""
    long = ["a" * 5000 + end for end in "bc"]
    source = ip_address("192.0.2.1")
    asked = [wire.Ask.of(1, Attempt("s", source, it, "PLAIN", None, is_sure=False)) for it in long]
    assert asked[0].name != asked[1].name


@given(NUMBERS, NUMBERS, IDS, st.none() | IDS, st.booleans())
def test_reports_arrive_as_they_were_sent(
    number: int, let: int, account: int, device: int | None, by_main_password: bool
) -> None:
    """Right and wrong, whose and how."""
    named = DeviceId(device) if device is not None else None
    success = Success(AccountId(account), named, by_main_password)
    right = sent_request(wire.Succeed.of(number, let, success))
    assert isinstance(right, wire.Succeed)
    assert (right.number, right.let, right.success()) == (number, let, success)
    wrong = sent_request(wire.Fail(number, let, device))
    assert isinstance(wrong, wire.Fail)
    assert (wrong.number, wrong.let, wrong.whose()) == (number, let, device)


@given(NUMBERS, SECONDS, st.booleans(), TURNINGS)
def test_answers_to_a_guess_arrive_as_they_were_sent(
    number: int, delayed_s: float, familiar: bool, reason: Turning
) -> None:
    """But for the ticket, which is the number that the worker asked under."""
    let = sent_answer(wire.Allowed.of(number, Let(77, delayed_s, familiar)))
    assert isinstance(let, wire.Allowed)
    assert let.let() == Let(number, delayed_s, familiar)
    turned = sent_answer(wire.TurnedAway.of(number, Turned(reason, delayed_s)))
    assert isinstance(turned, wire.TurnedAway)
    assert turned.turned() == Turned(reason, delayed_s)


@given(NUMBERS, st.none() | BANS, MANY_BANS, st.none() | st.integers(0, 1000), WELCOMES)
def test_answers_to_a_report_arrive_as_they_were_sent(
    number: int, ban: Ban | None, others: tuple[Ban, ...], failures: int | None, welcome: Welcome
) -> None:
    """What came of it is told as an event by the worker."""
    came_of_it = Consequences(ban, others, failures)
    counted = sent_answer(wire.Counted.of(number, came_of_it))
    assert isinstance(counted, wire.Counted)
    assert counted.consequences() == came_of_it
    welcomed = sent_answer(wire.Welcomed.of(number, welcome))
    assert isinstance(welcomed, wire.Welcomed)
    assert welcomed.welcome() == welcome


@given(ANY_TEXT)
def test_any_reason_can_be_sent(reason: str) -> None:
    """A policy server's error may say anything."""
    assert isinstance(sent_answer(wire.Unavailable.of(1, reason)), wire.Unavailable)


def test_more_bans_than_are_told_do_not_break_the_line() -> None:
    """They are in force whether they are told or not."""
    bans = tuple(Ban(f"192.0.2.{it}/32", 900, "x") for it in range(100))
    counted = sent_answer(wire.Counted.of(1, Consequences(other_bans=bans)))
    assert isinstance(counted, wire.Counted)
    assert counted.consequences().other_bans == bans[: wire.BANS_LIMIT]


def test_the_form_of_a_question_is_fixed() -> None:
    """Workers and the door may be started minutes apart."""
    asked = wire.decode_request(ASKED)
    assert isinstance(asked, wire.Ask)
    assert wire.encode(asked) == ASKED + b"\n"
    assert asked.attempt().password_seal == b"\x00\xff"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"door":"open"}',
        b'{"door":"ping"}',
        b'{"door":"ping","number":0}',
        b'{"door":"ping","number":-1}',
        b'{"door":"ping","number":1.5}',
        b'{"door":"ping","number":"1"}',
        b'{"door":"ping","number":true}',
        b'{"door":"ping","number":99999999999999999999}',
        b'{"door":"ping","number":1,"more":1}',
        b'{"door":"ping","number":1}{}',
        b'{"door":"ping","number":1',
        b'{"answer":"pong","number":1}',
        b'{"number":1}',
        b"\xff\xfe",
        b'{"door":"' + b"[" * 4000,
        b"[" * 4000,
        ASKED.replace(b'"sure":false', b'"sure":0'),
        ASKED.replace(b'"name":"a"', b'"name":"' + b"a" * 321 + b'"'),
        ASKED.replace(b'"name":"a"', b'"name":"\\ud800"'),
        ASKED.replace(b'"session":"s",', b""),
    ],
)
def test_what_is_no_request_is_malformed(line: bytes) -> None:
    """Strict: a field that is missing, too many, out of its range or of another kind."""
    with pytest.raises(wire.Malformed):
        wire.decode_request(line)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b'"192.0.2.1"', b'"192.0.2.999"'),
        (b'"192.0.2.1"', b'"localhost"'),
        (b'"00ff"', b'"00f"'),
        (b'"00ff"', b'"xx"'),
    ],
)
def test_a_source_or_a_seal_that_is_none_is_malformed(right: bytes, wrong: bytes) -> None:
    """Text that has a meaning of its own is read as strictly."""
    asked = wire.decode_request(ASKED.replace(right, wrong))
    assert isinstance(asked, wire.Ask)
    with pytest.raises(wire.Malformed):
        asked.attempt()


@pytest.mark.parametrize(
    "line",
    [
        b'{"answer":"pong"}',
        b'{"answer":"turned","number":1,"reason":"no","delayed_s":0}',
        b'{"answer":"let","number":1,"delayed_s":-1,"familiar":true}',
        b'{"answer":"let","number":1,"delayed_s":null,"familiar":true}',
        b'{"answer":"counted","number":1,"ban":{"prefix":"p"},"others":[],"guessed_at":null}',
        b'{"done": false, "reason": "a number is used once"}',
    ],
)
def test_what_is_no_answer_is_malformed(line: bytes) -> None:
    """The door is believed, but not blindly."""
    with pytest.raises(wire.Malformed):
        wire.decode_said(line)


@given(st.binary(max_size=200))
def test_any_octets_are_a_message_or_malformed(line: bytes) -> None:
    """Nothing else comes out, whatever comes in."""
    for decode in (wire.decode_request, wire.decode_said):
        with pytest.raises(wire.Malformed):
            decode(line)


@given(st.lists(st.binary(max_size=20).filter(lambda it: b"\n" not in it)), st.data())
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    """A stream has no messages, only octets."""
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    cutting, seen = wire.Lines(20), list[bytes]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        seen += cutting.feed(stream[start:end])
    assert seen == lines
    assert cutting.feed(b"\n") == [b"rest"]


@pytest.mark.parametrize("octets", [b"x" * 11, b"ok\n" + b"x" * 11, b"x" * 11 + b"\n", b"x\n" * 9])
def test_a_line_that_is_too_long_is_malformed_whether_it_ends_or_not(octets: bytes) -> None:
    """Memory is bounded by the limit of one line."""
    lines = wire.Lines(10)
    if b"x" * 11 in octets:
        with pytest.raises(wire.Malformed):
            lines.feed(octets)
    else:
        assert lines.feed(octets) == [b"x"] * 9


def test_a_long_line_in_small_pieces_is_malformed_when_it_is_too_long() -> None:
    """Not when it ends, which it may never."""
    lines = wire.Lines(10)
    for _ in range(10):
        assert lines.feed(b"x") == []
    with pytest.raises(wire.Malformed):
        lines.feed(b"x")


@given(
    NUMBERS,
    ATTEMPTS,
    st.builds(
        Success,
        IDS.map(AccountId),
        st.none() | IDS.map(DeviceId),
        by_main_password=st.booleans(),
    ),
)
def test_a_success_without_a_question_arrives_as_it_was(
    number: int, attempt: Attempt, success: Success
) -> None:
    """The attempt, and what came of it."""
    again = sent_request(wire.Again.of(number, attempt, success))
    assert isinstance(again, wire.Again)
    asked = sent_request(wire.Ask.of(number, attempt))
    assert isinstance(asked, wire.Ask)
    assert (again.number, again.attempt(), again.success()) == (number, asked.attempt(), success)


@given(
    st.none() | st.text(max_size=wire.NAME_LIMIT_CHARACTERS),
    st.none() | WORDS,
    st.none() | st.binary(max_size=32),
)
def test_what_is_taken_back_is_known_again(
    name: str | None, prefix: str | None, seal: bytes | None
) -> None:
    """By name, prefix and seal; nothing of them is everything."""
    sent = wire.TakenBack(name, prefix, None if seal is None else seal.hex())
    taken = sent_answer(sent)
    assert isinstance(taken, wire.TakenBack)
    assert taken.abouts() == [it for it in (name, prefix, seal) if it is not None]


def test_a_seal_that_is_none_takes_nothing_back() -> None:
    """The line is malformed, and ends the connection: then all is taken back."""
    taken = wire.decode_said(b'{"answer":"taken_back","seal":"no hex"}')
    assert isinstance(taken, wire.TakenBack)
    with pytest.raises(wire.Malformed):
        taken.abouts()
