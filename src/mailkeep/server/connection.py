"""One client's octets on a real transport: TLS, back-pressure, closing. No commands.

It owns every buffer between the socket and the protocol. Reading pauses while what arrived has not
been asked for, writing waits while the client is behind, and all that a client can make us wait for
has a clock on it (`clocked`).

What a stranger can make us keep is small: two small reads before reading pauses, and little output
until somebody has logged in.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import cast

from mailkeep.server.channel import PLAIN, Channel
from mailkeep.server.clocked import Clocked
from mailkeep.server.turnstile import Turnstile
from mailkeep.server.wire import Disconnected
from mailkeep.site import Endpoint, Limits
from mailkeep.tls import TlsError
from mailkeep.values import IpAddress

GATHER_OCTETS = 65_536
"""Answers to pipelined commands leave together, up to four full TLS records (RFC 8446 section 5.1):
a call of the kernel costs as much as encrypting 16 KiB."""

ONE_WRITE_OCTETS = 16_384
"""Up to a full record, octets leave in one write; more leaves record by record in one call."""

OUTPUT_LIMIT_OCTETS = 262_144
"""What may wait for one client before the program that writes has to wait too."""

OUTPUT_LIMIT_BEFORE_LOGIN_OCTETS = 4096
"""The same for a stranger: a handshake's longest flight, or a list of capabilities."""

LINGER_S = 2.0
"""How long to listen on after a refusal: closing with unread octets makes the kernel send RST,
and the client would never read why."""

HOSTS_KEPT = 1024
"""Addresses that were read lately: each connection asks five times, and reading one takes 5 us."""

SESSION_OCTETS = 8
"""Of a session's random name: two in a site's life are alike with a chance of one in a billion when
there were 200,000 of them, and so long as logs are kept nobody confuses two."""


class Connection(Clocked):
    """A client's connection, from accept to the end; implements `Wire`.

    Attributes:
        peer: who is on the other side; behind a proxy that is believed, the client itself.
        source: the address of `peer`, an IPv4 one that came over IPv6 as itself.
        session: names this connection in every event, from its first octet to its last.
    """

    __slots__ = (
        "_arrived",
        "_begun",
        "_channel",
        "_end_of_input",
        "_ended",
        "_gather_octets",
        "_hear",
        "_holds_flight",
        "_lingering",
        "_logged_in",
        "_on_end",
        "_on_login",
        "_on_start",
        "_queued",
        "_reading_paused",
        "_stopping",
        "_turnstile",
        "_unsent",
        "_unsent_octets",
        "_waiter",
        "_waiting_since",
        "_writable",
        "peer",
        "session",
        "source",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: Endpoint,
        limits: Limits,
        on_start: Callable[["Connection"], None],
        on_end: Callable[["Connection"], None],
        *,
        on_login: Callable[["Connection"], None] = lambda _: None,
        turnstile: Turnstile | None = None,
    ) -> None:
        """Wait for the transport.

        Args:
            loop: where it lives.
            peer: who is on the other side.
            limits: how long things may take.
            on_start: told when octets can flow.
            on_end: told when the socket is closed.
            on_login: told when somebody has logged in.
            turnstile: what arrives before that passes it, if it is given.
        """
        super().__init__(loop, limits)
        self.peer = peer
        self.source = source_of(peer)
        self.session = secrets.token_hex(SESSION_OCTETS)
        self._begun = False
        self._logged_in = False
        self._gather_octets = OUTPUT_LIMIT_BEFORE_LOGIN_OCTETS
        self._on_start = on_start
        self._on_end = on_end
        self._on_login = on_login
        self._turnstile = turnstile
        self._queued = 0
        """Pieces that arrived and wait at the turnstile: one, for reading is paused meanwhile."""
        self._channel: Channel = PLAIN
        self._arrived = b""
        self._reading_paused = False
        self._end_of_input = False
        self._ended: str | None = None
        self._lingering = False
        self._stopping = False
        self._unsent: list[bytes] = []
        self._unsent_octets = 0
        self._waiter: asyncio.Future[None] | None = None
        self._hear: Callable[[bytes], bool] | None = None
        self._holds_flight = False
        self._waiting_since: float | None = None
        self._writable: asyncio.Future[None] | None = None

    # What a program does with it.

    @property
    def has_arrived(self) -> bool:
        """See `Wire.has_arrived`."""
        return bool(self._arrived or self._queued)

    async def receive(self) -> bytes:
        """See `Wire.receive`."""
        self.flush()
        while not self._arrived:
            self._check_more_may_come()
            await self._wait_for_input()
        arrived, self._arrived = self._arrived, b""
        return arrived

    async def attend(self, hear: Callable[[bytes], bool]) -> None:
        """See `Wire.attend`."""
        self.flush()
        if self._arrived:
            arrived, self._arrived = self._arrived, b""
            if not hear(arrived):
                return
            self.flush()
        self._hear = hear
        try:
            while self._hear is not None:
                self._check_more_may_come()
                await self._wait_for_input()
        finally:
            self._hear = None

    def write(self, *octets: bytes) -> None:
        """See `Wire.write`."""
        self._unsent += octets
        for piece in octets:
            self._unsent_octets += len(piece)
        if self._unsent_octets >= self._gather_octets:
            self.flush()

    @property
    def is_behind(self) -> bool:
        """See `Wire.is_behind`."""
        return self._writable is not None

    def flush(self) -> None:
        """See `Wire.flush`."""
        if self._ended is not None:
            return
        if not self._unsent_octets:
            self._transmit_tls(self._channel)  # the end of a handshake, with nothing to say
            return
        # Records are cut for less from one piece than from many; a single one is not copied here.
        unsent = b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_octets = 0
        try:
            if len(unsent) <= ONE_WRITE_OCTETS:
                self._transmit(self._channel.send(unsent))
            else:
                self._transmit_records(self._channel.send_records(unsent))
        except TlsError as error:  # the client can bring that about, too
            self._break_off(error)

    async def drain(self) -> None:
        """See `Wire.drain`."""
        if self._writable is None:
            await asyncio.sleep(0)
        else:
            await self._writable
        self._check_not_ended()

    def check_open(self) -> None:
        """See `Wire.check_open`."""
        if self._stopping:
            self.close("the server is stopping")
        if self._ended is not None:
            raise Disconnected(self._ended)

    # What the meeting of the programs does with it.

    @property
    def has_begun(self) -> bool:
        """Whether octets could flow: whoever was told of the start knows of the end, too."""
        return self._begun

    @property
    def logged_in(self) -> bool:
        """Whether somebody has logged in; from then on more output may wait."""
        return self._logged_in

    @logged_in.setter
    def logged_in(self, logged_in: bool) -> None:
        if logged_in and not self._logged_in and self._ended is None:
            self._logged_in = True
            self._gather_octets = GATHER_OCTETS
            self._transport.set_write_buffer_limits(high=OUTPUT_LIMIT_OCTETS)
            self._on_login(self)

    async def start_tls(self, channel: Channel) -> None:
        """Send what is unsent in clear, then let nothing pass but through `channel`.

        Octets that arrived and were not read go to the channel: they can only be a ClientHello.
        What ends the handshake on our side leaves with the next flush: a greeting comes with it.

        Raises:
            Disconnected: the handshake failed or took too long.
        """
        self.flush()
        self._channel = channel
        self._holds_flight = True
        self.expect_within(self._limits.tls_handshake_s, "the TLS handshake")
        early, self._arrived = self._arrived, b""
        if early:
            self.data_received(early)
        while not channel.established:
            self.check_open()
            if self._end_of_input or self._stopping:
                raise Disconnected("the connection ended in the TLS handshake")
            await self._wait_for_input()
        self._channel = channel.settled()
        self._holds_flight = False
        self.lift_deadline()

    def silent_s(self) -> float:
        """Return for how many seconds the client owes us its next word; 0 while it does not."""
        if self._waiting_since is None or self._transport.get_write_buffer_size():
            return 0.0
        return self._loop.time() - self._waiting_since

    def close(self, reason: str = "closed") -> None:
        """Send what is unsent and close."""
        self._say_goodbye()
        if self._ended is None:
            self._transport.close()
            self._end(reason)

    def close_after_refusal(self) -> None:
        """Close like `close`, but so that a client in the middle of sending can read why."""
        self._say_goodbye()
        if self._ended is None:
            self._lingering = True
            self._transport.write_eof()
            self._resume_reading()
            self._loop.call_later(LINGER_S, self._transport.abort)
            self._end("refused")

    def abort(self, reason: str) -> None:
        """Close at once, also what is closing already; what the client has not taken is dropped."""
        self._end(reason)
        if self._begun:
            self._transport.abort()

    def stop(self) -> None:
        """Let the command under way end, and take no other."""
        self._stopping = True
        if self._waiting_since is not None:
            self.close("the server is stopping")

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless it was aborted before."""
        self._begun = True
        self._transport = cast("asyncio.Transport", transport)
        if self._ended is not None:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=OUTPUT_LIMIT_BEFORE_LOGIN_OCTETS)
        self._on_start(self)

    def data_received(self, data: bytes) -> None:
        """Take octets off the wire; those of a stranger when it is his turn."""
        turnstile = self._turnstile
        if turnstile is None or (self._logged_in and not self._queued):
            self._take(data)
            return
        self._queued += 1
        if not turnstile.enter(lambda: self._take_queued(data)):
            self._pause_reading()

    def _take_queued(self, data: bytes) -> None:
        self._queued -= 1
        self._take(data)
        if self._is_awaited and self._writable is None and not self._queued:
            self._resume_reading()

    def _take(self, data: bytes) -> None:
        if self._ended is not None:
            return
        channel = self._channel
        try:
            plaintext = channel.receive(data)
        except TlsError as error:
            self._break_off(error)
            return
        if channel.peer_closed:
            self._end_of_input = True
        if plaintext:
            if self._hear is not None and self._is_awaited:  # who listens learns of what it raises
                self._have_heard(self._hear, plaintext)  # and what TLS has to say leaves with it
                if self._end_of_input:
                    self._wake()
                return
            self._keep(plaintext)
        if self._holds_flight and channel.established:
            self._wake()  # whatever ends the handshake leaves with what the program says first
            return
        self._transmit_tls(channel)
        if self._end_of_input or not (self._holds_flight or self._hear):
            self._wake()

    def _transmit_tls(self, channel: Channel) -> None:
        """Send what TLS itself has to say."""
        octets = channel.output()
        if octets and self._ended is None:
            self._transmit(octets)

    def _keep(self, plaintext: bytes) -> None:
        self._arrived += plaintext
        if not self._is_awaited:
            self._pause_reading()

    def _have_heard(self, hear: Callable[[bytes], bool], plaintext: bytes) -> None:
        """Let it be answered here and now; see `Wire.attend`."""
        try:
            goes_on = hear(plaintext)
        except Exception as failure:  # noqa: BLE001  # it belongs to the task that listens
            self._hear = None
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(failure)
            return
        if goes_on:
            self._waiting_since = self._loop.time()
            self.flush()
        else:  # a command is under way, and no longer waited for
            self._hear = None
            self._waiting_since = None
            self._wake()

    def eof_received(self) -> bool:
        """Note that the client sends no more; what it sent is still answered."""
        if self._turnstile is not None and self._queued:
            self._turnstile.enter(self._end_input)
        else:
            self._end_input()
        return not self._lingering

    def _end_input(self) -> None:
        self._end_of_input = True
        self._wake()

    def pause_writing(self) -> None:
        """Note that the client is behind; what it sends could only ask for more."""
        self._writable = self._loop.create_future()
        self._pause_reading()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if self._is_awaited and not self._queued:
            self._resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the socket is closed."""
        self._end("the connection was lost" if exc is None else f"the connection was lost: {exc}")
        self._stop_watch()
        self._on_end(self)

    # How it is done.

    async def _wait_for_input(self) -> None:
        self._waiter = self._loop.create_future()
        self._waiting_since = self._loop.time()
        if self._writable is None and not self._queued:
            self._resume_reading()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._waiting_since = None

    def _check_more_may_come(self) -> None:
        self.check_open()
        if self._end_of_input:
            raise Disconnected("the client closed the connection")

    def _check_not_ended(self) -> None:
        if self._ended is not None:
            raise Disconnected(self._ended)

    @property
    def _is_awaited(self) -> bool:
        """Whether a program waits for octets and none have come."""
        return self._waiter is not None and not self._waiter.done()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()

    def _transmit(self, octets: bytes) -> None:
        transport = self._transport
        transport.write(octets)
        self._sent += len(octets)
        if self._watch_timer is None and transport.get_write_buffer_size():
            self._watch_output()

    def _transmit_records(self, records: list[bytes]) -> None:
        self._transport.writelines(records)
        self._sent += sum(map(len, records))
        if self._watch_timer is None and self._transport.get_write_buffer_size():
            self._watch_output()

    def _say_goodbye(self) -> None:
        """Send what is unsent, and the last word of TLS with it."""
        if self._ended is not None:
            return
        unsent = b"".join(self._unsent)
        try:
            last = self._channel.send_records(unsent) if unsent else []
        except TlsError as error:
            self._break_off(error)
            return
        octets = b"".join((*last, self._channel.close()))
        if octets:
            self._transmit(octets)

    def _break_off(self, error: TlsError) -> None:
        """Close after the alert, if there is one: nothing can be said under this TLS any more."""
        self._transmit_tls(self._channel)
        self._transport.close()
        self._end(str(error))

    def _end(self, reason: str) -> None:
        """Let no program go on; the first reason stands."""
        if self._ended is not None:
            return
        self._ended = reason
        self._arrived = b""
        self._stop_deadline()
        self._wake()
        self.resume_writing()

    def _expire(self, reason: str) -> None:
        """Close without a word (RFC 1939 section 3), and without waiting for a client that is."""
        if self._transport.get_write_buffer_size():
            self.abort(reason)
            return
        last = self._channel.close()
        if last:
            self._transmit(last)
        self._transport.close()
        self._end(reason)


def source_of(peer: Endpoint) -> IpAddress:
    """Return the address of an endpoint, an IPv4 one that came over IPv6 as itself."""
    return _address_of(peer.host)


@lru_cache(maxsize=HOSTS_KEPT)
def _address_of(host: str) -> IpAddress:
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
