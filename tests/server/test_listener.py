"""Who may come in, under what protection, and how many at once: the decisions alone."""

import resource
import socket
from contextlib import closing

import pytest

from mailkeep.pop3 import Security
from mailkeep.server import Listener
from mailkeep.server.connection import source_of
from mailkeep.server.kernel import (
    DESCRIPTORS_A_CONNECTION,
    MOST_DESCRIPTORS,
    RESERVED_DESCRIPTORS,
    capacity_under,
    end_dead_peers,
    raise_descriptor_limit,
)
from mailkeep.site import Endpoint, Listen, Networks, Service

ANYWHERE = Endpoint("0.0.0.0", 0)  # noqa: S104  # nothing is bound


@pytest.mark.parametrize(
    ("connections", "descriptors", "capacity"),
    [
        (10_000, 1 << 20, 10_000),
        (10_000, 1024, (1024 - RESERVED_DESCRIPTORS) // DESCRIPTORS_A_CONNECTION),
        (0, 1024, (1024 - RESERVED_DESCRIPTORS) // DESCRIPTORS_A_CONNECTION),
        (5, 1024, 5),
        (10_000, RESERVED_DESCRIPTORS, 1),
        (10_000, 10, 1),
        (0, 0, 1),
    ],
)
def test_capacity_stays_well_under_the_descriptors(
    connections: int, descriptors: int, capacity: int
) -> None:
    """A connection needs its socket and a message; the process needs some for itself."""
    assert capacity_under(connections, descriptors) == capacity


def test_the_soft_limit_of_descriptors_is_raised() -> None:
    """1024 is a default for programs that use select(2); the hard limit is the operator's word."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        assert raise_descriptor_limit() == min(hard, MOST_DESCRIPTORS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_forbidden_limit_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python says ValueError where the kernel says EPERM; the soft limit stands."""

    def forbid(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", forbid)
    assert raise_descriptor_limit() == 256


@pytest.mark.parametrize(
    ("service", "peer", "security"),
    [
        (Service.POP3S, "10.1.2.3", Security.TLS),
        (Service.POP3, "10.1.2.3", Security.STLS_FIRST),
        (Service.POP3, "10.9.0.1", Security.CLEARTEXT_ALLOWED),
        (Service.POP3, "::ffff:10.9.0.1", Security.CLEARTEXT_ALLOWED),
        (Service.POP3, "::ffff:10.1.2.3", Security.STLS_FIRST),
        (Service.POP3, "fe80::1%eth0", Security.CLEARTEXT_ALLOWED),
        (Service.POP3, "192.0.2.1", None),
        (Service.POP3, "::ffff:192.0.2.1", None),
        (Service.POP3, "2001:db8::1", None),
        (Service.POP3S, "192.0.2.1", None),
    ],
)
def test_the_address_decides_what_may_be_said(
    service: Service, peer: str, security: Security | None
) -> None:
    """RFC 8314 section 4.1: no password in clear, but from a network that the operator named."""
    cleartext = ("10.9.0.0/16", "fe80::/10") if service is Service.POP3 else ()
    settings = Listen(
        service=service,
        address=ANYWHERE,
        allow=Networks(("10.0.0.0/8", "fe80::/10")),
        cleartext_from=Networks(cleartext),
    )
    with closing(socket.socket()) as unused:
        assert Listener(settings, unused).security_for(source_of(Endpoint(peer, 1))) is security


@pytest.mark.parametrize("seconds", [1, 5, 6, 10, 60, 7200])
def test_a_dead_peer_is_found_in_time(seconds: int) -> None:
    """RFC 5482: idle time and all probes together take no longer than was asked for."""
    with closing(socket.socket()) as made:
        end_dead_peers(made, seconds)
        idle, interval, probes, user_ms = (
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
        )
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert idle + interval * probes <= max(seconds, 4)  # the kernel's steps are whole seconds
    assert user_ms == seconds * 1000


def test_no_limit_sets_no_option() -> None:
    """0 leaves the kernel's own timers."""
    with closing(socket.socket()) as made:
        end_dead_peers(made, 0)
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


@pytest.mark.parametrize(
    ("host", "told", "address", "prefix"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::7", "2001:db8::7", "2001:db8::7", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::1%eth0", "fe80::1", "fe80::/64"),
    ],
)
def test_a_caller_is_known_by_its_address(host: str, told: str, address: str, prefix: str) -> None:
    """An IPv4 client of an IPv6 socket as itself (RFC 4291 section 2.5.5.2); a scope is no part."""
    with closing(socket.socket()) as unused:
        caller = Listener(Listen(service=Service.POP3S, address=ANYWHERE), unused).caller(host)
    assert (caller.host, caller.address, caller.prefix) == (told, address, prefix)
    assert caller.source == source_of(Endpoint(address, 1))
    assert caller.security is Security.TLS
    assert not caller.is_proxy


def test_a_proxy_is_one_by_its_address() -> None:
    """Only from there is a PROXY header believed."""
    settings = Listen(service=Service.POP3S, address=ANYWHERE, proxy_from=Networks(("10.0.0.0/8",)))
    with closing(socket.socket()) as unused:
        listener = Listener(settings, unused)
        hosts = ("10.1.2.3", "::ffff:10.1.2.3", "192.0.2.7")
        assert [listener.caller(host).is_proxy for host in hosts] == [True, True, False]
