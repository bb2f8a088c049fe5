"""Whatever a client sends: no crash, no command out of place, one answer each.

The state machine at the end walks through sessions beside a small model of its own, written from
the RFCs and not from the tables.
"""

import base64
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.pop3.driving import open_session
from tests.pop3.splits import in_pieces, piece_lengths

from mailkeep.pop3 import (
    Err,
    HangUp,
    NeedData,
    Ok,
    Phase,
    Refused,
    Reply,
    SaslResponse,
    Security,
    ServerSide,
    commands,
)
from mailkeep.pop3.server_side import Event
from mailkeep.pop3.states import LEGAL

LINES = {
    "CAPA": b"CAPA", "QUIT": b"QUIT", "STLS": b"STLS", "USER": b"USER alice", "PASS": b"PASS x y",
    "AUTH": b"AUTH PLAIN", "AUTH alone": b"AUTH", "STAT": b"STAT", "LIST": b"LIST",
    "RETR": b"RETR 1", "DELE": b"DELE 1", "NOOP": b"NOOP", "RSET": b"RSET", "TOP": b"TOP 1 0",
    "UIDL": b"UIDL 1", "LANG": b"LANG de", "UTF8": b"UTF8",
}  # fmt: skip
NONSENSE = [b"", b" ", b":", b"\0", b"\xff", b"\r", b"NOPE!", b"RETR 0", b"STAT  ", b"QUIT\r"]

said = st.lists(
    st.one_of(
        st.sampled_from([*LINES.values(), *NONSENSE, b"*", b"AA==", b"LAST", b"GET / HTTP/1.1"]),
        st.binary(max_size=30),
        st.sampled_from([b"x" * 1030, b"AUTH PLAIN " + b"A" * 2000]),
    ).flatmap(lambda line: st.sampled_from([line + b"\r\n", line + b"\n", line])),
    max_size=30,
).map(b"".join)

REFUSAL = re.compile(rb"-ERR [!-Z\\-~][ -~]*\r\n")


def check(event: Event, phase: Phase, session: ServerSide) -> None:
    """Hold an event against where the session stood when it was heard."""
    match event:
        case Refused():
            assert REFUSAL.fullmatch(event.reply.wire())
            assert len(event.reply.wire()) <= 512
            assert (session.phase is Phase.CLOSED) is event.close
        case HangUp():
            assert session.phase is Phase.CLOSED
        case SaslResponse():
            assert phase is Phase.EXCHANGE
        case NeedData():
            assert session.phase is phase
        case _:
            assert type(event) in LEGAL[phase][session.security]


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(Security),
    said,
    piece_lengths,
    st.lists(st.sampled_from(["+OK", "-ERR", "+ "]), min_size=1, max_size=6),
)
def test_any_octets_make_legal_events_with_one_answer_each(
    security: Security, octets: bytes, cut: list[int], answers: list[str]
) -> None:
    """RFC 1939 section 3: whatever arrives and whatever is answered, the table holds."""
    session, heard = open_session(security, before=4, after=4), 0
    for piece in in_pieces(octets, cut):
        session.receive(piece)
        while True:
            phase = session.phase
            event = session.next_event()
            check(event, phase, session)
            if isinstance(event, NeedData):
                break
            if not isinstance(event, Refused | HangUp):
                heard += 1
                respond(session, event, answers[heard % len(answers)])


def respond(session: ServerSide, event: Event, answer: str) -> None:
    if answer == "+ " and isinstance(event, commands.Auth | SaslResponse):
        session.challenge(b"more")
    else:
        reply: Reply = Err(b"no") if answer == "-ERR" else Ok(b"yes")
        assert session.answer(reply) == reply.wire()


class SessionBesideAModel(RuleBasedStateMachine):
    """RFC 1939 sections 3 to 7, RFC 2595 4, RFC 5034 4, RFC 6856 2 and 3, in a few plain words."""

    LIMIT_BEFORE, LIMIT_AFTER = 3, 5
    MAIL = ("STAT", "LIST", "RETR", "DELE", "NOOP", "RSET", "TOP", "UIDL")

    @initialize(security=st.sampled_from(Security))
    def begin(self, security: Security) -> None:
        self.greet(security)

    def greet(self, security: Security) -> None:
        self.session = open_session(security, before=self.LIMIT_BEFORE, after=self.LIMIT_AFTER)
        self.security = security
        self.place = "start"
        self.bad_lines = 0

    def hear(self, line: bytes, *, in_octets: bool) -> Event:
        """Say a line, whole or octet by octet, and return what the session makes of it."""
        line += b"\r\n"
        for piece in in_pieces(line, [1]) if in_octets else [line]:
            assert self.session.next_event() == NeedData()
            self.session.receive(piece)
        return self.session.next_event()

    def may_be_said(self, name: str) -> bool:
        if name in {"CAPA", "LANG", "QUIT"}:
            return True
        if self.place == "logged in":
            return name in self.MAIL or name == "UTF8"
        if name == "STLS":
            return self.security is not Security.TLS
        if self.security is Security.STLS_FIRST or name in self.MAIL:
            return False
        return name != "PASS" or self.place == "named"

    def expect_bad(self, event: Event) -> None:
        """A bad line: one refusal, a name forgotten, and the end when it was one too many."""
        logged_in = self.place == "logged in"
        self.bad_lines += 1
        closes = self.bad_lines == (self.LIMIT_AFTER if logged_in else self.LIMIT_BEFORE)
        assert isinstance(event, Refused)
        assert event.close is closes
        self.place = "over" if closes else self.place if logged_in else "start"

    def settle(self, name: str, *, ok: bool) -> None:
        if name == "QUIT":
            self.place = "over"
        elif self.place == "logged in":
            return
        elif ok and name in {"PASS", "AUTH"}:
            self.place = "logged in"
        elif ok and name == "USER":
            self.place = "named"
        elif ok and name == "STLS":
            self.place = "over"
        else:
            self.place = "start"

    @precondition(lambda self: self.place in {"start", "named", "logged in"})
    @rule(name=st.sampled_from(sorted(LINES)), ok=st.booleans(), in_octets=st.booleans())
    def say(self, name: str, ok: bool, in_octets: bool) -> None:
        """Say a command in good form; it is yielded where it may be said."""
        event = self.hear(LINES[name], in_octets=in_octets)
        if not self.may_be_said(name):
            self.expect_bad(event)
            return
        assert type(event).__name__.upper() == name.replace(" alone", "LIST")
        self.session.answer(Ok(b"yes") if ok else Err(b"no"))
        self.bad_lines = 0
        self.settle(name, ok=ok)

    @precondition(lambda self: self.place in {"start", "named"} and self.may_be_said("AUTH"))
    @rule(data=st.binary(max_size=20))
    def begin_an_exchange(self, data: bytes) -> None:
        """Say AUTH and be challenged."""
        assert self.hear(b"AUTH PLAIN", in_octets=False) == commands.Auth("PLAIN", None)
        assert self.session.challenge(data) == b"+ " + base64.b64encode(data) + b"\r\n"
        self.bad_lines = 0
        self.place = "exchange"

    @precondition(lambda self: self.place == "exchange")
    @rule(response=st.binary(max_size=20), outcome=st.sampled_from(["+OK", "-ERR", "+ "]))
    def respond(self, response: bytes, outcome: str) -> None:
        """Give an answer in base64; it is yielded, and settled as the server pleases."""
        event = self.hear(base64.b64encode(response), in_octets=True)
        assert isinstance(event, SaslResponse)
        assert event.response.reveal() == response
        if outcome == "+ ":
            self.session.challenge(b"more")
        else:
            self.session.answer(Ok(b"yes") if outcome == "+OK" else Err(b"no"))
            self.settle("AUTH", ok=outcome == "+OK")

    @precondition(lambda self: self.place == "exchange")
    @rule()
    def cancel(self) -> None:
        """Say "*": refused, not counted."""
        event = self.hear(b"*", in_octets=False)
        assert isinstance(event, Refused)
        assert not event.close
        self.place = "start"

    @precondition(lambda self: self.place != "over")
    @rule(line=st.sampled_from([line for line in NONSENSE if line]))
    def talk_nonsense(self, line: bytes) -> None:
        """Say what is neither a command nor base64."""
        self.expect_bad(self.hear(line, in_octets=False))

    @precondition(lambda self: self.place in {"start", "named", "logged in"})
    @rule()
    def ask_last(self) -> None:
        """Say LAST: refused, not counted; a name is forgotten all the same."""
        event = self.hear(b"LAST", in_octets=True)
        assert isinstance(event, Refused)
        assert not event.close
        self.place = "start" if self.place == "named" else self.place

    @precondition(lambda self: self.place == "over")
    @rule(line=st.sampled_from([*LINES.values(), *NONSENSE]), security=st.sampled_from(Security))
    def talk_to_nobody(self, line: bytes, security: Security) -> None:
        """Nothing is heard behind the end or behind STLS; then the next session begins."""
        assert self.hear(line, in_octets=False) == NeedData()
        self.greet(security)

    @invariant()
    def stand_where_the_model_stands(self) -> None:
        places = {
            "start": {Phase.AUTHORIZATION},
            "named": {Phase.NAMED},
            "exchange": {Phase.EXCHANGE},
            "logged in": {Phase.TRANSACTION},
            "over": {Phase.CLOSED, Phase.ENCRYPTING},
        }
        assert self.session.phase in places[self.place]


TestSessionBesideAModel = SessionBesideAModel.TestCase
TestSessionBesideAModel.settings = settings(deadline=None, max_examples=100, stateful_step_count=50)
