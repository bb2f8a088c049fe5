"""Octets that a client does not believe: unasked for, behind STLS, out of turn in an exchange."""

import base64

import pytest
from tests.pop3.client_driving import ALICE, PLAIN, client_in, hear
from tests.pop3.client_goldens import SAID, can_say
from tests.pop3.splits import every_split

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
    Status,
    commands,
)
from mailkeep.pop3.client_side import ClientEvent
from mailkeep.values import MessageNumber, Secret

ONE, TWO = MessageNumber(1), MessageNumber(2)
CLEAR = [Security.STLS_FIRST, Security.CLEARTEXT_ALLOWED]


def answer(command: Command, text: bytes, *, has_body: bool = False) -> Answer:
    return Answer(command, Status(True, "", text), has_body)


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.TRANSACTION, Phase.CLOSED])
@pytest.mark.parametrize("said", [b"+OK\r\n", b"-ERR timeout\r\n", b"+", b"\r\n", b"\0"])
def test_what_nothing_asked_for_is_an_error(phase: Phase, said: bytes) -> None:
    """S-26: injected, or the answer to a command that was answered already."""
    client = client_in(phase)
    client.receive(said)
    with pytest.raises(RemoteProtocolError):
        client.next_event()
    assert client.phase is Phase.CLOSED


@pytest.mark.parametrize("command", [commands.Dele(ONE), commands.Retr(ONE), commands.Noop()])
def test_what_was_said_before_a_command_does_not_answer_it(command: Command) -> None:
    """S-26, S-46: an answer too many would shift all answers behind it by one."""
    client = client_in(Phase.TRANSACTION)
    client.send(commands.Noop())
    client.receive(b"+OK\r\n+OK injected\r\n")
    assert client.next_event() == answer(commands.Noop(), b"")
    client.send(command)
    client.receive(b"+OK\r\n")
    with pytest.raises(RemoteProtocolError, match="injected"):
        client.next_event()
    assert not can_say(client, commands.Quit())


def test_the_rest_of_a_body_that_ended_early_does_not_answer_the_next_command() -> None:
    """S-46: a lone dot that was not doubled shows itself by what stands behind it."""
    client = client_in(Phase.TRANSACTION)
    client.send(commands.Retr(ONE))
    assert hear_until_idle(client, b"+OK\r\na\r\n.\r\n+OK is what the mail says\r\n.\r\n") == [
        answer(commands.Retr(ONE), b"", has_body=True),
        Body(b"a\r\n", True),
    ]
    client.send(commands.Dele(ONE))
    with pytest.raises(RemoteProtocolError):
        client.next_event()


def hear_until_idle(client: ClientSide, octets: bytes) -> list[ClientEvent]:
    """Read the events that were asked for, and not what is behind them."""
    client.receive(octets)
    events = []
    while not client.is_idle:
        events.append(client.next_event())
    return events


@pytest.mark.parametrize("respond", [True, False])
@pytest.mark.parametrize("early", [b"+OK\r\n", b"+ \r\n", b"-ERR\r\n", b"+"])
def test_a_server_that_answers_before_the_response_is_not_believed(
    early: bytes, respond: bool
) -> None:
    """RFC 5034 section 4, S-59: +OK behind a challenge is the answer to no response."""
    client = client_in(Phase.AUTHORIZATION)
    client.send(PLAIN)
    client.receive(b"+ \r\n" + early)
    assert client.next_event() == ServerChallenge(b"")
    if respond:
        client.respond(Secret(b"x"))
    with pytest.raises(RemoteProtocolError):
        client.next_event()
    assert client.phase is Phase.CLOSED
    with pytest.raises(LocalProtocolError):
        client.respond(Secret(b"x"))


@pytest.mark.parametrize("security", CLEAR)
@pytest.mark.parametrize(
    "behind", [b"+OK\r\n", b"+OK injected\r\n.\r\n", b"+", b"\r", b"\n", b"\0", b"\x16\x03\x01"]
)
def test_octets_behind_the_answer_to_stls_are_an_error_at_every_split(
    security: Security, behind: bytes
) -> None:
    """RFC 2595 section 4, S-17: somebody in between speaks for the server; nothing is kept."""
    for pieces in every_split(b"+OK go\r\n" + behind):
        client = client_in(Phase.AUTHORIZATION, security)
        client.send(commands.Stls())
        with pytest.raises(RemoteProtocolError):
            hear(client, *pieces)
        for command in SAID.values():
            assert not can_say(client, command)


@pytest.mark.parametrize("security", CLEAR)
def test_octets_in_one_segment_with_the_answer_to_stls_hide_the_answer(security: Security) -> None:
    """RFC 2595 section 4, S-17: whoever starts TLS on +OK never sees one that is not clean."""
    client = client_in(Phase.AUTHORIZATION, security)
    client.send(commands.Stls())
    client.receive(b"+OK go\r\n+OK injected\r\n")
    with pytest.raises(RemoteProtocolError, match="STLS"):
        client.next_event()


@pytest.mark.parametrize("security", CLEAR)
def test_an_answer_to_stls_that_was_there_before_is_not_believed(security: Security) -> None:
    """S-17: "+OK" behind the greeting is no answer to STLS."""
    client = ClientSide(security)
    client.receive(b"+OK ready\r\n+OK begin\r\n")
    assert client.next_event() == Greeting(Status(True, "", b"ready"))
    client.send(commands.Stls())
    with pytest.raises(RemoteProtocolError):
        client.next_event()


@pytest.mark.parametrize("security", CLEAR)
def test_after_stls_the_object_is_spent(security: Security) -> None:
    """RFC 2595 section 4: nothing is legal, and nothing that arrives means anything."""
    client = client_in(Phase.ENCRYPTING, security)
    assert client.next_event() == NeedData()
    for command in SAID.values():
        assert not can_say(client, command)
    client.receive_end()


def test_a_refused_stls_opens_no_login() -> None:
    """S-17: -ERR to STLS, forged or not, leaves a client that says no password."""
    client = client_in(Phase.AUTHORIZATION, Security.STLS_FIRST)
    client.send(commands.Stls())
    assert hear(client, b"-ERR no\r\n") == [
        Answer(commands.Stls(), Status(False, "", b"no"), False)
    ]
    assert not can_say(client, ALICE)
    assert not can_say(client, PLAIN)
    assert can_say(client, commands.Quit())


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b"+ \r\n", b""),
        (b"+\r\n", b""),
        (b"+ AAE=\r\n", b"\0\1"),
        (b"+ " + base64.b64encode(bytes(range(256))) + b"\r\n", bytes(range(256))),
    ],
)
def test_a_challenge_is_decoded(line: bytes, data: bytes) -> None:
    """RFC 5034 section 4: base64 behind a plus and a space; some leave the space out."""
    for pieces in every_split(line):
        client = client_in(Phase.AUTHORIZATION)
        client.send(PLAIN)
        assert hear(client, *pieces) == [ServerChallenge(data)]
        assert client.phase is Phase.EXCHANGE


@pytest.mark.parametrize(
    "line",
    [b"+ A", b"+ A===", b"+ A A=", b"+ Go ahead", b"+ =", b"+ \0", b"+ AA==AA==", b"+x", b"+  "],
)
def test_a_challenge_that_is_not_base64_is_an_error(line: bytes) -> None:
    """RFC 5034 section 4, S-59: nothing is guessed of a login."""
    client = client_in(Phase.AUTHORIZATION)
    client.send(PLAIN)
    with pytest.raises(RemoteProtocolError):
        hear(client, line + b"\r\n")


@pytest.mark.parametrize("is_ok", [True, False])
def test_challenges_and_responses_take_turns_until_an_answer(is_ok: bool) -> None:
    """RFC 5034 section 4: as many as the mechanism has; the login counts with +OK."""
    client = client_in(Phase.AUTHORIZATION)
    client.send(commands.Auth("SCRAM-SHA-256", Secret(b"n,,")))
    for step in (b"one", b"two", b"three"):
        assert hear(client, b"+ " + base64.b64encode(step) + b"\r\n") == [ServerChallenge(step)]
        client.respond(Secret(step))
        assert client.unanswered == 1
    (event,) = hear(client, b"+OK\r\n" if is_ok else b"-ERR [AUTH] no\r\n")
    assert isinstance(event, Answer)
    assert client.phase is (Phase.TRANSACTION if is_ok else Phase.AUTHORIZATION)
    assert client.is_idle


@pytest.mark.parametrize("said", [b"+OK\r\n", b"+OK welcome\r\n", b"+ \r\n", b"+ AAAA\r\n"])
def test_who_cancelled_is_not_logged_in(said: bytes) -> None:
    """RFC 5034 section 4: "*" is answered with -ERR and nothing else, or the server lies."""
    client = client_in(Phase.EXCHANGE)
    client.cancel()
    with pytest.raises(RemoteProtocolError):
        hear(client, said)
    assert client.phase is Phase.CLOSED


@pytest.mark.parametrize("command", [ALICE, commands.Capa(), commands.AuthList()])
def test_only_auth_is_challenged(command: Command) -> None:
    """RFC 5034 section 4: a plus and a space answers nothing else."""
    client = client_in(Phase.AUTHORIZATION)
    client.send(command)
    with pytest.raises(RemoteProtocolError):
        hear(client, b"+ \r\n")
