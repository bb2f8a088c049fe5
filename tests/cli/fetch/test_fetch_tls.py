"""Whom `mailkeep fetch` trusts: authorities, pins, client certificates, what it has seen before."""

import ipaddress
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.cli.conftest import Done, Run
from tests.cli.fetch.mailbox import Mailbox, mail, stored, subjects

from mailkeep.fetch.failures import FetchExit
from mailkeep.testing.odd_server import (
    Login,
    OddMailbox,
    OddSettings,
    RunningOddServer,
    running_odd_server,
)
from mailkeep.tls import fingerprints

BODY = b"Subject: one\r\n\r\nbody\r\n"
PASSWORD = Login().password


@dataclass(frozen=True, slots=True)
class Identity:
    """A self-signed certificate, its key in the same file, and its pins."""

    path: Path
    pin: str
    key_pin: str


def make_identity(path: Path, *names: x509.GeneralName) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, path.stem)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(pem)
    path.chmod(0o600)
    pins = fingerprints(certificate.public_bytes(serialization.Encoding.DER))
    return Identity(path, *(pin.hex() for pin in pins))


@pytest.fixture
def loopback(tmp_path: Path) -> Identity:
    """What a home server shows: self-signed, for its address."""
    return make_identity(
        tmp_path / "loopback.pem", x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    )


@pytest.fixture
def elsewhere(tmp_path: Path) -> Identity:
    """A certificate of another host."""
    return make_identity(tmp_path / "elsewhere.pem", x509.DNSName("elsewhere.example"))


def context_of(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.path)
    return context


class Fetching:
    """Fetches of one account, `alice@127.0.0.1`, from whatever server is there."""

    def __init__(self, run: Run, home: Path) -> None:
        self._run = run
        self.maildir = home / "Mail"

    def fetch(self, server: RunningOddServer, *arguments: str, scheme: str = "pop3s") -> Done:
        return self._run(
            "fetch",
            f"{scheme}://alice@127.0.0.1:{server.port}",
            "--to",
            f"maildir:{self.maildir}",
            "--password-stdin",
            *arguments,
            stdin=PASSWORD + b"\n",
        )


@pytest.fixture
def fetching(mailkeep: Run, home: Path) -> Fetching:
    return Fetching(mailkeep, home)


@contextmanager
def serving(identity: Identity | None, **settings: object) -> Iterator[RunningOddServer]:
    """Serve one message, with this certificate or in clear."""
    context = None if identity is None else context_of(identity)
    made = OddSettings(context=context, **settings)  # type: ignore[arg-type]  # by name
    with running_odd_server(OddMailbox.of(BODY), settings=made) as server:
        yield server


def said(server: RunningOddServer) -> bytes:
    """Return all that clients said to a server, TLS taken off."""
    server.settle()
    return b"\n".join(line for session in server.sessions for line in session.lines)


def test_an_unknown_authority_is_code_5(mailbox: Mailbox) -> None:
    """Certificates are always verified; no password is sent, nothing is stored."""
    words = ("fetch", mailbox.url, "--to", f"maildir:{mailbox.maildir}", "--password-stdin")
    mailbox.deliver(mail(1))
    done = mailbox.run(*words, stdin=b"x\n")
    assert done.code == FetchExit.TLS
    assert "the certificate of localhost is from an authority that is not trusted here" in done.err
    assert "hint: " in done.err
    assert stored(mailbox.maildir) == {}
    assert mailbox.fetch().code == 0  # the same with --ca


def test_a_certificate_of_another_host_is_code_5(fetching: Fetching, elsewhere: Identity) -> None:
    """Trusted or not, it must be for the host that was called (RFC 8314 section 5.1)."""
    with serving(elsewhere) as server:
        done = fetching.fetch(server, "--ca", str(elsewhere.path))
        assert done.code == FetchExit.TLS
        assert "the certificate is not for 127.0.0.1" in done.err
        assert said(server) == b""


def test_a_self_signed_certificate_needs_a_pin(fetching: Fetching, loopback: Identity) -> None:
    """Without one it is refused; with the certificate's or the key's SHA-256 it is trusted."""
    with serving(loopback) as server:
        refused = fetching.fetch(server)
        assert (refused.code, "self-signed" in refused.err) == (FetchExit.TLS, True)
        assert said(server) == b""
        assert fetching.fetch(server, "--pin", loopback.pin).code == 0
        assert fetching.fetch(server, "--pin", f"{loopback.key_pin.upper()}").code == 0
    assert subjects(fetching.maildir) == ["one"]


def test_a_pin_is_for_the_certificate_whatever_name_it_has(
    fetching: Fetching, elsewhere: Identity
) -> None:
    """Exactly this certificate is trusted, whoever signed it and whatever it says."""
    with serving(elsewhere) as server:
        assert fetching.fetch(server, "--pin", elsewhere.pin).code == 0


def test_a_wrong_pin_is_code_5_and_shows_the_right_one(
    fetching: Fetching, loopback: Identity, elsewhere: Identity
) -> None:
    """A renewed certificate can be compared with what its owner says; several pins may be given."""
    with serving(loopback) as server:
        done = fetching.fetch(server, "--pin", elsewhere.pin)
        assert (done.code, loopback.pin in done.err) == (FetchExit.TLS, True)
        assert said(server) == b""
        assert fetching.fetch(server, "--pin", elsewhere.pin, "--pin", loopback.pin).code == 0


def test_with_an_authority_a_pin_must_hold_too(mailbox: Mailbox, loopback: Identity) -> None:
    """`--ca` and `--pin`: both, so that neither weakens the other."""
    mailbox.deliver(mail(1))
    assert mailbox.fetch("--pin", loopback.pin).code == FetchExit.TLS
    probed = mailbox.run(
        "fetch", "probe", mailbox.url.replace(f"{mailbox.account}@", ""), "--json",
        "--ca", str(mailbox.site.ca),
    )  # fmt: skip
    right = json.loads(probed.out)["certificate"]["sha256"]
    assert mailbox.fetch("--pin", right).code == 0
    other = ("--ca", str(loopback.path), "--pin", right)
    done = mailbox.run(
        "fetch", mailbox.url, "--to", f"maildir:{mailbox.maildir}", "--password-stdin", *other,
        stdin=b"x\n",
    )  # fmt: skip
    assert done.code == FetchExit.TLS


@pytest.mark.parametrize("scheme", ["pop3s", "pop3"])
def test_a_client_certificate_is_shown_where_it_is_asked_for(
    fetching: Fetching, loopback: Identity, tmp_path: Path, scheme: str
) -> None:
    """`--client-certificate` with its key in the same file; without it the server refuses."""
    client = make_identity(tmp_path / "alice.pem", x509.DNSName("alice"))
    stls = scheme == "pop3"
    with serving(loopback, stls=stls) as server:
        context = context_of(loopback)
        context.load_verify_locations(client.path)
        context.verify_mode = ssl.CERT_REQUIRED
        server.server.context = context
        pin = ("--pin", loopback.pin)
        without = fetching.fetch(server, *pin, scheme=scheme)
        assert without.code == FetchExit.TLS, without.err
        assert PASSWORD not in said(server)
        shown = ("--client-certificate", str(client.path))
        assert fetching.fetch(server, *pin, *shown, scheme=scheme).code == 0
    assert subjects(fetching.maildir) == ["one"]


def test_a_file_of_authorities_that_is_not_there_is_code_2(mailbox: Mailbox) -> None:
    """The file is named; nobody is called."""
    missing = mailbox.home / "missing.pem"
    words = ("fetch", mailbox.url, "--to", "mbox:m", "--password-stdin", "--ca", missing)
    done = mailbox.run(*words, stdin=b"x\n")
    assert (done.code, str(missing) in done.err) == (FetchExit.WRONG, True)


def test_no_tls_where_there_was_tls_is_code_13(fetching: Fetching, loopback: Identity) -> None:
    """S-17: `--cleartext` on an account that had TLS, and no password is sent."""
    with serving(loopback, stls=True) as server:
        assert fetching.fetch(server, "--pin", loopback.pin, scheme="pop3").code == 0
    with serving(None) as server:
        done = fetching.fetch(server, "--cleartext", scheme="pop3")
        assert done.code == FetchExit.SUSPICIOUS
        assert "the connection was encrypted before" in done.err
        assert "--accept-change" in done.err
        assert said(server) == b""
        accepted = fetching.fetch(server, "--cleartext", "--accept-change", scheme="pop3")
        assert (accepted.code, "in clear text" in accepted.err) == (0, True)
        assert fetching.fetch(server, "--cleartext", scheme="pop3").code == 0  # it was accepted


def test_a_server_without_stls_gets_no_password(fetching: Fetching) -> None:
    """`pop3://` is STLS or nothing: exit code 5 (RFC 2595 section 4, S-17)."""
    with serving(None) as server:
        done = fetching.fetch(server, scheme="pop3")
        assert done.code == FetchExit.TLS, done.err
        assert PASSWORD not in said(server)


def test_no_scram_where_there_was_scram_is_code_13(fetching: Fetching, loopback: Identity) -> None:
    """S-60: a server that wants the password itself, and did not before, does not get it."""
    pin = ("--pin", loopback.pin)
    with serving(loopback, mechanisms=("SCRAM-SHA-256", "PLAIN")) as server:
        assert fetching.fetch(server, *pin).code == 0
        assert PASSWORD not in said(server)
    with serving(loopback, mechanisms=("PLAIN",)) as server:
        done = fetching.fetch(server, *pin)
        assert (done.code, "SCRAM" in done.err) == (FetchExit.SUSPICIOUS, True)
        assert all(word in {b"CAPA", b"QUIT"} for s in server.sessions for word in s.words)
        assert fetching.fetch(server, *pin, "--accept-change").code == 0
        assert fetching.fetch(server, *pin).code == 0


def test_a_pin_where_an_authority_had_signed_is_code_13(
    fetching: Fetching, loopback: Identity, elsewhere: Identity
) -> None:
    """What an authority vouched for does not become a pinned stranger without a word."""
    with serving(loopback) as server:
        assert fetching.fetch(server, "--ca", str(loopback.path)).code == 0
    with serving(elsewhere) as server:
        done = fetching.fetch(server, "--pin", elsewhere.pin)
        assert (done.code, "signed by an authority" in done.err) == (FetchExit.SUSPICIOUS, True)
        assert said(server) == b""
