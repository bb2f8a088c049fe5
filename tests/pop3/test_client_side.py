"""The client's side of a session: against our own server in memory, and against others."""

import pytest
from hypothesis import given, settings
from tests.messages import HAZARDS, naive_wire_form
from tests.pop3.client_driving import (
    ALICE,
    PASSWORD,
    PLAIN,
    Server,
    client_in,
    hear,
)
from tests.pop3.client_goldens import FILE, SAID, can_say, render
from tests.pop3.driving import GOOD_PASSWORD, GOOD_RESPONSE, REACHABLE, open_session
from tests.pop3.splits import every_split, in_pieces, piece_lengths

from mailkeep.pop3 import (
    Answer,
    Body,
    ClientSide,
    Command,
    Greeting,
    LocalProtocolError,
    Phase,
    RemoteProtocolError,
    Security,
    ServerChallenge,
    Status,
    UnsayableCommand,
    commands,
    parse_capabilities,
    parse_listing,
    parse_stat,
)
from mailkeep.pop3.answers import STATUS_LIMIT_OCTETS
from mailkeep.pop3.client_side import ClientEvent
from mailkeep.pop3.states import LEGAL
from mailkeep.values import MessageNumber, Secret

ONE, TWO = MessageNumber(1), MessageNumber(2)
MESSAGES = [
    naive_wire_form(stored)
    for stored in HAZARDS.values()
    if len(stored) < 2000  # the long ones are cut in test_undots.py
]


def answer(command: Command, text: bytes, *, has_body: bool = False) -> Answer:
    return Answer(command, Status(True, "", text), has_body)


def talk(client: ClientSide, server: Server, *asked: Command, cut: list[int]) -> list[ClientEvent]:
    """Say commands at once and return what comes of it, with the server's octets cut like this."""
    said = server.hear(b"".join(map(client.send, asked)))
    return hear(client, *in_pieces(said, cut))


@settings(deadline=None, max_examples=25)
@given(piece_lengths)
def test_a_whole_mailbox_comes_over_pipelined(cut: list[int]) -> None:
    """RFC 1939, RFC 2449 section 6.6: every octet of every hazard, in order, at any split."""
    client, server = ClientSide(Security.TLS), Server(MESSAGES)
    assert hear(client, b"+OK ready\r\n") == [Greeting(Status(True, "", b"ready"))]
    _, capa = talk(client, server, commands.Capa(), cut=cut)
    assert isinstance(capa, Body)
    assert "PIPELINING" in parse_capabilities(capa.octets)
    talk(client, server, ALICE, cut=cut)
    assert talk(client, server, PASSWORD, cut=cut) == [answer(PASSWORD, b"open")]
    stat, uidl, uidls, _, sizes = talk(
        client, server, commands.Stat(), commands.Uidl(None), commands.List(None), cut=cut
    )
    assert isinstance(stat, Answer)
    assert parse_stat(stat.status.text_untrusted)[0] == len(MESSAGES)
    assert uidl == answer(commands.Uidl(None), b"unique-ids", has_body=True)
    assert isinstance(uidls, Body)
    assert isinstance(sizes, Body)
    numbers = [MessageNumber(number) for number in parse_listing(uidls.octets)[0]]
    assert parse_listing(sizes.octets)[1] == [b"%d" % len(message) for message in MESSAGES]
    retrieved = talk(client, server, *map(commands.Retr, numbers), cut=cut)
    assert retrieved[::2] == [
        answer(commands.Retr(number), b"follows", has_body=True) for number in numbers
    ]
    assert retrieved[1::2] == [Body(message, True) for message in MESSAGES]
    goodbye: list[Command] = [*map(commands.Dele, numbers), commands.Quit()]
    assert talk(client, server, *goodbye, cut=cut) == [answer(c, b"done") for c in goodbye]
    assert client.phase is Phase.CLOSED
    assert server.session.phase is Phase.CLOSED
    client.receive_end()


@pytest.mark.parametrize(
    ("initial", "text"), [(None, b""), (Secret(GOOD_RESPONSE), b""), (Secret(b""), b"refused")]
)
def test_a_login_with_plain_is_what_the_server_understood(
    initial: Secret | None, text: bytes
) -> None:
    """RFC 5034 section 4: with an initial response or on the server's challenge."""
    client, server = client_in(Phase.AUTHORIZATION), Server()
    auth = commands.Auth("PLAIN", initial)
    events = talk(client, server, auth, cut=[1])
    if initial is None:
        assert events == [ServerChallenge(b"")]
        events = hear(client, server.hear(client.respond(Secret(GOOD_RESPONSE))))
    refused = Answer(auth, Status(False, "AUTH", text), False)
    assert events == [refused if text else answer(auth, b"open")]
    assert client.phase is server.session.phase
    assert client.phase is (Phase.AUTHORIZATION if text else Phase.TRANSACTION)


def test_a_login_is_said_after_stls_only() -> None:
    """RFC 2595 section 4, S-17: in clear nothing but STLS; then both sides start from nothing."""
    client = client_in(Phase.AUTHORIZATION, Security.STLS_FIRST)
    server = Server(session=open_session(Security.STLS_FIRST))
    for login in (ALICE, PASSWORD, PLAIN, commands.Auth("PLAIN", Secret(GOOD_RESPONSE))):
        assert not can_say(client, login)
    assert talk(client, server, commands.Stls(), cut=[1]) == [answer(commands.Stls(), b"done")]
    assert not can_say(client, ALICE)
    after = ClientSide(Security.TLS, greeted=True)
    over_tls = Server()
    talk(after, over_tls, ALICE, cut=[1])
    assert talk(after, over_tls, PASSWORD, cut=[1]) == [answer(PASSWORD, b"open")]


def test_an_exchange_that_was_cancelled_ends_with_err() -> None:
    """RFC 5034 section 4: "*" is refused, and a login may be tried again."""
    client, server = client_in(Phase.AUTHORIZATION), Server()
    assert talk(client, server, PLAIN, cut=[3]) == [ServerChallenge(b"")]
    (refused,) = hear(client, server.hear(client.cancel()))
    assert refused == Answer(PLAIN, Status(False, "", b"cancelled"), False)
    assert talk(client, server, ALICE, cut=[3]) == [answer(ALICE, b"done")]


def test_the_table_is_what_was_agreed_on() -> None:
    """RFC 1939 section 3: the full product, readable (see client_goldens.py to change it)."""
    assert render() == FILE.read_text()


@pytest.mark.parametrize(("phase", "security"), REACHABLE)
@pytest.mark.parametrize("command", SAID.values(), ids=SAID)
def test_a_client_says_what_the_state_table_lets_a_server_hear(
    phase: Phase, security: Security, command: Command
) -> None:
    """RFC 1939 section 3: one table for both sides; a refused command leaves no trace."""
    client = client_in(phase, security)
    waiting = client.unanswered
    legal = type(command) in LEGAL[phase][security]
    assert can_say(client, command) is legal
    assert client.unanswered == waiting + legal
    assert client.phase is phase


@pytest.mark.parametrize("command", SAID.values(), ids=SAID)
@pytest.mark.parametrize("security", Security)
def test_nothing_is_said_before_the_greeting(security: Security, command: Command) -> None:
    """RFC 1939 section 4: the server speaks first; who does not wait may talk to something else."""
    assert not can_say(ClientSide(security), command)


@pytest.mark.parametrize("changing", [ALICE, PLAIN, commands.Stls(), commands.Quit()])
@pytest.mark.parametrize("behind", [ALICE, commands.Capa(), commands.Quit(), commands.Stls()])
def test_nothing_is_pipelined_behind_what_changes_the_state(
    changing: Command, behind: Command
) -> None:
    """RFC 2449 section 6.6, RFC 2595 section 4, S-26: USER, AUTH, STLS and QUIT are waited for."""
    client = client_in(Phase.AUTHORIZATION, Security.CLEARTEXT_ALLOWED)
    client.send(changing)
    assert not can_say(client, behind)
    assert client.unanswered == 1


@pytest.mark.parametrize("changing", [ALICE, PASSWORD, PLAIN, commands.Stls()])
@pytest.mark.parametrize("answered", [b"", b"+OK\r\n", b"+OK\r\nTOP\r\n"])
def test_nothing_that_changes_the_state_is_pipelined(changing: Command, answered: bytes) -> None:
    """RFC 2595 section 4: no login and no STLS before every answer, bodies too, has been read."""
    client = client_in(Phase.NAMED, Security.CLEARTEXT_ALLOWED)
    client.send(commands.Capa())
    hear(client, answered)
    assert not can_say(client, changing)


def test_what_cannot_be_said_is_not_waited_for() -> None:
    """S-58: after the refusal the session is as it was."""
    client = client_in(Phase.NAMED)
    with pytest.raises(UnsayableCommand):
        client.send(commands.Pass(Secret(b"a\r\nDELE 1")))
    assert client.is_idle
    assert client.send(commands.Pass(Secret(b"a"))) == b"PASS a\r\n"


@pytest.mark.parametrize("command", SAID.values(), ids=SAID)
def test_nothing_is_said_while_a_challenge_waits(command: Command) -> None:
    """RFC 5034 section 4: the server would take it for the response."""
    client = client_in(Phase.EXCHANGE)
    assert not can_say(client, command)
    assert client.respond(Secret(b"x")) == b"eA==\r\n"
    assert not can_say(client, command)


def test_a_response_is_given_to_a_challenge_and_once() -> None:
    """RFC 5034 section 4: challenge and response take turns."""
    client = client_in(Phase.AUTHORIZATION)
    with pytest.raises(LocalProtocolError):
        client.cancel()
    client.send(PLAIN)
    with pytest.raises(LocalProtocolError):
        client.respond(Secret(b"x"))
    hear(client, b"+ \r\n")
    client.respond(Secret(b"x"))
    with pytest.raises(LocalProtocolError):
        client.cancel()


def test_answers_are_matched_in_order_and_by_kind() -> None:
    """RFC 2449 section 6.6, S-26: at every split; -ERR has no body; a number makes one line."""
    asked: list[Command] = [
        commands.List(ONE), commands.Retr(ONE), commands.Uidl(None), commands.Retr(TWO),
        commands.Dele(ONE), commands.Top(ONE, 0), commands.Uidl(ONE), commands.Capa(),
    ]  # fmt: skip
    said = (
        b"+OK 1 120\r\n+OK\r\n+OK 1 x\r\n.\r\n+OK\r\n.\r\n-ERR gone\r\n+OK\r\n+OK\r\n..\r\n.\r\n"
        b"+OK 1 uid\r\n-ERR\r\n"
    )
    expected = [
        answer(asked[0], b"1 120"),
        answer(asked[1], b"", has_body=True),
        Body(b"+OK 1 x\r\n", True),
        answer(asked[2], b"", has_body=True),
        Body(b"", True),
        Answer(asked[3], Status(False, "", b"gone"), False),
        answer(asked[4], b""),
        answer(asked[5], b"", has_body=True),
        Body(b".\r\n", True),
        answer(asked[6], b"1 uid"),
        Answer(asked[7], Status(False, "", b""), False),
    ]
    for pieces in every_split(said):
        client = client_in(Phase.TRANSACTION)
        for command in asked:
            client.send(command)
        assert hear(client, *pieces) == expected, pieces
        assert client.is_idle


def test_commands_follow_while_a_body_is_read() -> None:
    """RFC 2449 section 6.6: a window stays full; what waits is counted."""
    client = client_in(Phase.TRANSACTION)
    client.send(commands.Retr(ONE))
    client.send(commands.Retr(TWO))
    assert client.unanswered == 2
    assert hear(client, b"+OK\r\nhalf") == [
        answer(commands.Retr(ONE), b"", has_body=True),
        Body(b"half", False),
    ]
    assert client.unanswered == 1
    assert not client.is_idle
    client.send(commands.Dele(ONE))
    assert hear(client, b"\r\n.\r\n-ERR\r\n+OK\r\n") == [
        Body(b"\r\n", True),
        Answer(commands.Retr(TWO), Status(False, "", b""), False),
        answer(commands.Dele(ONE), b""),
    ]
    assert (client.unanswered, client.is_idle) == (0, True)


@pytest.mark.parametrize(
    "said", [b"1 120\r\n", b".\r\n", b"\r\n", b"+ \r\n", b"+ AAAA\r\n", b"+\r\n"]
)
def test_an_answer_that_is_none_ends_the_session(said: bytes) -> None:
    """RFC 1939 section 3, S-26: nothing behind it can be matched, so nothing is."""
    client = client_in(Phase.TRANSACTION)
    client.send(commands.Dele(ONE))
    client.send(commands.Dele(TWO))
    client.receive(said + b"+OK\r\n+OK\r\n")
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            client.next_event()
    assert client.phase is Phase.CLOSED
    assert not can_say(client, commands.Quit())


@pytest.mark.parametrize(
    "line", [b"+OK\n", b"+OK x\n", b"+OK done\n+OK done\r\n", b"\n", b"-ERR a\nb\r\n"]
)
def test_a_status_line_ends_with_crlf(line: bytes) -> None:
    """RFC 1939 section 3, S-26: two lines taken for one would give the next command its answer."""
    for pieces in every_split(line):
        client = client_in(Phase.TRANSACTION)
        client.send(commands.Noop())
        client.send(commands.Noop())
        with pytest.raises(RemoteProtocolError):
            hear(client, *pieces)


@pytest.mark.parametrize("said", [b"", b"+OK", b"+OK x\r", b"+", b"\r"])
def test_half_a_line_is_waited_for(said: bytes) -> None:
    """S-47: no answer is read before its CRLF."""
    client = client_in(Phase.TRANSACTION)
    client.send(commands.Noop())
    assert hear(client, said) == []
    assert client.unanswered == 1


@pytest.mark.parametrize("greeted", [False, True], ids=["greeting", "answer"])
def test_a_status_line_has_a_limit(greeted: bool) -> None:
    """S-52: 8 KiB, CRLF included; one octet more is no POP3, with or without an end."""
    fits = b"+OK ".ljust(STATUS_LIMIT_OCTETS - 2, b"x") + b"\r\n"
    over = b"+OK ".ljust(STATUS_LIMIT_OCTETS - 1, b"x") + b"\r\n"
    for line, is_ok in ((fits, True), (over, False), (b"x" * STATUS_LIMIT_OCTETS, False)):
        for pieces in ([line], in_pieces(line, [1000]), [line[:-1], line[-1:]]):
            client = ClientSide(Security.TLS, greeted=greeted)
            if greeted:
                client.send(commands.Quit())
            if is_ok:
                (event,) = hear(client, *pieces)
                assert isinstance(event, Answer if greeted else Greeting)
            else:
                with pytest.raises(RemoteProtocolError):
                    hear(client, *pieces)


def test_a_greeting_may_refuse() -> None:
    """RFC 3206 section 3, S-22: -ERR with a code before anything was asked."""
    assert hear(ClientSide(Security.TLS), b"-ERR [SYS/TEMP] later\r\n") == [
        Greeting(Status(False, "SYS/TEMP", b"later"))
    ]


@pytest.mark.parametrize("said", [b"* OK IMAP\r\n", b"220 smtp\r\n", b"\x15\x03\x03\0\2\2\x28\n"])
def test_another_protocol_is_no_greeting(said: bytes) -> None:
    """RFC 1939 section 4: a wrong port is found out before a name or a password is said."""
    client = ClientSide(Security.TLS)
    with pytest.raises(RemoteProtocolError):
        hear(client, said)
    assert not can_say(client, ALICE)


@pytest.mark.parametrize("said", [b"+OK\r\n", b"+OK\r\nhalf", b"+OK\r\na\r\n.", b"+OK\r\na\r\n.\r"])
def test_an_end_inside_a_body_is_an_error(said: bytes) -> None:
    """S-15, S-16: whatever came is no message."""
    client = client_in(Phase.TRANSACTION)
    client.send(commands.Retr(ONE))
    assert all(not isinstance(event, Body) or not event.is_last for event in hear(client, said))
    with pytest.raises(RemoteProtocolError, match="inside a message"):
        client.receive_end()


@pytest.mark.parametrize("said", [b"", b"+OK", b"+OK\r\n+OK", b"+OK\r\n-ERR\r"])
def test_an_end_before_an_answer_is_an_error(said: bytes) -> None:
    """S-06, S-15: an answer that did not come is neither yes nor no."""
    client = client_in(Phase.TRANSACTION)
    client.send(commands.Dele(ONE))
    client.send(commands.Quit())
    hear(client, said)
    with pytest.raises(RemoteProtocolError, match="before an answer"):
        client.receive_end()


def test_an_end_before_the_greeting_is_an_error() -> None:
    """RFC 1939 section 4: a server that says nothing is none."""
    client = ClientSide(Security.TLS)
    hear(client, b"+OK half a greeting")
    with pytest.raises(RemoteProtocolError):
        client.receive_end()


def test_an_end_in_an_exchange_is_an_error() -> None:
    """RFC 5034 section 4: neither logged in nor refused."""
    client = client_in(Phase.EXCHANGE)
    with pytest.raises(RemoteProtocolError):
        client.receive_end()


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.TRANSACTION, Phase.CLOSED])
def test_an_end_while_nothing_is_owed_is_none_of_these(phase: Phase) -> None:
    """RFC 1939 section 3: a server may close an idle session; marks fall, nothing is lost."""
    client_in(phase).receive_end()


def test_quit_ends_the_session_whatever_it_answers() -> None:
    """RFC 1939 section 6, S-07: -ERR says that some messages stay; nothing can be asked behind."""
    client = client_in(Phase.TRANSACTION)
    client.send(commands.Quit())
    (event,) = hear(client, b"-ERR some deleted messages not removed\r\n")
    assert isinstance(event, Answer)
    assert not event.status.is_ok
    assert client.phase is Phase.CLOSED
    assert not can_say(client, commands.Quit())


def test_the_password_is_on_the_wire_and_nowhere_else() -> None:
    """S-58: neither an answer nor an error shows what was said."""
    client = client_in(Phase.NAMED)
    assert client.send(PASSWORD) == b"PASS " + GOOD_PASSWORD + b"\r\n"
    assert "sesame" not in repr(hear(client, b"-ERR no\r\n"))
