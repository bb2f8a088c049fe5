"""Accepting connections: how many at once, from where, and what when descriptors run out.

The loop's own accepting drops connections without a word when the process has no descriptors left;
this one pauses, so that clients wait in the kernel's queue and nothing spins. Whoever is turned
away is closed without a word, before TLS: the outside learns nothing, and it costs the least.

It must not know what is said on a connection.

Known limit: a proxy's connection has no place until its header has come; there are so many of these
and no more, and each has three seconds.
"""

import asyncio
import functools
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from mailkeep.defence import LoginDoor
from mailkeep.defence.prefixes import REMEMBERED_ADDRESSES, prefixes_of
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
class Caller:
    """What an address means at one listener, whatever else happens."""

    source: IpAddress
    address: str
    """The same as text: by this it is known who is inside."""
    host: str
    """As events have it: an IPv6 address may have its scope behind it."""
    prefix: str
    """The narrow one."""
    is_proxy: bool
    """Whether the client's own address is told by what comes from there."""
    security: Security | None
    """What protects a new connection, None when it may not be made at all."""


class Listener:
    """One listening socket and who may come in through it.

    Args:
        settings: the operator's.
        socket: bound.

    Attributes:
        caller: tells what an address means here; it is worked out once and then remembered.
    """

    def __init__(self, settings: Listen, socket: socket.socket) -> None:
        self.settings = settings
        self.socket = socket
        self.caller: Callable[[str], Caller] = functools.lru_cache(REMEMBERED_ADDRESSES)(
            self._caller
        )

    def _caller(self, host: str) -> Caller:
        source = source_of(Endpoint(host, 0))
        address = str(source)
        return Caller(
            source=source,
            address=address,
            host=address if isinstance(source, IPv4Address) else host,
            prefix=prefixes_of(source).narrow,
            is_proxy=source in self.settings.proxy_from,
            security=self.security_for(source),
        )

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

    @functools.cached_property
    def name(self) -> str:
        """What events call it; the address is the one that it has when it is first asked."""
        return str(self)

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
        self.connections: dict[Connection, str] = {}
        """And their addresses."""
        self._by_address: dict[str, set[Connection]] = {}
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
            _end_dead_peers_of(listener.socket, self._limits.dead_peer_s)
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
        if not self._closed:
            for listener in self._listeners:
                _end_dead_peers_of(listener.socket, limits.dead_peer_s)
        self._resume_if_there_is_room()

    def turn_out(self, source: IpAddress) -> None:
        """End the connections from where nobody should have been let in, but for sessions."""
        for connection in tuple(self._by_address.get(str(source), ())):
            if not connection.logged_in:
                self._abort(connection, BANNED)

    # Accepting.

    def _resume(self) -> None:
        if self._paused and not self._closed:
            self._paused = False
            for place, listener in enumerate(self._listeners):
                self._loop.add_reader(listener.socket, self._accept, place)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            for listener in self._listeners:
                self._loop.remove_reader(listener.socket)

    def _accept(self, place: int) -> None:
        listener = self._listeners[place]
        for _ in range(ACCEPTS_A_TURN):
            if not self._places.has_room:
                self._sink.emit(events.AcceptingPaused(reason=NoPlace.SERVER_IS_FULL.value))
                self._pause()
                return
            try:
                accepted, address = listener.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause_a_while(error)
                return
            self._let_in(listener, accepted, listener.caller(address[0]), address[1])

    def _pause_a_while(self, error: OSError) -> None:
        self._sink.emit(events.AcceptingPaused(reason=str(error)))
        self._pause()
        self._loop.call_later(RETRY_S, self._resume)

    def _resume_if_there_is_room(self) -> None:
        if self._paused and self._opened and not self._closed and self._places.has_room:
            self._sink.emit(events.AcceptingResumed())
            self._resume()

    # Who comes in.

    def _let_in(
        self, listener: Listener, accepted: socket.socket, caller: Caller, port: int
    ) -> None:
        peer = Endpoint(caller.host, port)
        if caller.is_proxy:
            self._let_proxy_in(listener, accepted, peer)
            return
        connection = self._enter(listener, caller, peer)
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
            lambda client: self._enter_proxied(listener, client or proxy),
            lambda reason: self._turn_away(listener, proxy, reason),
            self._proxied.discard,
        )
        self._proxied.add(proxied)
        return proxied

    def _enter_proxied(self, listener: Listener, client: Endpoint) -> Connection | None:
        return self._enter(listener, listener.caller(client.host), client)

    def _enter(self, listener: Listener, caller: Caller, peer: Endpoint) -> Connection | None:
        """Return a connection that has a place, or turn it away."""
        security = caller.security
        if security is None:
            self._turn_away(listener, peer, NOT_ALLOWED)
            return None
        if not self._door.admits(caller.source):
            self._turn_away(listener, peer, BANNED)
            return None
        has_good_past = self._door.has_good_past(caller.source)
        connection = Connection(
            self._loop,
            peer,
            self._limits,
            lambda connection: self._on_start(connection, security),
            self._ended,
            on_login=self._places.settle,
            turnstile=None if has_good_past else self._turnstile,
        )
        room = self._places.take(connection, Origin(caller.prefix, has_good_past))
        if isinstance(room, NoPlace):
            self._turn_away(listener, peer, room.value)
            return None
        if room.displaced is not None:
            self._abort(room.displaced, MADE_ROOM)
        self._keep(connection, caller.address)
        self._sink.emit(
            events.ConnectionOpened(
                session=connection.session, peer=str(peer), listener=listener.name
            )
        )
        return connection

    def _keep(self, connection: Connection, address: str) -> None:
        self.connections[connection] = address
        alike = self._by_address.get(address)
        if alike is None:
            self._by_address[address] = {connection}
        else:
            alike.add(connection)

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
        whom = listener.caller(peer.host).prefix, reason.partition(":")[0]
        times = self._turned_away.count(whom, self._loop.time())
        if times:
            self._sink.emit(
                events.ConnectionRefused(
                    peer=str(peer), listener=listener.name, reason=reason, count=times
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
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError:
            accepted.close()
            return False
        return True

    def _ended(self, connection: Connection) -> None:
        self._places.leave(connection)
        address = self.connections.pop(connection, None)
        if address is not None:
            alike = self._by_address[address]
            alike.remove(connection)
            if not alike:
                del self._by_address[address]
        if self._closed and not self.connections:
            self._everybody_left.set()
        self._resume_if_there_is_room()


def _capacity(limits: Limits) -> int:
    return capacity_under(limits.connections, raise_descriptor_limit())


def _end_dead_peers_of(listening: socket.socket, seconds: float) -> None:
    """Let the kernel end the connections of peers that are gone, of all that are made from now on.

    A connection begins with the options of the socket that it came through (tcp(7)), so they need
    not be set on each.

    Args:
        listening: the socket.
        seconds: see `end_dead_peers`.
    """
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    if sys.platform == "linux":
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
    end_dead_peers(listening, seconds)
