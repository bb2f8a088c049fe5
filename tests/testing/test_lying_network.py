"""The cutting proxy carries exactly so many octets, and ends as it is told."""

import socket
from collections.abc import Iterator

import pytest
from tests.harness.programs import DEADLINE_S

from mailkeep.testing.lying_network import CuttingProxy, Ending, cutting_proxy
from mailkeep.testing.odd_server import OddMailbox, RunningOddServer, running_odd_server

GREETING = b"+OK odd server ready\r\n"
RESET = b"(reset)"
TALK = GREETING + b"-ERR not before login\r\n+OK bye\r\n"


@pytest.fixture
def server() -> Iterator[RunningOddServer]:
    with running_odd_server(OddMailbox()) as server:
        yield server


def talk(proxy: CuttingProxy, sent: bytes = b"NOOP\r\nQUIT\r\n") -> bytes:
    """Read the greeting, say all, and return what comes until the end."""
    received = b""
    try:  # RST may come before the kernel has told that there is a connection
        with socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as client:
            client.sendall(sent)
            while octets := client.recv(1 << 16):
                received += octets
    except ConnectionResetError:
        received += RESET
    return received


def test_it_carries_everything_unless_told(server: RunningOddServer) -> None:
    """Both ways, and both ends; what was carried is counted."""
    with cutting_proxy((server.host, server.port)) as proxy:
        assert talk(proxy) == TALK
        server.settle()
        carried = proxy.connections[0]
    assert (carried.server_octets, carried.client_octets) == (len(TALK), len(b"NOOP\r\nQUIT\r\n"))
    assert not carried.is_cut


@pytest.mark.parametrize("count", range(len(TALK) + 1))
def test_it_cuts_what_the_server_says(server: RunningOddServer, count: int) -> None:
    """Exactly so many octets come, and then FIN; the server sees the end too."""
    with cutting_proxy((server.host, server.port), after_server_octets=count) as proxy:
        assert talk(proxy) == TALK[:count]
        server.settle()
        assert proxy.connections[0].is_cut


@pytest.mark.parametrize("count", range(7))
def test_it_cuts_what_the_client_says(server: RunningOddServer, count: int) -> None:
    """Exactly so many octets arrive at the server."""
    with cutting_proxy((server.host, server.port), after_client_octets=count) as proxy:
        talk(proxy)
        server.settle()
        assert proxy.connections[0].client_octets == count
    assert server.sessions[0].words == ([b"NOOP"] if count == len(b"NOOP\r\n") else [])


def test_it_resets(server: RunningOddServer) -> None:
    """RST after the octets."""
    target = server.host, server.port
    with cutting_proxy(target, after_server_octets=5, ending=Ending.RESET) as proxy:
        assert talk(proxy) in {GREETING[:5] + RESET, RESET}  # the kernel may drop what is unread
        server.settle()
        assert proxy.connections[0].server_octets == len(b"+OK o")


def test_it_falls_silent(server: RunningOddServer) -> None:
    """Nothing comes any more and nobody is told; when the client leaves, the server hears it."""
    target = server.host, server.port
    with cutting_proxy(target, after_server_octets=5, ending=Ending.SILENCE) as proxy:
        with socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as client:
            assert b"".join(client.recv(1) for _ in range(5)) == GREETING[:5]
            client.sendall(b"NOOP\r\n")
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)
        server.settle()
    assert server.sessions[0].words in ([], [b"NOOP"])


def test_it_cuts_so_many_connections_and_no_more(server: RunningOddServer) -> None:
    """The next attempt gets through: what a retry meets."""
    with cutting_proxy((server.host, server.port), after_server_octets=0, times=1) as proxy:
        assert [talk(proxy), talk(proxy)] == [b"", TALK]


def test_nobody_behind_it_ends_the_connection() -> None:
    """A server that is not there is an end without an octet, and no hanging."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with cutting_proxy(closed.getsockname()) as proxy:
            assert talk(proxy) in {b"", RESET}
