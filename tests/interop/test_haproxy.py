"""A real HAProxy in front: the site sees, counts and records the client, not the proxy."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.harness.client import NAME
from tests.harness.programs import DEADLINE_S, Background, find_program, free_ports, open_folder
from tests.harness.site import PASSWORD, RunningSite, running_site

SETTINGS = """
[[listen]]
service = "pop3s"
address = "127.0.0.2:0"
allow = ["127.9.0.0/16", "::1"]
proxy_from = ["127.0.0.1"]
"""
"""`allow` has no proxy in it: it is asked about the client."""

CONFIGURATION = """
global
    log stdout format raw local0

defaults
    mode tcp
    log global
    option tcplog
    timeout connect 10s
    timeout client 60s
    timeout server 60s

listen version1
    bind 127.0.0.1:{ports[0]}
    bind [::1]:{ports[0]}
    server site {site} source 127.0.0.1 send-proxy

listen version2
    bind 127.0.0.1:{ports[1]}
    bind [::1]:{ports[1]}
    server site {site} source 127.0.0.1 send-proxy-v2 check inter 200ms
"""

VERSIONS = pytest.mark.parametrize("version", [1, 2])
CLIENTS = pytest.mark.parametrize("source", ["127.9.8.7", "::1"])


@dataclass(frozen=True, slots=True)
class Proxied:
    """A site behind HAProxy."""

    site: RunningSite
    haproxy: Background
    ports: tuple[int, int]
    """By the version of the protocol that is spoken to the site."""

    @contextlib.contextmanager
    def call(self, version: int, source: str) -> Iterator[socket.socket]:
        """Connect to HAProxy from an address of this machine."""
        host = "::1" if ":" in source else "127.0.0.1"
        to = host, self.ports[version - 1]
        with socket.create_connection(to, DEADLINE_S, source_address=(source, 0)) as called:
            yield called


@pytest.fixture(scope="module")
def proxied() -> Iterator[Proxied]:
    program = find_program("haproxy")
    with open_folder() as folder, running_site(folder / "site", settings_more=SETTINGS) as site:
        site.add_account("carol")
        one, two = (port.number for port in free_ports(2))
        configuration = folder / "haproxy.cfg"
        behind = _listens_at(site, "pop3s 127.0.0.2:")
        configuration.write_text(CONFIGURATION.format(ports=(one, two), site=behind))
        haproxy = Background((program, "-W", "-db", "-f", configuration))
        try:
            haproxy.wait_until_ready("Loading success")
            yield Proxied(site, haproxy, (one, two))
        finally:
            haproxy.stop()


def _listens_at(site: RunningSite, start: str) -> str:
    """Return the address of the listener that is for proxies."""
    [line] = [line for line in site.log.splitlines() if line.startswith(f"listening {start}")]
    return line.rpartition(" ")[2]


def _line_with(site: RunningSite, words: str) -> str:
    """Return the first line of the site's log with these words, now or when it is written."""
    return site._serving.wait_for(lambda line: words in line, words)


def _log_in(called: socket.socket, ca: Path) -> list[bytes]:
    """Log in under TLS that ends at the site, leave, and return the answers."""
    context = ssl.create_default_context(cafile=ca)
    with context.wrap_socket(called, server_hostname=NAME) as secured:
        secured.sendall(f"USER carol\r\nPASS {PASSWORD}\r\nQUIT\r\n".encode())
        answers = b""
        while piece := secured.recv(1 << 16):
            answers += piece
    return answers.splitlines()


@VERSIONS
@CLIENTS
def test_the_clients_own_address_is_on_record(proxied: Proxied, version: int, source: str) -> None:
    """Address and port, as the client itself has them."""
    with proxied.call(version, source) as called:
        port = called.getsockname()[1]
        answers = _log_in(called, proxied.site.ca)
    assert [answer[:3] for answer in answers] == [b"+OK"] * 4
    peer = f"[{source}]:{port}" if ":" in source else f"{source}:{port}"
    line = _line_with(proxied.site, f"peer={peer}")
    assert "login accepted" in line


@VERSIONS
def test_allow_is_asked_about_the_client(proxied: Proxied, version: int) -> None:
    """A client that `allow` does not have gets no octet, though its proxy is believed."""
    source = f"127.10.0.{version}"  # an address is told once in a while only
    with proxied.call(version, source) as called:
        port = called.getsockname()[1]
        assert called.recv(1) == b""
    assert "connection refused" in _line_with(proxied.site, f"peer={source}:{port}")


def test_who_goes_around_the_proxy_cannot_say_who_he_is(proxied: Proxied) -> None:
    """A header from a stranger is garbage on a port that speaks TLS."""
    host, _, port = _listens_at(proxied.site, "pop3s 127.0.0.2:").rpartition(":")
    to = host, int(port)
    with socket.create_connection(to, DEADLINE_S, source_address=("127.9.0.1", 0)) as called:
        called.sendall(b"PROXY TCP4 127.9.8.7 127.9.8.7 1 2\r\n")
        assert b"OK" not in called.recv(100)


def test_haproxys_own_checks_find_the_site_well(proxied: Proxied) -> None:
    """They come with LOCAL, which names no client."""
    with proxied.call(2, "127.9.8.7") as called:
        _log_in(called, proxied.site.ca)
    assert "DOWN" not in proxied.haproxy.log
