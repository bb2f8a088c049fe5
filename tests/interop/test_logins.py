"""Real programs log in in every way that there is, against a server with its door as it comes."""

import base64
import hashlib
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc import jwt
from joserfc.jwk import ECKey
from scramp import ScramClient  # type: ignore[import-untyped]  # ships no types
from tests.harness.client import NAME, WireClient
from tests.harness.programs import find_program, open_folder, run
from tests.harness.site import PASSWORD, RunningSite, running_site

from mailkeep import app
from mailkeep.tls import server_end_point

ISSUER, AUDIENCE = "https://id.example.test", "mail.example.test"
MESSAGE = b"Subject: one\n\nthe one message\n"
WIRE = MESSAGE.replace(b"\n", b"\r\n")

_NOW = datetime.now(UTC)
_LONG = timedelta(days=1)


@dataclass
class Ways:
    """A site that offers everything, with one account and all that proves it."""

    site: RunningSite
    folder: Path
    signing: ECKey
    device: str
    certificate: Path
    key: Path
    name: str = "alice"
    address: str = field(default="alice@mail.example.test")

    def token(self, **changed: object) -> str:
        """Return a token that is good, but for what is changed."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": now + 600,
            "iat": now,
            "email": self.address,
        } | changed
        return jwt.encode({"alg": "ES256", "kid": "one"}, claims, self.signing)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    """Serve such a site."""
    with open_folder() as folder:
        signing = ECKey.generate_key("P-256", {"kid": "one"})
        keys = folder / "keys.json"
        keys.write_text(json.dumps({"keys": [signing.as_dict(private=False)]}))
        make_client_certificate(folder)
        settings = f"""
[tls]
client_ca = "{folder / "ca.pem"}"

[login]
scram_main = true

[oauth]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
keys = "{keys}"
configuration = "{ISSUER}/.well-known/openid-configuration"
"""
        with running_site(folder / "site", settings_more=settings) as site:
            with app.open_accounts(site.site) as directory:
                address = site.site.address(site.add_account("alice"))
                made = directory.devices.add(address, "reader")
                certificate = x509.load_pem_x509_certificate((folder / "client.pem").read_bytes())
                directory.devices.add_certificate(
                    address, "card", certificate.fingerprint(SHA256()).hex()
                )
            site.tell_changed()
            site.deliver("alice", MESSAGE)
            yield Ways(
                site,
                folder,
                signing,
                made.password.reveal().decode(),
                folder / "client.pem",
                folder / "client.key",
            )


def make_client_certificate(folder: Path) -> None:
    """Make an authority for clients, and one client's certificate and key."""
    authority_key, client_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority for clients")])
    client_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice's card")])
    authority = (
        x509.CertificateBuilder()
        .subject_name(authority_name)
        .issuer_name(authority_name)
        .public_key(authority_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - _LONG)
        .not_valid_after(_NOW + _LONG)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, SHA256())
    )
    client = (
        x509.CertificateBuilder()
        .subject_name(client_name)
        .issuer_name(authority_name)
        .public_key(client_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - _LONG)
        .not_valid_after(_NOW + _LONG)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority_key, SHA256())
    )
    (folder / "ca.pem").write_bytes(authority.public_bytes(Encoding.PEM))
    (folder / "client.pem").write_bytes(client.public_bytes(Encoding.PEM))
    (folder / "client.key").write_bytes(
        client_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def mpop(ways: Ways, mechanism: str, secret: str | None, *more: str) -> bytes:
    """Fetch everything with mpop and return what it brought."""
    shutil.rmtree(ways.folder / "maildir", ignore_errors=True)
    for part in ("tmp", "new", "cur"):
        (ways.folder / "maildir" / part).mkdir(parents=True)
    lines = [
        "account default",
        "host localhost",
        f"port {ways.site.pop3s.number}",
        "tls on",
        "tls_starttls off",
        f"tls_trust_file {ways.site.ca}",
        f"user {ways.name}",
        f"auth {mechanism}",
        "keep on",
        "received_header off",
        f"delivery maildir {ways.folder / 'maildir'}",
        f"uidls_file {ways.folder / 'uidls'}",
        *more,
    ]
    if secret is not None:
        lines.append(f"password {secret}")
    (ways.folder / "uidls").unlink(missing_ok=True)
    settings = ways.write("mpoprc", "\n".join(lines) + "\n")
    run((find_program("mpop"), "--file", settings, "--quiet"))
    [path] = (ways.folder / "maildir" / "new").iterdir()
    return path.read_bytes()


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "user"])
@pytest.mark.parametrize("credential", ["device", "main password"])
def test_mpop_logs_in_with_a_password(ways: Ways, mechanism: str, credential: str) -> None:
    """A device's password and the main one, each in clear under TLS and with SCRAM."""
    secret = ways.device if credential == "device" else PASSWORD
    assert mpop(ways, mechanism, secret) == MESSAGE


def test_mpop_scrams_with_a_device_password_typed_without_hyphens(ways: Ways) -> None:
    """Spaces and hyphens are ignored on entry; SCRAM's client hashes what was typed."""
    assert mpop(ways, "scram-sha-256", ways.device.replace("-", "")) == MESSAGE


def test_mpop_logs_in_with_a_token(ways: Ways) -> None:
    """OAUTHBEARER (RFC 7628)."""
    assert mpop(ways, "oauthbearer", ways.token()) == MESSAGE


def test_mpop_logs_in_with_a_certificate(ways: Ways) -> None:
    """EXTERNAL (RFC 4422 appendix A): a device that is a client certificate."""
    more = (f"tls_cert_file {ways.certificate}", f"tls_key_file {ways.key}")
    assert mpop(ways, "external", None, *more) == MESSAGE


def curl(ways: Ways, token: str) -> subprocess.CompletedProcess[bytes]:
    return run(
        (
            find_program("curl"),
            "-sS",
            "--cacert",
            ways.site.ca,
            "--config",
            ways.write("curlrc", f'user = "{ways.name}"\noauth2-bearer = "{token}"\n'),
            "--login-options",
            "AUTH=OAUTHBEARER",
            f"pop3s://localhost:{ways.site.pop3s.number}/1",
        ),
        check=False,
    )


def test_curl_logs_in_with_a_token(ways: Ways) -> None:
    """OAUTHBEARER as curl sends it."""
    fetched = curl(ways, ways.token())
    assert fetched.stdout == WIRE, fetched.stderr


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(time.time()) - 300},
        {"iss": "https://elsewhere.example.test"},
        {"aud": "another"},
        {"email": "bob@mail.example.test"},
    ],
    ids=["expired", "issuer", "audience", "somebody else"],
)
def test_curl_is_told_that_a_token_is_not_good(ways: Ways, changed: dict[str, object]) -> None:
    """The error dance of RFC 7628 section 3.2.3 ends in a refused login, not in a hang."""
    login_denied = 67
    assert curl(ways, ways.token(**changed)).returncode == login_denied


def test_scramp_binds_to_the_certificate(tmp_path: Path) -> None:
    """SCRAM-SHA-256-PLUS with tls-server-end-point (RFC 5929 section 4), where it is offered."""
    with running_site(tmp_path / "site", settings_more="[login]\nscram_plus = true\n") as site:
        with app.open_accounts(site.site) as directory:
            address = site.site.address(site.add_account("alice"))
            password = directory.devices.add(address, "reader").password.reveal().decode()
        site.tell_changed()
        end_point = server_end_point(certificate_of(site))
        assert end_point is not None
        for is_bound_well in (True, False):
            binding = end_point if is_bound_well else hashlib.sha256(b"another").digest()
            answer = scram_plus(site, password, binding)
            assert answer.startswith(b"+OK" if is_bound_well else b"-ERR"), answer


def certificate_of(site: RunningSite) -> bytes:
    """Return the server's certificate, DER."""
    pem = (site.folder / "tls" / "server.pem").read_text()
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END") + len("-----END CERTIFICATE-----")])


def scram_plus(site: RunningSite, password: str, end_point: bytes) -> bytes:
    """Log in with scramp's client and return the answer to the whole exchange."""
    mechanisms = ["SCRAM-SHA-256-PLUS"]
    client = ScramClient(
        mechanisms, "alice", password, channel_binding=("tls-server-end-point", end_point)
    )
    with WireClient(site.pop3s) as wire:
        wire.start_tls(site.ca)
        wire.read_ok()
        assert b" SCRAM-SHA-256-PLUS " in b" ".join(capabilities(wire)) + b" "
        first = base64.b64encode(client.get_client_first().encode())
        wire.send(b"AUTH SCRAM-SHA-256-PLUS " + first + b"\r\n")
        client.set_server_first(base64.b64decode(wire.read_line()[2:]).decode())
        wire.send(base64.b64encode(client.get_client_final().encode()) + b"\r\n")
        answer = wire.read_line()
        if not answer.startswith(b"+ "):
            return answer
        client.set_server_final(base64.b64decode(answer[2:]).decode())
        wire.send(b"\r\n")
        return wire.read_line()


def capabilities(wire: WireClient) -> list[bytes]:
    wire.command(b"CAPA")
    return wire.read_body().splitlines()


def test_a_client_without_a_certificate_is_served_all_the_same(ways: Ways) -> None:
    """The certificate is asked for, not demanded; EXTERNAL is offered only to who showed one."""
    context = ssl.create_default_context(cafile=ways.site.ca)
    with WireClient(ways.site.pop3s) as wire:
        wire.start_tls(ways.site.ca)
        wire.read_ok()
        assert not any(b"EXTERNAL" in line for line in capabilities(wire))
    context.load_cert_chain(ways.certificate, ways.key)
    shown = run(
        (
            find_program("openssl"),
            *("s_client", "-quiet", "-connect", f"localhost:{ways.site.pop3s.number}"),
            *("-CAfile", ways.site.ca, "-cert", ways.certificate, "-key", ways.key),
            *("-servername", NAME),
        ),
        stdin=b"CAPA\r\nQUIT\r\n",
    )
    assert b"SASL EXTERNAL SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN" in shown.stdout
