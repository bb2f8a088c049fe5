"""Accepting connections: how many at once, from where, and what when descriptors run out.

The loop's own accepting drops connections without a word when the process has no descriptors left;
this one pauses, so that clients wait in the kernel's queue and nothing spins.
"""

import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from mailkeep.events import EventSink, EventType
from mailkeep.pop3 import Security
from mailkeep.server.connection import Connection
from mailkeep.site import Endpoint, Limits, Listen, Service

ACCEPTS_A_TURN = 64
"""Connections that one listener takes before the sessions get their turn."""

RETRY_S = 1.0
"""How long accepting pauses when it fails: out of descriptors or of memory, the network is down."""

BACKLOG = 1024
"""Handshakes that the kernel keeps for us; it cuts this to net.core.somaxconn."""

KEEPALIVE_PROBES = 3
"""Without an answer, then the peer is gone: one or two may be lost on the way."""

RESERVED_DESCRIPTORS = 128
"""Listeners, database, index files, locks, the log, and what libraries open."""

MOST_DESCRIPTORS = 1 << 20
"""Linux' own ceiling (fs.nr_open); containers are given limits of a thousand times that."""

DESCRIPTORS_A_CONNECTION = 2
"""Its socket, and the message that it is being sent."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket and who may come in through it."""

    settings: Listen
    socket: socket.socket

    def security_for(self, peer: Endpoint) -> Security | None:
        """Return what protects a new connection, None when it may not be made at all."""
        address = ip_address(peer.host.partition("%")[0])
        if address not in self.settings.allow:
            return None
        if self.settings.service is Service.POP3S:
            return Security.TLS
        if address in self.settings.cleartext_from:
            return Security.CLEARTEXT_ALLOWED
        return Security.STLS_FIRST

    @property
    def endpoint(self) -> Endpoint:
        """Where it really listens."""
        return Endpoint(*self.socket.getsockname()[:2])

    def __str__(self) -> str:
        return f"{self.settings.service.value} {self.endpoint}"


class Door:
    """Lets clients in through every listener of a server, never more at once than it has room."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        limits: Limits,
        sink: EventSink,
        on_start: Callable[[Connection, Security], None],
    ) -> None:
        self.connections: set[Connection] = set()
        self._listeners = list(listeners)
        self._limits = limits
        self._capacity = capacity_under(limits.connections, raise_descriptor_limit())
        self._sink = sink
        self._on_start = on_start
        self._loop = asyncio.get_running_loop()
        self._paused = True
        self._closed = False
        self._everybody_left = asyncio.Event()
        self._arriving: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to accept."""
        for listener in self._listeners:
            listener.socket.settimeout(0)
            listener.socket.listen(BACKLOG)
        self._resume()

    def close(self) -> None:
        """Accept nobody any more and close the listening sockets."""
        self._pause()
        self._closed = True
        for listener in self._listeners:
            listener.socket.close()
        if not self.connections:
            self._everybody_left.set()

    async def wait_until_empty(self) -> None:
        """Return when nobody is left inside; the door must be closed."""
        await self._everybody_left.wait()

    def reload(self, limits: Limits, listens: Sequence[Listen]) -> bool:
        """Use other settings from the next connection on; see `Server.reload`."""
        self._limits = limits
        self._capacity = capacity_under(limits.connections, raise_descriptor_limit())
        by_place = {(one.service, one.address): one for one in listens}
        known = {(one.settings.service, one.settings.address) for one in self._listeners}
        self._listeners = [
            Listener(
                by_place.get((one.settings.service, one.settings.address), one.settings), one.socket
            )
            for one in self._listeners
        ]
        self._resume_if_there_is_room()
        return known == by_place.keys()

    def _listener(self, listening: socket.socket) -> Listener:
        return next(one for one in self._listeners if one.socket is listening)

    def _resume(self) -> None:
        if self._paused and not self._closed:
            self._paused = False
            for listener in self._listeners:
                self._loop.add_reader(listener.socket, self._accept, listener.socket)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            for listener in self._listeners:
                self._loop.remove_reader(listener.socket)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_A_TURN):
            if len(self.connections) >= self._capacity:
                self._sink.emit(EventType.ACCEPTING_PAUSED, reason="all connections are taken")
                self._pause()
                return
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause_a_while(error)
                return
            self._let_in(self._listener(listening), accepted, Endpoint(*address[:2]))

    def _pause_a_while(self, error: OSError) -> None:
        self._sink.emit(EventType.ACCEPTING_PAUSED, reason=str(error))
        self._pause()
        self._loop.call_later(RETRY_S, self._resume)

    def _let_in(self, listener: Listener, accepted: socket.socket, peer: Endpoint) -> None:
        security = listener.security_for(peer)
        if security is None:
            self._sink.emit(EventType.CONNECTION_REFUSED, peer=str(peer), listener=str(listener))
            accepted.close()
            return
        connection = Connection(
            self._loop,
            peer,
            self._limits,
            lambda connection: self._on_start(connection, security),
            self._ended,
        )
        self.connections.add(connection)  # it counts from here on, once
        arrival = self._loop.create_task(self._connect(connection, accepted))
        self._arriving.add(arrival)
        arrival.add_done_callback(self._arriving.discard)

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        try:
            accepted.settimeout(0)
            end_dead_peers(accepted, self._limits.dead_peer_s)
            await self._loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # it ended before it began
            accepted.close()
            self._ended(connection)

    def _ended(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if self._closed and not self.connections:
            self._everybody_left.set()
        self._resume_if_there_is_room()

    def _resume_if_there_is_room(self) -> None:
        if self._paused and not self._closed and len(self.connections) < self._capacity:
            self._sink.emit(EventType.ACCEPTING_RESUMED)
            self._resume()


def end_dead_peers(accepted: socket.socket, seconds: float) -> None:
    """Let the kernel end the connection of a peer that is gone (RFC 1122 4.2.3.6, RFC 5482).

    Args:
        accepted: a connection's socket.
        seconds: after which a dead peer must have been noticed, idle or not; 0 for never.
    """
    if not seconds:
        return
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform != "linux":
        return
    probe_s = max(1, int(seconds) // (2 * KEEPALIVE_PROBES))
    idle_s = max(1, int(seconds) - KEEPALIVE_PROBES * probe_s)
    for option, value in (
        (socket.TCP_KEEPIDLE, idle_s),
        (socket.TCP_KEEPINTVL, probe_s),
        (socket.TCP_KEEPCNT, KEEPALIVE_PROBES),
        (socket.TCP_USER_TIMEOUT, int(seconds * 1000)),
    ):
        accepted.setsockopt(socket.IPPROTO_TCP, option, value)


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one, where that is allowed.

    Returns:
        How many files this process may have open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # A sandbox may forbid it; the soft limit stands then.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def capacity_under(connections: int, descriptors: int) -> int:
    """Return how many connections may be open at once.

    Args:
        connections: the operator's limit; 0 for none.
        descriptors: files that the process may have open.
    """
    possible = max(1, (descriptors - RESERVED_DESCRIPTORS) // DESCRIPTORS_A_CONNECTION)
    return min(connections, possible) if connections else possible
