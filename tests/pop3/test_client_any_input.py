"""Whatever a server sends: events or one kind of error, the same at every split, in order."""

from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.pop3.client_driving import ALICE, PASSWORD, PLAIN, client_in, merge_bodies
from tests.pop3.client_goldens import SAID, can_say
from tests.pop3.splits import in_pieces, piece_lengths

from mailkeep.pop3 import (
    Answer,
    Body,
    ClientSide,
    Command,
    Greeting,
    LocalProtocolError,
    NeedData,
    Phase,
    RemoteProtocolError,
    Security,
    ServerChallenge,
    commands,
)
from mailkeep.pop3.client_side import ClientEvent
from mailkeep.values import MessageNumber, Secret

ONE = MessageNumber(1)

said = st.lists(
    st.one_of(
        st.sampled_from(
            [b"+OK\r\n", b"-ERR\r\n", b".\r\n", b"+ \r\n", b"+ AAAA\r\n", b"\r\n.\r\n"]
        ),
        st.sampled_from(
            [b"+OK 2 320\r\n", b"-ERR [IN-USE] no\r\n", b"1 120\r\n", b"..\r\n", b"+ok"]
        ),
        st.sampled_from([b"\r", b"\n", b".", b"+", b"\0", b"+OK\n", b"+ =\r\n", b"x" * 9000]),
        st.binary(max_size=20),
    ),
    max_size=25,
).map(b"".join)

mail = st.sampled_from(
    [
        commands.Retr(ONE), commands.Dele(ONE), commands.Uidl(None), commands.List(None),
        commands.List(ONE), commands.Top(ONE, 0), commands.Capa(), commands.Noop(), commands.Stat(),
    ]
)  # fmt: skip
asked_at_once: st.SearchStrategy[tuple[Phase, Sequence[Command]]] = st.one_of(
    st.tuples(st.just(Phase.TRANSACTION), st.lists(mail, max_size=12)),
    st.tuples(
        st.sampled_from([Phase.AUTHORIZATION, Phase.NAMED]),
        st.one_of(
            st.lists(st.sampled_from([commands.Capa(), commands.AuthList()]), max_size=4),
            st.sampled_from([[ALICE], [PLAIN], [commands.Stls()], [commands.Quit()]]),
        ),
    ),
    st.just((Phase.NAMED, [PASSWORD])),
)


def outcome(
    phase: Phase, asked: Sequence[Command], pieces: Sequence[bytes]
) -> tuple[list[ClientEvent], bool]:
    """Return what a client makes of these pieces, and whether it gave up."""
    client = client_in(phase, Security.CLEARTEXT_ALLOWED)
    for command in asked:
        client.send(command)
    events: list[ClientEvent] = []
    try:
        for piece in pieces:
            client.receive(piece)
            while not isinstance(event := client.next_event(), NeedData):
                events.append(event)
    except RemoteProtocolError:
        return merge_bodies(without_stls(events)), True
    return merge_bodies(events), False


def without_stls(events: list[ClientEvent]) -> list[ClientEvent]:
    """Leave out a good answer to STLS that came with octets behind it: it may be shown or not."""
    match events:
        case [*before, Answer(command=commands.Stls())]:
            return before
        case _:
            return events


@settings(deadline=None, max_examples=300)
@given(asked_at_once, said, piece_lengths)
@example((Phase.AUTHORIZATION, [commands.Stls()]), b"+OK\r\n+OK\r\n", [7])
@example((Phase.AUTHORIZATION, [PLAIN]), b"+ \r\n+OK\r\n", [4])
@example((Phase.TRANSACTION, [commands.Retr(ONE)]), b"+OK\r\n.\r\n\n", [1])
@example((Phase.TRANSACTION, [commands.Noop()]), b"+OK".ljust(8191) + b"\r\n", [8192])
def test_any_octets_give_the_same_events_at_any_split(
    script: tuple[Phase, Sequence[Command]], octets: bytes, cut: list[int]
) -> None:
    """RFC 1939 section 3, S-47: what was said is told by the octets, not by their segments."""
    whole = outcome(*script, [octets])
    assert outcome(*script, in_pieces(octets, cut)) == whole
    assert outcome(*script, [octets, b""]) == whole


@settings(deadline=None, max_examples=200)
@given(said, piece_lengths)
def test_any_greeting_is_a_greeting_or_an_error(octets: bytes, cut: list[int]) -> None:
    """RFC 1939 section 4: one line, and then it is the client's turn."""
    outcomes = []
    for pieces in ([octets], in_pieces(octets, cut)):
        client, events, gave_up = ClientSide(Security.TLS), [], False
        try:
            for piece in pieces:
                client.receive(piece)
                while not isinstance(event := client.next_event(), NeedData):
                    events.append(event)
        except RemoteProtocolError:
            gave_up = True
        assert len(events) <= 1
        assert all(isinstance(event, Greeting) for event in events)
        outcomes.append((events, gave_up))
    assert outcomes[0] == outcomes[1]


class Talker:
    """A driver that says what it may whenever it may, and holds every event against it."""

    def __init__(self, security: Security, choices: Sequence[int]) -> None:
        self.client = ClientSide(security)
        self.choices = deque(choices)
        self.waiting: deque[Command] = deque()
        self.in_body = False
        self.greetings = 0

    def run(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self.client.receive(piece)
            while not isinstance(event := self.client.next_event(), NeedData):
                self.check(event)
                self.say_something(event)

    def check(self, event: ClientEvent) -> None:
        match event:
            case Greeting():
                self.greetings += 1
                assert self.greetings == 1
            case Answer():
                assert event.command is self.waiting.popleft()
                self.in_body = event.has_body
            case Body():
                assert self.in_body
                self.in_body = not event.is_last
            case ServerChallenge():
                assert isinstance(self.waiting[0], commands.Auth)
        assert self.client.unanswered == len(self.waiting)

    def say_something(self, event: ClientEvent) -> None:
        choice = self.choices[0]
        self.choices.rotate(-1)
        if isinstance(event, ServerChallenge):
            octets = self.client.respond(Secret(b"x")) if choice % 3 else self.client.cancel()
            assert octets in {b"eA==\r\n", b"*\r\n"}
            return
        for command in list(SAID.values())[choice % len(SAID) :][: choice % 4]:
            try:
                line = self.client.send(command)
            except LocalProtocolError:
                continue
            assert line.endswith(b"\r\n")
            self.waiting.append(command)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(Security),
    said,
    piece_lengths,
    st.lists(st.integers(0, 100), min_size=1, max_size=8),
)
def test_whatever_is_said_and_asked_events_are_in_order_and_an_error_is_the_end(
    security: Security, octets: bytes, cut: list[int], choices: list[int]
) -> None:
    """S-26: the oldest command is answered; behind an error nothing is read and nothing said."""
    talker = Talker(security, choices)
    try:
        talker.run(in_pieces(b"+OK\r\n" + octets, cut))
    except RemoteProtocolError:
        talker.client.receive(b"+OK\r\n.\r\n")
        for _ in range(2):
            with pytest.raises(RemoteProtocolError):
                talker.client.next_event()
        assert not any(can_say(talker.client, command) for command in SAID.values())
        assert talker.client.phase is Phase.CLOSED
