"""What `doctor` looks at on the ports: free, ours, or somebody else's.

Whether the one who listens is this site is asked of the listener itself: it must show the site's
certificate. That also finds a server that has not taken a new one. Known limit: a listener of
figures shows no certificate, so it may be another site's.
"""

import http.client
import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_address

from mailkeep.cli.findings import Finding, note, ok, wrong
from mailkeep.pop3 import REPLY_LIMIT_OCTETS
from mailkeep.site import Endpoint, Listen, Service, Site

_ANSWER_WITHIN_S = 5.0
"""On the same machine; a server that takes longer is in trouble."""

_FIGURES_LIMIT_OCTETS = 1 << 20
"""Bounded labels make some tens of kilobytes."""

_EVERYBODY = Listen(service=Service.METRICS, address=Endpoint("127.0.0.1", 0)).allow

_PROXY_HEADER = b"PROXY UNKNOWN\r\n"
"""Proxies' own connections, to see whether a server is there, begin with it: `proxy-protocol.txt`
section 2.1."""


class _NotOurs(Exception):
    """Whoever listens does not answer as this service does."""


def check_ports(site: Site) -> Iterator[Finding]:
    """Look at every `[[listen]]`."""
    for listen in site.settings.listen:
        yield _check_port(site, listen)
        if listen.service is Service.METRICS:
            yield from _check_reach(listen)


def _check_port(site: Site, listen: Listen) -> Finding:
    name = f"{listen.service.value} {listen.address}"
    if not listen.address.port:
        return ok("ports", f"{name} takes any free port")
    here = _loopback_of(listen.address)
    try:
        with socket.create_connection((here.host, here.port), _ANSWER_WITHIN_S) as connection:
            if ip_address(here.host) not in listen.allow:
                return note("ports", f"{name} is taken, and `allow` keeps this machine from asking")
            return _ask(site, listen, connection)
    except ConnectionRefusedError:
        return _check_free(listen, name)
    except (OSError, _NotOurs) as failure:
        return wrong("ports", f"{name} is taken by something else ({failure})", _who(listen))


def _ask(site: Site, listen: Listen, connection: socket.socket) -> Finding:
    """Ask whoever listens whether it is this site.

    Raises:
        OSError, _NotOurs: it does not speak what it should.
    """
    name = f"{listen.service.value} {listen.address}"
    if listen.service is Service.METRICS:
        _expect_figures(connection)
        return ok("ports", f"{name} serves the figures of a Mailkeep")
    if ip_address(_loopback_of(listen.address).host) in listen.proxy_from:
        connection.sendall(_PROXY_HEADER)
    if _certificate_shown(connection, listen.service) == _first_certificate(site):
        return ok("ports", f"{name} is served with this site's certificate")
    return wrong(
        "ports",
        f"{name} is served with another certificate than the one in {site.certificate}",
        f"if it is this site's server, send it SIGHUP; otherwise {_who(listen)}",
    )


def _check_free(listen: Listen, name: str) -> Finding:
    """Nobody listens; look whether the server could."""
    family = socket.AF_INET6 if ":" in listen.address.host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            trial.bind((listen.address.host, listen.address.port))
        except PermissionError:
            return note(
                "ports",
                f"nobody serves {name}, and this user may not open a port under 1024",
                "let systemd open it: packaging/systemd has the socket units",
            )
        except OSError as failure:
            return wrong(
                "ports",
                f"{name} cannot be opened: {failure.strerror}",
                "`ip address` lists the addresses of this machine",
            )
    return ok("ports", f"{name} is free")


def _check_reach(listen: Listen) -> Iterator[Finding]:
    """Look whether strangers reach the figures: they tell who is attacked, and when to come."""
    address = ip_address(listen.address.host)
    if (address.is_unspecified or address.is_global) and listen.allow == _EVERYBODY:
        yield note(
            "metrics",
            f"everybody who reaches {listen.address} can read this site's figures",
            "listen on 127.0.0.1, or name Prometheus' network in `allow`",
        )


def _loopback_of(address: Endpoint) -> Endpoint:
    """Return where this machine reaches a listener that stands on every address."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # looked up, not bound
    return Endpoint(everywhere.get(address.host, address.host), address.port)


def _certificate_shown(connection: socket.socket, service: Service) -> bytes | None:
    """Return the certificate (DER) that the listener shows, over STLS on `pop3`.

    Raises:
        OSError, _NotOurs: it does not speak that.
    """
    if service is Service.POP3:
        _expect_ok(connection)
        connection.sendall(b"STLS\r\n")
        _expect_ok(connection)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # whatever it is, it is compared with ours
    with context.wrap_socket(connection) as encrypted:
        return encrypted.getpeercert(binary_form=True)


def _expect_ok(connection: socket.socket) -> None:
    line = b""
    while not line.endswith(b"\n") and len(line) < REPLY_LIMIT_OCTETS:
        octet = connection.recv(1)  # not one more: what follows may be TLS
        if not octet:
            break
        line += octet
    if not line.startswith(b"+OK"):
        raise _NotOurs("it does not speak POP3")


def _expect_figures(connection: socket.socket) -> None:
    """Ask for the figures as Prometheus does.

    Raises:
        OSError, _NotOurs: it has none of ours.
    """
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    try:
        with http.client.HTTPResponse(connection, method="GET") as response:
            response.begin()
            body = response.read(_FIGURES_LIMIT_OCTETS)
    except http.client.HTTPException as cause:
        raise _NotOurs("it does not speak HTTP") from cause
    if b"\nmailkeep_" not in b"\n" + body:
        raise _NotOurs("it has no figures of Mailkeep")


def _first_certificate(site: Site) -> bytes | None:
    """Return the certificate (DER) that the server should show."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        chain = x509.load_pem_x509_certificates(site.certificate.read_bytes())
    except (OSError, ValueError):
        return None  # another check says so
    return chain[0].public_bytes(Encoding.DER)


def _who(listen: Listen) -> str:
    return f"`ss -ltnp sport = :{listen.address.port}` names it"
