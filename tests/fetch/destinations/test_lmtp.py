"""Handing on by LMTP: to a real Dovecot, and to a peer that refuses and breaks off by script."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.dovecot_lmtp import RunningLmtp, running_lmtp
from tests.harness.programs import open_folder

from mailkeep.fetch.destinations.lmtp import LmtpDestination, LmtpServer
from mailkeep.fetch.destinations.parsing import parse_destination
from mailkeep.fetch.destinations.seam import DestinationUnavailable, Refusal, Stored
from mailkeep.testing.destination_contract import slot_of, write

ALICE = "alice@example.test"
HELLO = b"Subject: hello\r\n\r\nbody\r\n"
GREETED = ["220 here", "250-here\r\n250-SIZE\r\n250 8BITMIME"]
ACCEPTED = ["250 sender", "250 recipient", "354 go on", "250 stored"]


@pytest.fixture(scope="module")
def dovecot() -> Iterator[RunningLmtp]:
    with open_folder() as folder, running_lmtp(folder) as server:
        yield server


def deliver(destination: LmtpDestination, *messages: bytes) -> list[Stored | Refusal]:
    """Hand messages over as one batch."""
    destination.prepare(is_known=False)
    return deliver_again(destination, *messages)


def deliver_again(destination: LmtpDestination, *messages: bytes) -> list[Stored | Refusal]:
    writers = [write(destination, i + 1, [octets]) for i, octets in enumerate(messages)]
    destination.begin_batch()
    try:
        return destination.commit(writers)
    finally:
        destination.end_batch()


@pytest.mark.parametrize("door", ["port", "socket"])
def test_dovecot_gets_every_message_as_it_is(
    dovecot: RunningLmtp, tmp_path: Path, door: str
) -> None:
    """RFC 2033, RFC 5321 section 4.5.2: dots, long lines, 8-bit and bare LF arrive, in order."""
    place = f"127.0.0.1:{dovecot.port}" if door == "port" else str(dovecot.socket)
    recipient = f"{door}@example.test"
    destination = parse_destination(f"lmtp:{place}", recipient=recipient, spool=tmp_path)
    assert isinstance(destination, LmtpDestination)
    header = b"Subject: x\r\n\r\n"
    messages = [
        HELLO,
        header + b".\r\n..\r\n.dot\r\nend\r\n",
        header + b"no final newline",
        header + b"bare\nLF\n.\n.\r\n",
        header + b"8-bit \xc3\xa4\xff\r\n",
        header + b"x" * 900 + b"\r\n" + b".y\r\n" * 100_000,
    ]
    outcomes = deliver(destination, *messages)
    assert outcomes == [Stored(f"lmtp:{place}")] * len(messages)
    texts = [text.replace(b"\r\n", b"\n") for text in messages]
    expected = [text if text.endswith(b"\n") else text + b"\n" for text in texts]
    assert dovecot.messages(door) == expected
    assert [*tmp_path.iterdir()] == []


class Peer:
    """A peer that answers each line of the client with the next of its script.

    `None` closes the connection, `DATA_END` waits for the final dot; when a script is at its end
    the connection is closed, and the next script is for the next connection.

    Attributes:
        heard: the lines of all connections, those of messages included.
    """

    def __init__(self, *scripts: list[str]) -> None:
        self.heard: list[bytes] = []
        self._scripts = [*scripts]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.server = LmtpServer("127.0.0.1", self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for script in self._scripts:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rb") as lines:
                connection.settimeout(20)
                self._talk(connection, lines, [*script])
        self._listener.close()

    def _talk(self, connection: socket.socket, lines: "Iterator[bytes]", script: list[str]) -> None:
        is_data = False
        connection.sendall(script.pop(0).encode() + b"\r\n")
        for line in lines:
            self.heard.append(line)
            if is_data and line != b".\r\n":
                continue
            if not script:
                return
            answer = script.pop(0)
            connection.sendall(answer.encode() + b"\r\n")
            is_data = answer.startswith("354")

    def close(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    peer = Peer(*request.param)
    yield peer
    peer.close()


def destination_of(peer: Peer, spool: Path, recipient: str = ALICE) -> LmtpDestination:
    return LmtpDestination(peer.server, recipient, spool, timeout_s=20)


@pytest.mark.parametrize(
    "peer",
    [[[*GREETED, *ACCEPTED, "250 sender", "250 recipient", "354 go", "250 ok", "221 bye"]]],
    indirect=True,
)
def test_what_is_said_is_lmtp(peer: Peer, tmp_path: Path) -> None:
    """RFC 2033, 1870 and 6152: LHLO, MAIL with what is offered, one recipient, one connection."""
    outcomes = deliver_again(destination_of(peer, tmp_path), HELLO, b"no end\n.")
    assert outcomes == [Stored(f"lmtp:127.0.0.1:{peer.server.port}")] * 2
    assert peer.heard == [
        b"lhlo localhost\r\n",
        b"MAIL FROM:<> SIZE=24 BODY=8BITMIME\r\n",
        b"RCPT TO:<alice@example.test>\r\n",
        b"DATA\r\n",
        *HELLO.splitlines(keepends=True),
        b".\r\n",
        b"MAIL FROM:<> SIZE=8 BODY=8BITMIME\r\n",
        b"RCPT TO:<alice@example.test>\r\n",
        b"DATA\r\n",
        b"no end\r\n",
        b"..\r\n",
        b".\r\n",
        b"quit\r\n",
    ]


REFUSALS = {
    "MAIL": [*GREETED, "452 4.3.1 no room", "250 reset", *ACCEPTED, "221 bye"],
    "RCPT": [*GREETED, "250 ok", "550 5.1.1 no\x1b[31m such user", "250 reset", *ACCEPTED, "221"],
    "DATA": [*GREETED, "250 ok", "250 ok", "451 4.3.0 not now", "250 reset", *ACCEPTED, "221 bye"],
    "dot": [*GREETED, *ACCEPTED[:3], "552 5.2.2 over quota", "250 reset", *ACCEPTED, "221 bye"],
}


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        ([REFUSALS["MAIL"]], "452 4.3.1 no room"),
        ([REFUSALS["RCPT"]], "550 5.1.1 no [31m such user"),
        ([REFUSALS["DATA"]], "451 4.3.0 not now"),
        ([REFUSALS["dot"]], "552 5.2.2 over quota"),
    ],
    indirect=["peer"],
)
def test_a_refusal_is_for_one_message(peer: Peer, tmp_path: Path, words: str) -> None:
    """S-66: whichever step says 4yz or 5yz; its words are printable; the next message goes on."""
    refused, stored = deliver_again(destination_of(peer, tmp_path), HELLO, HELLO)
    assert isinstance(refused, Refusal)
    assert refused.reason.endswith(words)
    assert "unknown" not in refused.reason
    assert isinstance(stored, Stored)


@pytest.mark.parametrize(
    "peer",
    [[[*GREETED, *ACCEPTED[:3]], [*GREETED, *ACCEPTED, "221 bye"]]],
    indirect=True,
)
def test_a_connection_lost_behind_the_final_dot_is_an_unknown_outcome(
    peer: Peer, tmp_path: Path
) -> None:
    """S-67: nobody knows, and it is said that a retry may double; the next message goes on."""
    unknown, stored = deliver_again(destination_of(peer, tmp_path), HELLO, HELLO)
    assert isinstance(unknown, Refusal)
    assert "outcome is unknown" in unknown.reason
    assert "double" in unknown.reason
    assert isinstance(stored, Stored)


@pytest.mark.parametrize(
    "peer",
    [
        [[*GREETED], [*GREETED, *ACCEPTED, "221 bye"]],
        [[*GREETED, "250 ok"], [*GREETED, *ACCEPTED, "221 bye"]],
        [[*GREETED, "421 shutting down"], [*GREETED, *ACCEPTED, "221 bye"]],
        [[*GREETED, "what?"], [*GREETED, *ACCEPTED, "221 bye"]],
    ],
    indirect=True,
)
def test_a_connection_lost_before_the_final_dot_is_a_refusal(peer: Peer, tmp_path: Path) -> None:
    """RFC 5321 section 4.1.1.4: without the final dot the server has no message."""
    refused, stored = deliver_again(destination_of(peer, tmp_path), HELLO, HELLO)
    assert isinstance(refused, Refusal)
    assert "unknown" not in refused.reason
    assert isinstance(stored, Stored)


@pytest.mark.parametrize("peer", [[[*GREETED, *ACCEPTED]]], indirect=True)
def test_what_was_handed_over_counts_when_the_server_goes(peer: Peer, tmp_path: Path) -> None:
    """Else the next run would double it: only the rest of the batch is refused."""
    outcomes = deliver_again(destination_of(peer, tmp_path), HELLO, HELLO, HELLO, HELLO)
    assert [type(outcome) for outcome in outcomes] == [Stored, Refusal, Refusal, Refusal]


@pytest.mark.parametrize(
    "peer",
    [
        [["421 too busy"]],
        [["220 here", "502 this is SMTP"]],
        [["220 here"]],
        [["220 here", "250 nothing offered"]],
    ],
    indirect=True,
)
def test_a_server_that_does_not_serve_is_said_before_anything_is_fetched(
    peer: Peer, tmp_path: Path
) -> None:
    """Busy, no LMTP, or not able to take the recipient's name (RFC 6531)."""
    destination = destination_of(peer, tmp_path, "jürgen@example.test")
    with pytest.raises(DestinationUnavailable):
        destination.prepare(is_known=False)


@pytest.mark.parametrize(
    "peer", [[["220 here", "250-here\r\n250 SMTPUTF8", *ACCEPTED, "221 bye"]]], indirect=True
)
def test_a_name_that_is_not_ascii_goes_as_utf8_where_it_may(peer: Peer, tmp_path: Path) -> None:
    """RFC 6531 section 3.1."""
    destination = destination_of(peer, tmp_path, "jürgen@example.test")
    (outcome,) = deliver_again(destination, HELLO)
    assert isinstance(outcome, Stored)
    assert peer.heard[1:3] == [
        b"MAIL FROM:<> SMTPUTF8\r\n",
        "RCPT TO:<jürgen@example.test>\r\n".encode(),
    ]


def test_no_server_is_said(tmp_path: Path) -> None:
    """Connection refused, or no socket there: nothing is fetched."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for server in (LmtpServer("127.0.0.1", port), LmtpServer(str(tmp_path / "none"), None)):
        with pytest.raises(DestinationUnavailable, match="cannot reach lmtp:") as refused:
            LmtpDestination(server, ALICE, tmp_path).prepare(is_known=False)
        assert refused.value.hint


def test_a_server_cannot_be_asked_what_it_has(tmp_path: Path) -> None:
    """It is at least once, and says so."""
    destination = LmtpDestination(LmtpServer("127.0.0.1", 24), ALICE, tmp_path)
    assert not destination.is_exactly_once
    assert destination.find([slot_of(1).token]) == {}
    assert destination.recover(None) == []
    with pytest.raises(DestinationUnavailable):
        destination.iterate()
