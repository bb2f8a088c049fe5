"""Whom the client trusts, what it agrees to, and what it says about files that it cannot use."""

import ssl
from pathlib import Path

import pytest
from tests.tls.meeting import meet
from tests.tls.peer import hello_of

from mailkeep.tls import (
    CertificateProblem,
    CertificateRefused,
    ClientChannel,
    TlsChannel,
    TlsFailed,
    client_context,
    server_context,
)
from mailkeep.tls.client_hello import HelloReader

HOST = "mail.example.com"


@pytest.fixture
def system(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site's authority is the only one that the system knows (openssl-env(7))."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@pytest.mark.usefixtures("system")
def test_the_systems_authorities_are_trusted(context: ssl.SSLContext) -> None:
    """Without a setting a public certificate verifies."""
    client = ClientChannel(client_context(), HOST)
    meet(client, TlsChannel(context))
    assert client.established


@pytest.mark.usefixtures("system")
def test_a_users_file_comes_on_top(context: ssl.SSLContext, rsa_folder: Path) -> None:
    """A private authority does not take the public ones away."""
    both = client_context(authorities=rsa_folder / "server.pem")
    private = server_context(
        rsa_folder / "server.pem", rsa_folder / "server.key", ssl.TLSVersion.TLSv1_2
    )
    for server in (context, private):
        client = ClientChannel(both, HOST)
        meet(client, TlsChannel(server))
        assert client.established


@pytest.mark.usefixtures("system")
def test_with_pins_alone_no_authority_is_loaded() -> None:
    """They take 30 ms and would vouch for nothing."""
    context = client_context(verify=False)
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname
    assert context.cert_store_stats()["x509"] == 0


def test_verification_is_what_nobody_has_to_ask_for(folder: Path) -> None:
    """RFC 8314 section 4.2: certificate and name."""
    context = client_context(authorities=folder / "ca.pem")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_servers_own_certificate_may_be_the_authority(
    context: ssl.SSLContext, folder: Path
) -> None:
    """Whoever saved just this one trusts it, whoever issued it (X509_V_FLAG_PARTIAL_CHAIN)."""
    own = client_context(authorities=folder / "server.pem")
    client = ClientChannel(own, HOST)
    meet(client, TlsChannel(context))
    assert client.established
    with pytest.raises(CertificateRefused, match=r"not for other\.example"):
        meet(ClientChannel(own, "other.example"), TlsChannel(context))


def test_the_sites_authority_holds_under_the_strictest_rules(
    context: ssl.SSLContext, folder: Path
) -> None:
    """A client that asks for RFC 5280's every field accepts what `init` has made."""
    strict = client_context(authorities=folder / "ca.pem")
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    client = ClientChannel(strict, HOST)
    meet(client, TlsChannel(context))
    assert client.established


def test_versions_suites_and_options(context: ssl.SSLContext) -> None:
    """RFC 9325: TLS 1.2 floor, the server's own suites, no compression, no renegotiation."""
    client = client_context(verify=False)
    assert client.minimum_version is ssl.TLSVersion.TLSv1_2
    assert {suite["name"] for suite in client.get_ciphers()} == {
        suite["name"] for suite in context.get_ciphers()
    }
    assert client.options & ssl.OP_NO_COMPRESSION
    assert client.options & ssl.OP_NO_RENEGOTIATION
    assert client.security_level >= 2  # no RSA below 2048 bits, no SHA-1 signatures


def test_minimum_13_refuses_a_server_of_12(context: ssl.SSLContext) -> None:
    """The user's `minimum` is kept."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    strict = client_context(verify=False, minimum=ssl.TLSVersion.TLSv1_3)
    client, server = ClientChannel(strict, HOST), TlsChannel(context)
    with pytest.raises(TlsFailed, match="unsupported protocol"):
        meet(client, server)
    with pytest.raises(TlsFailed, match="protocol version"):
        client.receive(server.output())


@pytest.mark.parametrize("version", [ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1])
def test_a_minimum_below_12_is_no_setting(version: ssl.TLSVersion) -> None:
    """RFC 8996: there is no way to switch old versions on."""
    with pytest.raises(ValueError, match=r"1\.2"):
        client_context(minimum=version, verify=False)


def test_no_application_protocol_is_named() -> None:
    """A front end that knows others must refuse it (RFC 7301 section 3.2); nobody needs it."""
    hello = HelloReader().feed(hello_of(client_context(verify=False)))
    assert hello is not None
    assert hello.protocols is None


def test_arguments_without_meaning_are_refused(folder: Path) -> None:
    """Who gives them believes in something that will not happen."""
    with pytest.raises(ValueError, match="verifies"):
        client_context(authorities=folder / "ca.pem", verify=False)
    with pytest.raises(ValueError, match="certificate"):
        client_context(key=folder / "server.key", verify=False)


def test_files_that_cannot_be_used_are_named(folder: Path, tmp_path: Path) -> None:
    """Path, reason and next step, as for the server's own."""
    empty, der = tmp_path / "empty.pem", tmp_path / "ca.der"
    empty.write_bytes(b"")
    der.write_bytes(ssl.PEM_cert_to_DER_cert((folder / "ca.pem").read_text()))
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for path in (empty, der, broken, folder / "ca.key", tmp_path / "none.pem", tmp_path):
        with pytest.raises(CertificateProblem) as refused:
            client_context(authorities=path)
        assert refused.value.path == path
        assert refused.value.hint


def test_a_client_certificate_without_its_key_is_named(folder: Path) -> None:
    """The key may be in the certificate's file; here it is not, or is another's."""
    with pytest.raises(CertificateProblem, match=r"server\.pem"):
        client_context(certificate=folder / "server.pem", verify=False)
    with pytest.raises(CertificateProblem, match="mismatch"):
        client_context(certificate=folder / "server.pem", key=folder / "ca.key", verify=False)
