"""One random dialogue with a real session in fake time, and what must hold during and after it."""

import asyncio
import base64
import ssl
from collections import Counter
from random import Random

from tests.fuzz.model import ERR, MORE, OK, Line, Means, Model, Phase, Reply
from tests.fuzz.speaking import encode, in_pieces, line_end, random_line
from tests.server.parts import (
    ALICE,
    PASSWORD,
    OnePassword,
    OpenDoor,
    Recorder,
    full_store,
    make_meeting,
)
from tests.server.talking import Talk, logged_in

from mailkeep.events import EventType
from mailkeep.pop3 import Security
from mailkeep.sasl import ClientMechanism, Login, client_mechanism
from mailkeep.server import Offers
from mailkeep.values import Secret

STEPS = 12
"""Writes of a client at most; a login takes one or two."""

MOMENT_S = 1.0
"""In which the server answers what it has; no deadline of its own is as short."""

NOBODY_WAITS_LONGER_S = 3600.0
"""Every deadline of a session is over by then."""

GREETING = b"+OK POP3 ready\r\n"


class Dialogue:
    """One client of a server of its own."""

    def __init__(self, random: Random, context: ssl.SSLContext) -> None:
        self._random = random
        self.store = full_store()
        self._before = self.store.uidls(ALICE)
        self._check = OnePassword()
        self._door = OpenDoor()
        self._sink = Recorder()
        stls_first, utf8, busy = (random.random() < share for share in (0.1, 0.5, 0.1))
        self.model = Model(stls_first=stls_first, utf8=utf8, busy=busy)
        self._meeting = make_meeting(
            self.store,
            check=self._check,
            door=self._door,
            sink=self._sink,
            utf8=utf8,
            offers=Offers(tokens=True),
            context=context,
        )
        self._expected: list[Reply] = []
        self.said: list[bytes] = []
        self._talk: Talk
        self._other: Talk | None = None
        self._unheard_logins = 0
        """Good credentials whose owner left before the answer."""

    async def run(self) -> None:
        """Talk, break off, and look at what is left.

        Raises:
            AssertionError: the session did what it must not.
        """
        if self.model.busy:
            self._other = await logged_in(self._meeting)
        self._door.delayed_s = self._random.choice((0.0, 0.0, 0.01))
        security = Security.STLS_FIRST if self.model.stls_first else Security.CLEARTEXT_ALLOWED
        self._talk = Talk(self._meeting, security)
        await self._settle()
        for _ in range(self._random.randint(1, STEPS)):
            if self.model.phase in {Phase.OVER, Phase.ENCRYPTING}:
                break
            await self._step()
            self._compare()
        await self._break_off()
        await self._look_at_what_is_left()

    # Talking.

    async def _step(self) -> None:
        random = self._random
        outside = self.model.phase in {Phase.STRANGER, Phase.NAMED}
        if outside and not self.model.stls_first and random.random() < 0.04:
            await self._prove()
        elif outside and random.random() < 0.2:
            right = Line(b"PASS " + PASSWORD, Means.RIGHT_PASSWORD)
            await self._say([Line(b"USER alice", Means.USER), right])
        else:
            await self._say([random_line(random) for _ in range(random.choice((1, 1, 1, 2, 4)))])

    async def _say(self, lines: list[Line]) -> None:
        """Send lines in one go; STLS with something behind it is the client's last word."""
        octets = b""
        for place, line in enumerate(lines):
            octets += line.octets + line_end(self._random)
            replies = self.model.take(line)
            if self.model.phase is Phase.ENCRYPTING and place + 1 < len(lines):
                octets += b"".join(line.octets + b"\r\n" for line in lines[place + 1 :])
                await self._smuggle(octets)
                return
            self._expected += replies
        await self._send(octets)

    async def _smuggle(self, octets: bytes) -> None:
        """Send what may not stand behind STLS: refused, or taken for TLS, and never obeyed."""
        await self._send(octets)
        heard = self._talk.transport.received.removeprefix(GREETING)
        for reply in (Reply(ERR), Reply(OK)):
            if self._matches(bytes(heard), [*self._expected, reply]):
                self._expected.append(reply)
                break
        self.model.phase = Phase.OVER

    async def _send(self, octets: bytes) -> None:
        self.said.append(octets)
        for piece in in_pieces(self._random, octets):
            self._talk.transport.send(piece)
        await self._settle()

    async def _prove(self) -> None:
        """Carry an exchange of SCRAM to its end, or not so far."""
        random = self._random
        password = random.choice((PASSWORD, b"wrong"))
        client = _scram_client(password)
        first = client.start()
        assert first is not None
        self.model.bad = 0
        self.model.phase = Phase.PROVING
        self._expected.append(Reply(MORE))
        await self._send(b"AUTH SCRAM-SHA-256 %b\r\n" % encode(first.reveal()))
        self._compare()
        if random.random() < 0.3:
            return
        final = encode(client.step(self._challenge()).reveal())
        if password != PASSWORD:
            self._expected.append(self.model.refuse())
            await self._send(final + b"\r\n")
            return
        self.model.phase = Phase.PROVED
        self._expected.append(Reply(MORE))
        await self._send(final + b"\r\n")
        self._compare()
        assert client.step(self._challenge()).reveal() == b""
        if random.random() < 0.2:
            return
        self._expected += self.model.take(Line(b"", Means.NOTHING))
        await self._send(b"\r\n")

    def _challenge(self) -> bytes:
        line = bytes(self._talk.transport.received).splitlines()[-1]
        return base64.b64decode(line.removeprefix(b"+ "), validate=True)

    async def _settle(self) -> None:
        await asyncio.sleep(MOMENT_S)

    # Breaking off.

    async def _break_off(self) -> None:
        """End in one of the ways that clients and servers have."""
        ways = [self._hang_up, self._reset, self._half_a_line, self._fall_silent, self._stop]
        match self.model.phase:
            case Phase.INSIDE:
                ways += [self._stop_reading, self._leave_without_waiting]
            case Phase.STRANGER | Phase.NAMED if not self.model.stls_first:
                ways += [self._leave_while_checked, self._leave_while_opening]
            case Phase.ENCRYPTING:
                ways += [self._speak_no_tls]
            case _:
                pass
        await self._random.choice(ways)()

    async def _hang_up(self) -> None:
        self._talk.transport.finish()

    async def _reset(self) -> None:
        self._talk.transport.reset()

    async def _half_a_line(self) -> None:
        self._talk.transport.send(self._random.choice((b"QUIT", b"DELE 1", b"PASS ", b"\r")))
        self._talk.transport.finish()

    async def _fall_silent(self) -> None:
        await asyncio.sleep(NOBODY_WAITS_LONGER_S)

    async def _stop(self) -> None:
        self._talk.connection.stop()

    async def _stop_reading(self) -> None:
        self._talk.transport.stop_reading()
        self._talk.transport.send(b"RSET\r\n" + b"RETR 4\r\n" * 9 + b"DELE 1\r\nQUIT\r\n")
        await self._settle()
        self._talk.transport.reset()

    async def _leave_without_waiting(self) -> None:
        """Say QUIT whole and go at once: done or not, but not by halves."""
        self._talk.transport.send(b"QUIT\r\n")
        self._talk.transport.finish()
        self.model.take(Line(b"QUIT", Means.QUIT))
        self._expected.append(Reply(OK))

    async def _leave_while_checked(self) -> None:
        self._unheard_logins = 1
        self._check.held = asyncio.Event()
        self._guess()
        await self._settle()
        self._talk.transport.reset()
        await self._settle()
        self._check.held.set()

    async def _leave_while_opening(self) -> None:
        self._door.delayed_s = 5.0
        self._guess()
        await self._settle()
        self._talk.transport.reset()

    def _guess(self) -> None:
        self._talk.transport.send(b"AUTH PLAIN %b\r\n" % encode(b"\0alice\0" + PASSWORD))

    async def _speak_no_tls(self) -> None:
        self._talk.transport.send(self._random.choice((b"QUIT\r\n", b"\x16\x03\x01\0\0", b"\xff")))

    # Looking.

    def _compare(self) -> None:
        """Compare all that came with all that had to come."""
        self._look_for_traces()
        heard = bytes(self._talk.transport.received)
        assert heard.startswith(GREETING)
        assert self._matches(heard.removeprefix(GREETING), self._expected), (
            self._expected,
            heard[-2000:],
        )
        inside = self.model.phase is Phase.INSIDE
        others = self._other is not None
        assert self._meeting.sessions.count(ALICE) == inside + others
        assert bool(self.store._leased) == (inside or others)

    @staticmethod
    def _matches(heard: bytes, expected: list[Reply]) -> bool:
        for reply in expected:
            line, end, heard = heard.partition(b"\r\n")
            if not end or line.partition(b" ")[0] != reply.status:
                return False
            if reply.body:
                _, end, heard = (b"\r\n" + heard).partition(b"\r\n.\r\n")
                if not end:
                    return False
        return not heard

    async def _look_at_what_is_left(self) -> None:
        if self._other is not None:
            self._other.transport.reset()
        async with asyncio.timeout(NOBODY_WAITS_LONGER_S):
            await self._talk.task
        await asyncio.sleep(NOBODY_WAITS_LONGER_S)
        assert self._talk.is_closed()
        self._look_for_traces()
        assert not self.store._leased
        assert self._meeting.sessions.count(ALICE) == 0
        assert self._meeting.holders._by_account == {}
        assert len(self._door.attempts) == len(self._door.ends), "a place at the door is held"
        self._look_at_mail()
        self._look_at_events()

    def _look_for_traces(self) -> None:
        traces = [event["trace"] for event in self._sink.of(EventType.INTERNAL_ERROR)]
        assert not traces, "\n".join(traces)

    def _look_at_mail(self) -> None:
        kept = [uidl for n, uidl in enumerate(self._before, 1) if n not in self.model.removed]
        assert self.store.uidls(ALICE) == kept

    def _look_at_events(self) -> None:
        told = Counter(event for event, _ in self._sink.events)
        assert told[EventType.LOGIN_ACCEPTED] == told[EventType.SESSION_ENDED]
        logins = self.model.logins + (self._other is not None)
        assert told[EventType.LOGIN_ACCEPTED] - logins in {0, self._unheard_logins}
        assert told[EventType.DELETION_DONE] == len(self.model.removed)


def _scram_client(password: bytes) -> ClientMechanism:
    return client_mechanism(
        "SCRAM-SHA-256",
        Login("alice", Secret(password)),
        nonce="rOprNGfwEbeRWgbNEkqO",
        binding=None,
        offers_plus=False,
        host="mail.example.test",
        port=995,
    )
