"""Certificates of clients: whose are believed, which end the handshake, what resumption brings."""

import hashlib
import ssl
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.tls.meeting import Pair, authority_of, write_pair
from tests.tls.peer import MemoryClient, Split, bytewise, carry, whole
from tests.tls.wire import run_client, serving

from mailkeep.tls import CertificateProblem, TlsChannel, TlsFailed, server_context

SPLITS = pytest.mark.parametrize("split", [whole, bytewise])
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.fixture
def asking(folder: Path) -> ssl.SSLContext:
    """A server that asks clients for a certificate of the site's own authority."""
    pair = folder / "server.pem", folder / "server.key"
    return server_context(*pair, ssl.TLSVersion.TLSv1_2, folder / "ca.pem")


def showing(client_context: ssl.SSLContext, pair: Pair) -> ssl.SSLContext:
    client_context.load_cert_chain(pair.certificate, pair.key)
    return client_context


def hear_refusal(client: MemoryClient, channel: TlsChannel) -> str:
    """Return why the server refused; the client must learn it by an alert."""
    with pytest.raises(TlsFailed) as refused:
        carry(client, channel)
    assert not channel.established
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        client.feed(channel.output())
    return str(refused.value)


@SPLITS
@VERSIONS
def test_a_good_certificate_is_among_the_facts(
    asking: ssl.SSLContext,
    client_context: ssl.SSLContext,
    folder: Path,
    tmp_path: Path,
    now: datetime,
    version: ssl.TLSVersion,
    split: Split,
) -> None:
    """RFC 8446 section 4.4.2: the very octets that the client showed, and proved to own."""
    pair = write_pair(tmp_path, now, issuer=authority_of(folder), purpose=CLIENT)
    client_context.maximum_version = version
    client, channel = MemoryClient(showing(client_context, pair)), TlsChannel(asking)
    carry(client, channel, split)
    assert channel.facts.client_certificate == pair.der
    assert channel.facts.client_certificate_sha256 == hashlib.sha256(pair.der).hexdigest()


@VERSIONS
def test_a_client_without_a_certificate_is_served(
    asking: ssl.SSLContext, client_context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """Most mail programs have none; they log in with a password."""
    client_context.maximum_version = version
    client, channel = MemoryClient(client_context), TlsChannel(asking)
    carry(client, channel)
    assert channel.established
    assert channel.facts.client_certificate is None


def test_nobody_is_asked_unless_the_operator_said_so(
    context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    folder: Path,
    tmp_path: Path,
    now: datetime,
) -> None:
    """A browser's or a phone's list of certificates must not pop up for nothing."""
    pair = write_pair(tmp_path, now, issuer=authority_of(folder), purpose=CLIENT)
    client, channel = MemoryClient(showing(client_context, pair)), TlsChannel(context)
    carry(client, channel)
    assert channel.facts.client_certificate is None


@VERSIONS
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("self-signed", "self-signed certificate"),
        ("expired", "expired"),
        ("a server's", "unsuitable certificate purpose"),
    ],
)
def test_a_bad_certificate_fails_the_handshake_and_says_why(
    asking: ssl.SSLContext,
    client_context: ssl.SSLContext,
    folder: Path,
    tmp_path: Path,
    now: datetime,
    version: ssl.TLSVersion,
    bad: str,
    why: str,
) -> None:
    """RFC 8446 section 4.4.2.4: it is not taken for none at all."""
    pair = write_pair(
        tmp_path,
        now,
        issuer=None if bad == "self-signed" else authority_of(folder),
        purpose=SERVER if bad == "a server's" else CLIENT,
        life=timedelta(minutes=-1) if bad == "expired" else timedelta(days=1),
    )
    client_context.maximum_version = version
    client = MemoryClient(showing(client_context, pair))
    reason = hear_refusal(client, TlsChannel(asking))
    assert reason.startswith("the client's certificate is refused: ")
    assert why in reason


@VERSIONS
def test_no_session_without_a_certificate_ever_counts_as_one_with(
    asking: ssl.SSLContext,
    client_context: ssl.SSLContext,
    folder: Path,
    tmp_path: Path,
    now: datetime,
    version: ssl.TLSVersion,
) -> None:
    """Whatever is resumed, the facts are those of the handshake in which it was verified."""
    client_context.maximum_version = version
    first = MemoryClient(client_context)
    carry(first, TlsChannel(asking))
    pair = write_pair(tmp_path, now, issuer=authority_of(folder), purpose=CLIENT)
    second = MemoryClient(showing(client_context, pair))
    if first.tls.session is not None:
        second.tls.session = first.tls.session
    channel = TlsChannel(asking)
    carry(second, channel)
    assert channel.established
    resumed = second.tls.session_reused
    assert channel.facts.client_certificate == (None if resumed else pair.der)


@VERSIONS
def test_no_tickets_are_given_out_where_certificates_are_asked_for(
    asking: ssl.SSLContext, client_context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """A ticket would carry yesterday's verdict on a certificate past its end."""
    client_context.maximum_version = version
    client = MemoryClient(client_context)
    carry(client, TlsChannel(asking))
    assert client.tls.session is None or not client.tls.session.has_ticket


def test_files_that_hold_no_authority_are_told(folder: Path, tmp_path: Path) -> None:
    """The file, the reason and the next step."""
    pair = folder / "server.pem", folder / "server.key"
    (tmp_path / "empty.pem").write_bytes(b"")
    for name, reason in (("empty.pem", "holds no certificate"), ("missing.pem", "No such file")):
        with pytest.raises(CertificateProblem, match=reason) as problem:
            server_context(*pair, ssl.TLSVersion.TLSv1_2, tmp_path / name)
        assert problem.value.path == tmp_path / name
        assert problem.value.hint


async def test_openssl_shows_its_certificate_over_a_socket(
    asking: ssl.SSLContext, folder: Path, tmp_path: Path, now: datetime
) -> None:
    """A client that is not Python's."""
    pair = write_pair(tmp_path, now, issuer=authority_of(folder), purpose=CLIENT)
    async with serving(asking) as (port, wires):
        await run_client(
            "openssl",
            *("s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-no_ign_eof"),
            *("-CAfile", str(folder / "ca.pem"), "-verify_return_error"),
            *("-cert", str(pair.certificate), "-key", str(pair.key)),
            behind=b"+OK ready\r\n",
            typed=b"Q\n",
        )
        assert wires[0].channel.facts.client_certificate == pair.der
