"""What the server agrees to: versions, suites, application protocols, and nothing that is old."""

import ssl
import warnings
from pathlib import Path

import pytest
from tests.tls.peer import MemoryClient, Split, bytewise, carry, whole
from tests.tls.wire import run_client, serving

from mailkeep.tls import AlpnRefused, CertificateProblem, TlsChannel, TlsFailed, server_context

SPLITS = pytest.mark.parametrize("split", [whole, bytewise])

GOOD_SUITES = {
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
}


def weak_client(suites: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(f"{suites}:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def refusal(client: MemoryClient, channel: TlsChannel) -> str:
    """Return why the client was refused, as the client sees it."""
    client.advance()
    with pytest.raises(TlsFailed):
        channel.receive(client.output())
    with pytest.raises(ssl.SSLError) as refused:
        client.feed(channel.output())
    return refused.value.reason


def test_the_suites_are_six_and_the_three_of_tls_13(context: ssl.SSLContext) -> None:
    """ECDHE with AES-GCM or ChaCha20 (RFC 9325 section 4.2)."""
    names = {suite["name"] for suite in context.get_ciphers()}
    assert {name for name in names if not name.startswith("TLS_")} == GOOD_SUITES


@pytest.mark.parametrize("name", ["TLSv1", "TLSv1_1"])
def test_old_versions_are_refused(context: ssl.SSLContext, name: str) -> None:
    """TLS 1.0 and 1.1 MUST NOT be used (RFC 8996)."""
    old = weak_client("ALL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion[name]
    reason = refusal(MemoryClient(old, None), TlsChannel(context))
    assert reason == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_minimum_13_refuses_12(folder: Path) -> None:
    """The operator's `minimum` is kept."""
    strict = server_context(folder / "server.pem", folder / "server.key", ssl.TLSVersion.TLSv1_3)
    reason = refusal(MemoryClient(weak_client("ECDHE"), None), TlsChannel(strict))
    assert reason == "TLSV1_ALERT_PROTOCOL_VERSION"


@pytest.mark.parametrize("version", [ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1])
def test_a_minimum_below_12_is_no_setting(folder: Path, version: ssl.TLSVersion) -> None:
    """RFC 8996: there is no way to switch old versions on."""
    with pytest.raises(ValueError, match=r"1\.2"):
        server_context(folder / "server.pem", folder / "server.key", version)


@pytest.mark.parametrize(
    "suites",
    [
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA256",
        "AES128-GCM-SHA256",
        "DHE-RSA-AES128-GCM-SHA256",
    ],
    ids=["CBC", "CBC with SHA-256", "RSA key exchange", "finite-field DHE"],
)
def test_suites_without_forward_secrecy_or_aead_are_refused(rsa_folder: Path, suites: str) -> None:
    """RFC 9325 section 4.1 (no RSA key exchange) and 4.2 (AEAD)."""
    context = server_context(
        rsa_folder / "server.pem", rsa_folder / "server.key", ssl.TLSVersion.TLSv1_2
    )
    good = MemoryClient(weak_client("ECDHE-RSA-AES128-GCM-SHA256"), None)
    carry(good, TlsChannel(context))
    assert good.established
    reason = refusal(MemoryClient(weak_client(suites), None), TlsChannel(context))
    assert reason.endswith("ALERT_HANDSHAKE_FAILURE")


def test_the_order_of_suites_is_the_clients(context: ssl.SSLContext) -> None:
    """The client knows whether it has AES in hardware (Mozilla's guideline)."""
    suites = ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"]
    for order in (suites, suites[::-1]):
        client = MemoryClient(weak_client(":".join(order)), None)
        carry(client, TlsChannel(context))
        agreed = client.tls.cipher()
        assert agreed
        assert agreed[0] == order[0]


def test_compression_is_off(context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    """Compression gives away what it compresses (RFC 9325 section 3.3)."""
    client_context.options &= ~ssl.OP_NO_COMPRESSION
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = MemoryClient(client_context)
    carry(client, TlsChannel(context))
    assert client.tls.compression() is None
    assert context.options & ssl.OP_NO_COMPRESSION


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(["pop3"], "pop3"), (None, None), (["http/1.1", "pop3"], "pop3"), (["pop3", "imap"], "pop3")],
)
def test_pop3_or_nothing_is_a_fine_offer(
    context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    offered: list[str] | None,
    agreed: str | None,
) -> None:
    """RFC 7301 section 3.2: the server picks what both speak; no extension, no opinion."""
    if offered:
        client_context.set_alpn_protocols(offered)
    client, channel = MemoryClient(client_context), TlsChannel(context)
    carry(client, channel)
    assert channel.established
    assert client.tls.selected_alpn_protocol() == agreed


@SPLITS
@pytest.mark.parametrize(
    "offered", [["http/1.1"], ["h2", "http/1.1"], ["imap"], ["pop3s"], ["POP3"]]
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_another_protocol_is_refused_with_its_alert(
    context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    offered: list[str],
    version: ssl.TLSVersion,
    split: Split,
) -> None:
    """no_application_protocol is fatal (RFC 7301 section 3.2): a browser sent here stops."""
    client_context.set_alpn_protocols(offered)
    client_context.maximum_version = version
    client, channel = MemoryClient(client_context), TlsChannel(context)
    client.advance()
    *most, last = split(client.output())
    for piece in most:
        assert channel.receive(piece) == b""
    with pytest.raises(AlpnRefused):
        channel.receive(last)
    alert = channel.output()
    assert alert == bytes.fromhex("15030300020278")
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        client.feed(alert)
    assert channel.receive(b"more") == channel.close() == b""


@pytest.mark.parametrize("name", [None, "other.example.org"])
def test_an_unknown_name_gets_the_certificate_there_is(
    context: ssl.SSLContext, client_context: ssl.SSLContext, name: str | None
) -> None:
    """RFC 6066 section 3 lets the server go on; the client judges the certificate."""
    client_context.check_hostname = False
    client, channel = MemoryClient(client_context, name), TlsChannel(context)
    carry(client, channel)
    assert channel.established
    assert channel.server_name == name


async def test_renegotiation_is_refused(context: ssl.SSLContext, folder: Path) -> None:
    """A client's renegotiation costs the server a handshake each (RFC 9325 section 3.5)."""
    async with serving(context) as (port, wires):
        _, said = await run_client(
            "openssl",
            *("s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"),
            *("-CAfile", str(folder / "ca.pem"), "-verify_return_error"),
            behind=b"+OK ready\r\n",  # TLS 1.2 lets no data pass during a renegotiation
            typed=b"R\n",
        )
    assert b"RENEGOTIATING" in said
    assert b"no renegotiation" in said
    assert context.options & ssl.OP_NO_RENEGOTIATION  # OpenSSL before 3.0 would do it
    # The client ends it, not the server: its alert is what the server hears.
    assert "alert handshake failure" in str(wires[0].failure)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
    folder: Path, tmp_path: Path
) -> None:
    """OpenSSL would ask on the terminal and the server would stand still."""
    from cryptography.hazmat.primitives import serialization

    from mailkeep.tls.pem_files import read_key

    locked = tmp_path / "locked.key"
    locked.write_bytes(
        read_key(folder / "server.key").private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CertificateProblem, match="passphrase") as refused:
        server_context(folder / "server.pem", locked, ssl.TLSVersion.TLSv1_2)
    assert refused.value.path == locked
    assert "openssl pkey" in refused.value.hint
