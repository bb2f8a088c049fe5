"""Accepting connections: how many at once, from where, and what when descriptors run out.

The loop's own accepting drops connections without a word when the process has no descriptors left;
this one pauses, so that clients wait in the kernel's queue and nothing spins. Whoever is turned
away is closed without a word, before TLS: the outside learns nothing, and it costs the least.

It must not know what is said on a connection.

Known limit: a proxy's connection has no place until its header has come; there are so many of these
and no more, and each has three seconds.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from mailkeep.defence import LoginDoor
from mailkeep.defence.prefixes import NARROW_BITS, prefix_of
from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.pop3 import Security
from mailkeep.server.connection import Connection, source_of
from mailkeep.server.inside import Inside
from mailkeep.server.kernel import capacity_under, end_dead_peers, raise_descriptor_limit
from mailkeep.server.places import NoPlace, Origin, Places
from mailkeep.server.proxied import Proxied
from mailkeep.server.turned_away import TurnedAway
from mailkeep.server.turnstile import Turnstile
from mailkeep.site import Endpoint, Limits, Listen, Service
from mailkeep.values import IpAddress

ACCEPTS_A_TURN = 8
"""Connections that one listener takes before the sessions get their turn: a millisecond or two.
Somebody known stands in the kernel's queue behind strangers, so it must be got through."""

RETRY_S = 1.0
"""How long accepting pauses when it fails: out of descriptors or of memory, the network is down."""

WITHOUT_HEADER_LIMIT = 1024
"""Connections of proxies whose header has not come: it comes at once, so these are some turns."""

BACKLOG = 1024
"""Handshakes that the kernel keeps for us; it cuts this to net.core.somaxconn."""

NOT_ALLOWED = "not in allow"
BANNED = "banned"
TOO_MANY_WITHOUT_HEADER = "too many connections without a PROXY header"
MADE_ROOM = "made room for a new connection"
"""Why connections are not made, or end: these are for the log and for figures."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket and who may come in through it."""

    settings: Listen
    socket: socket.socket

    def security_for(self, source: IpAddress) -> Security | None:
        """Return what protects a new connection, None when it may not be made at all."""
        if source not in self.settings.allow:
            return None
        if self.settings.service is Service.POP3S:
            return Security.TLS
        if source in self.settings.cleartext_from:
            return Security.CLEARTEXT_ALLOWED
        return Security.STLS_FIRST

    @property
    def endpoint(self) -> Endpoint:
        """Where it really listens."""
        return Endpoint(*self.socket.getsockname()[:2])

    def __str__(self) -> str:
        return f"{self.settings.service.value} {self.endpoint}"


class Entrance:
    """Lets clients in through every listener of a server, never more at once than it has room."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        limits: Limits,
        sink: EventSink,
        door: LoginDoor,
        on_start: Callable[[Connection, Security], None],
    ) -> None:
        """Make ready; must be called in a running event loop.

        Args:
            listeners: bound sockets.
            limits: how many may come, and how long things may take.
            sink: who is told.
            door: knows who is banned and who has a good past.
            on_start: told of each connection on which octets can flow.
        """
        self.connections: set[Connection] = set()
        self._by_source: dict[IpAddress, set[Connection]] = {}
        self._listeners = list(listeners)
        self._limits = limits
        self._places: Places[Connection] = Places(_capacity(limits), limits.connections_per_prefix)
        self._turned_away = TurnedAway()
        self._sink = sink
        self._door = door
        self._on_start = on_start
        self._loop = asyncio.get_running_loop()
        self._turnstile = Turnstile(self._loop)
        self._paused = True
        self._opened = False
        self._closed = False
        self._everybody_left = asyncio.Event()
        self._arriving: set[asyncio.Task[None]] = set()
        self._proxied: set[Proxied] = set()

    def open(self) -> None:
        """Begin to accept."""
        for listener in self._listeners:
            listener.socket.settimeout(0)
            listener.socket.listen(BACKLOG)
        self._opened = True
        self._resume()

    def close(self) -> None:
        """Accept nobody any more and close the listening sockets."""
        self._pause()
        self._closed = True
        for listener in self._listeners:
            listener.socket.close()
        for proxied in tuple(self._proxied):
            proxied.close()
        if not self.connections:
            self._everybody_left.set()

    async def wait_until_empty(self) -> None:
        """Return when nobody is left inside; the entrance must be closed."""
        await self._everybody_left.wait()

    @property
    def inside(self) -> Inside[str]:
        """How many connections there are from each prefix."""
        return self._places.inside

    def reload(self, limits: Limits, listens: Sequence[Listen]) -> None:
        """Use other settings from the next connection on; see `Server.reload`."""
        self._limits = limits
        self._places.resize(_capacity(limits), limits.connections_per_prefix)
        by_place = {(one.service, one.address): one for one in listens}
        self._listeners = [
            Listener(
                by_place.get((one.settings.service, one.settings.address), one.settings), one.socket
            )
            for one in self._listeners
        ]
        self._resume_if_there_is_room()

    def turn_out(self, source: IpAddress) -> None:
        """End the connections from where nobody should have been let in, but for sessions."""
        for connection in tuple(self._by_source.get(source, ())):
            if not connection.logged_in:
                self._abort(connection, BANNED)

    # Accepting.

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
            if not self._places.has_room:
                self._sink.emit(events.AcceptingPaused(reason=NoPlace.SERVER_IS_FULL.value))
                self._pause()
                return
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause_a_while(error)
                return
            self._let_in(self._listener(listening), accepted, _peer(address))

    def _pause_a_while(self, error: OSError) -> None:
        self._sink.emit(events.AcceptingPaused(reason=str(error)))
        self._pause()
        self._loop.call_later(RETRY_S, self._resume)

    def _resume_if_there_is_room(self) -> None:
        if self._paused and self._opened and not self._closed and self._places.has_room:
            self._sink.emit(events.AcceptingResumed())
            self._resume()

    # Who comes in.

    def _let_in(self, listener: Listener, accepted: socket.socket, peer: Endpoint) -> None:
        if source_of(peer) in listener.settings.proxy_from:
            self._let_proxy_in(listener, accepted, peer)
            return
        connection = self._enter(listener, peer)
        if connection is None:
            accepted.close()
            return
        self._start(self._connect(connection, accepted))

    def _let_proxy_in(self, listener: Listener, accepted: socket.socket, proxy: Endpoint) -> None:
        if len(self._proxied) >= WITHOUT_HEADER_LIMIT:
            self._turn_away(listener, proxy, TOO_MANY_WITHOUT_HEADER)
            accepted.close()
            return
        self._start(self._hear_proxy(self._proxied_at(listener, proxy), accepted))

    def _start(self, arrival: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(arrival)
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def _proxied_at(self, listener: Listener, proxy: Endpoint) -> Proxied:
        """Return a proxy's connection at its start; the client is judged when it is known."""
        proxied = Proxied(
            self._loop,
            lambda client: self._enter(listener, client or proxy),
            lambda reason: self._turn_away(listener, proxy, reason),
            self._proxied.discard,
        )
        self._proxied.add(proxied)
        return proxied

    def _enter(self, listener: Listener, peer: Endpoint) -> Connection | None:
        """Return a connection that has a place, or turn it away."""
        source = source_of(peer)
        security = listener.security_for(source)
        if security is None:
            self._turn_away(listener, peer, NOT_ALLOWED)
            return None
        if not self._door.admits(source):
            self._turn_away(listener, peer, BANNED)
            return None
        has_good_past = self._door.has_good_past(source)
        connection = Connection(
            self._loop,
            peer,
            self._limits,
            lambda connection: self._on_start(connection, security),
            self._ended,
            on_login=self._places.settle,
            turnstile=None if has_good_past else self._turnstile,
        )
        origin = Origin(_narrow_prefix(source), has_good_past)
        room = self._places.take(connection, origin)
        if isinstance(room, NoPlace):
            self._turn_away(listener, peer, room.value)
            return None
        if room.displaced is not None:
            self._abort(room.displaced, MADE_ROOM)
        self.connections.add(connection)
        self._by_source.setdefault(source, set()).add(connection)
        self._sink.emit(
            events.ConnectionOpened(
                session=connection.session, peer=str(peer), listener=str(listener)
            )
        )
        return connection

    def _abort(self, connection: Connection, reason: str) -> None:
        """End a connection that has not logged in; if a session runs on it, that tells the end."""
        if not connection.has_begun:
            self._sink.emit(
                events.ConnectionBroken(
                    session=connection.session, peer=str(connection.peer), reason=reason
                )
            )
        connection.abort(reason)

    def _turn_away(self, listener: Listener, peer: Endpoint, reason: str) -> None:
        """Tell, now and then, who is not let in."""
        whom = _narrow_prefix(source_of(peer)), reason.partition(":")[0]
        times = self._turned_away.count(whom, self._loop.time())
        if times:
            self._sink.emit(
                events.ConnectionRefused(
                    peer=str(peer), listener=str(listener), reason=reason, count=times
                )
            )

    async def _hear_proxy(self, proxied: Proxied, accepted: socket.socket) -> None:
        if not await self._attach(proxied, accepted):
            proxied.close()

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        if not await self._attach(connection, accepted):
            self._ended(connection)

    async def _attach(self, protocol: asyncio.BaseProtocol, accepted: socket.socket) -> bool:
        """Give a socket to a protocol; False if it ended before it began."""
        try:
            accepted.settimeout(0)
            end_dead_peers(accepted, self._limits.dead_peer_s)
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError:
            accepted.close()
            return False
        return True

    def _ended(self, connection: Connection) -> None:
        self._places.leave(connection)
        self.connections.discard(connection)
        alike = self._by_source.get(connection.source)
        if alike is not None:
            alike.discard(connection)
            if not alike:
                del self._by_source[connection.source]
        if self._closed and not self.connections:
            self._everybody_left.set()
        self._resume_if_there_is_room()


def _capacity(limits: Limits) -> int:
    return capacity_under(limits.connections, raise_descriptor_limit())


def _narrow_prefix(source: IpAddress) -> str:
    return prefix_of(source, NARROW_BITS[source.version])


def _peer(address: tuple[str, int]) -> Endpoint:
    """Return whom accept(2) named, an IPv4 client of an IPv6 socket as itself."""
    peer = Endpoint(*address[:2])
    source = source_of(peer)
    return Endpoint(str(source), peer.port) if isinstance(source, IPv4Address) else peer
