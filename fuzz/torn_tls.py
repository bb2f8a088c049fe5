"""A TLS stream that somebody tears on its way to the server, and what must hold whatever he does.

Neither side has a socket. What the client said is known, so the one thing that matters can be
asked: the server never reads an octet that the client did not send, nor one behind a gap.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from mailkeep.tls import TlsChannel, TlsError

_RECORD_HEADER_OCTETS = 5
_ALERT_AND_MORE = 1 << 16
"""More than a server sends in a handshake and its few answers."""

Tear = Callable[[Random, bytes], bytes]


class TornWrongly(AssertionError):
    """The channel did what it must not."""


def records(stream: bytes) -> list[bytes]:
    """Return the records of a stream (RFC 8446 section 5.1), the last one maybe incomplete."""
    found = []
    while stream:
        end = _RECORD_HEADER_OCTETS + int.from_bytes(stream[3:_RECORD_HEADER_OCTETS])
        found.append(stream[:end])
        stream = stream[end:]
    return found


def _cut(random: Random, octets: bytes) -> bytes:
    return octets[: random.randrange(len(octets))]


def _flip(random: Random, octets: bytes) -> bytes:
    place = random.randrange(len(octets))
    flipped = octets[place] ^ (1 << random.randrange(8))
    return octets[:place] + bytes([flipped]) + octets[place + 1 :]


def _drop(random: Random, octets: bytes) -> bytes:
    place = random.randrange(len(octets))
    return octets[:place] + octets[place + random.randint(1, 64) :]


def _insert(random: Random, octets: bytes) -> bytes:
    place = random.randrange(len(octets) + 1)
    return octets[:place] + random.randbytes(random.randint(1, 64)) + octets[place:]


def _double_a_record(random: Random, octets: bytes) -> bytes:
    found = records(octets)
    place = random.randrange(len(found))
    return b"".join([*found[: place + 1], *found[place:]])


def _lose_a_record(random: Random, octets: bytes) -> bytes:
    found = records(octets)
    del found[random.randrange(len(found))]
    return b"".join(found)


def _mix_records(random: Random, octets: bytes) -> bytes:
    found = records(octets)
    random.shuffle(found)
    return b"".join(found)


def _make_a_length_up(random: Random, octets: bytes) -> bytes:
    return octets[:3] + random.randbytes(2) + octets[5:]


TEARS: tuple[Tear, ...] = (
    _cut,
    _flip,
    _drop,
    _insert,
    _double_a_record,
    _lose_a_record,
    _mix_records,
    _make_a_length_up,
)


@dataclass(slots=True)
class Outcome:
    """How it went."""

    sent: bytes = b""
    """What the client said, under TLS."""
    read: bytes = b""
    """What the server could read."""
    established: bool = False
    failed: bool = False
    """The channel raised."""
    torn: bool = False


@dataclass(slots=True)
class TornStream:
    """One client, one channel, and somebody between them."""

    random: Random
    channel: TlsChannel
    client: ssl.SSLObject
    to_client: ssl.MemoryBIO
    from_client: ssl.MemoryBIO
    words: list[bytes]
    """What the client says once it may, a write each."""
    outcome: Outcome = field(default_factory=Outcome)

    def run(self) -> Outcome:
        """Carry it all over, torn at one place or not at all.

        Raises:
            TornWrongly: the channel did what it must not.
        """
        torn_at = self.random.randrange(len(self.words) + 3)
        for flight in range(len(self.words) + 2):
            self._let_client_speak(flight)
            octets = self.from_client.read()
            if flight == torn_at and octets:
                octets = self.random.choice(TEARS)(self.random, octets)
                self.outcome.torn = True
            self._carry(octets)
            if self.outcome.failed:
                break
        self._end()
        return self.outcome

    def _let_client_speak(self, flight: int) -> None:
        """Go on with the handshake, or say the next word, or good-bye."""
        try:
            if flight < 2:
                self.client.do_handshake()
            elif self.words[flight - 2 :]:
                word = self.words[flight - 2]
                self.client.write(word)
                self.outcome.sent += word
        except ssl.SSLError:  # it waits for the server, or has given it up
            return

    def _carry(self, octets: bytes) -> None:
        for piece in self._pieces(octets):
            try:
                self._read(self.channel.receive(piece))
            except TlsError:
                self.outcome.failed = True
                self._look_at_the_dead()
                return
            finally:
                self._carry_back()
        self.outcome.established = self.channel.established

    def _carry_back(self) -> None:
        answer = self.channel.output()
        if len(answer) > _ALERT_AND_MORE:
            raise TornWrongly(f"the server answers with {len(answer)} octets")
        self.to_client.write(answer)

    def _read(self, plaintext: bytes) -> None:
        if plaintext and not self.channel.established:
            raise TornWrongly("there is plaintext before the handshake is over")
        self.outcome.read += plaintext
        if not self.outcome.sent.startswith(self.outcome.read):
            raise TornWrongly(f"the client never said {self.outcome.read!r}")

    def _look_at_the_dead(self) -> None:
        """Nothing goes into a channel that has raised, and nothing comes out of it."""
        if self.channel.receive(self.random.randbytes(40)):
            raise TornWrongly("a dead channel reads on")
        try:
            self.channel.send(b"+OK\r\n")
        except TlsError:
            return
        raise TornWrongly("a dead channel speaks")

    def _end(self) -> None:
        self.to_client.write(self.channel.close())
        if not self.outcome.torn and self.outcome.read != b"".join(self.words):
            raise TornWrongly("a whole stream was not read to its end")

    def _pieces(self, octets: bytes) -> list[bytes]:
        size = self.random.choice((1 << 16, 1 << 16, 700, 31))
        return [octets[start : start + size] for start in range(0, len(octets), size)]


def torn_stream(
    random: Random, context: ssl.SSLContext, trust: ssl.SSLContext, words: list[bytes]
) -> TornStream:
    """Return a stream between a client that verifies and a server.

    Args:
        random: decides what happens to it.
        context: the server's.
        trust: the client's.
        words: what the client says.
    """
    to_client, from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, from_client, server_hostname="localhost")
    return TornStream(random, TlsChannel(context), client, to_client, from_client, words)
