"""The client's channel against the server's in memory, and against an old server on a socket."""

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.harness.programs import Background, find_program
from tests.tls.meeting import authority_of, exchange, meet, write_pair
from tests.tls.peer import Split, bytewise, whole

from mailkeep.tls import (
    CertificateRefused,
    ClientChannel,
    NotTls,
    TlsChannel,
    TlsFailed,
    client_context,
    server_context,
)
from mailkeep.tls.authority import create_authority, issue
from mailkeep.tls.pem_files import read_chain

HOST = "mail.example.com"
TLS12 = ssl.TLSVersion.TLSv1_2
SPLITS = pytest.mark.parametrize("split", [whole, bytewise])
VERSIONS = pytest.mark.parametrize("version", [TLS12, ssl.TLSVersion.TLSv1_3])


@pytest.fixture
def trusting(folder: Path) -> ssl.SSLContext:
    """A client's context that trusts the site's authority."""
    return client_context(authorities=folder / "ca.pem")


@pytest.fixture
def shaken(context: ssl.SSLContext, trusting: ssl.SSLContext) -> tuple[ClientChannel, TlsChannel]:
    client, server = ClientChannel(trusting, HOST), TlsChannel(context)
    meet(client, server)
    return client, server


def refusal(client: ClientChannel, server: TlsChannel) -> CertificateRefused:
    """Return why the client refuses the server's certificate, once the server has heard of it."""
    with pytest.raises(CertificateRefused) as refused:
        meet(client, server)
    with pytest.raises(TlsFailed, match="alert"):
        server.receive(client.output())
    assert not client.established
    assert not server.established
    return refused.value


@SPLITS
@VERSIONS
def test_a_session_from_hello_to_both_close_notify(
    context: ssl.SSLContext,
    trusting: ssl.SSLContext,
    folder: Path,
    version: ssl.TLSVersion,
    split: Split,
) -> None:
    """TLS 1.2 and 1.3 work however the octets are cut (RFC 8446 section 5.1)."""
    context.maximum_version = version
    client, server = ClientChannel(trusting, HOST), TlsChannel(context)
    assert meet(client, server, split) == (b"", b"")
    assert client.established
    assert client.version == version.name.replace("_", ".")
    assert "GCM" in client.cipher or "CHACHA20" in client.cipher
    assert ssl.DER_cert_to_PEM_cert(client.peer_certificate) == (folder / "server.pem").read_text()
    assert server.server_name == HOST
    heard = b"".join(map(client.receive, split(server.send(b"+OK ready\r\n"))))
    assert heard == b"+OK ready\r\n"
    assert exchange(client, server, client.send(b"QUIT\r\n"), split).server == b"QUIT\r\n"
    for piece in split(server.send(b"+OK bye\r\n") + server.close()):
        heard += client.receive(piece)
    assert heard == b"+OK ready\r\n+OK bye\r\n"
    assert client.peer_closed
    for piece in split(client.close()):
        server.receive(piece)
    assert server.peer_closed


@VERSIONS
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(1, 90_000), min_size=1), sent=st.binary(max_size=200_000))
def test_any_split_gives_the_same_plaintext(
    context: ssl.SSLContext,
    trusting: ssl.SSLContext,
    version: ssl.TLSVersion,
    sizes: list[int],
    sent: bytes,
) -> None:
    """A stream has no message borders (RFC 9293 section 2.2)."""
    endless = cycle(sizes)

    def split(octets: bytes) -> Iterator[bytes]:
        stream = BytesIO(octets)
        while piece := stream.read(next(endless)):
            yield piece

    context.maximum_version = version
    client, server = ClientChannel(trusting, HOST), TlsChannel(context)
    meet(client, server, split)
    assert exchange(client, server, client.send(sent), split).server == sent
    assert b"".join(map(client.receive, split(server.send(sent)))) == sent


def test_all_that_came_is_one_piece(shaken: tuple[ClientChannel, TlsChannel]) -> None:
    """A mailbox comes in many records; whoever reads it is called once a `receive`."""
    client, server = shaken
    big = bytes(range(256)) * 12_288
    assert client.receive(server.send(big)) == big


def test_a_client_may_send_at_every_octet_after_its_finished(
    context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """After STLS the client speaks first; the server's tickets may be half way (RFC 8446 4.6.1)."""
    context.num_tickets = 2
    client, server = ClientChannel(trusting, HOST), TlsChannel(context)
    server.receive(client.begin())
    client.receive(server.output())
    assert client.established
    assert server.receive(client.output() + client.send(b"CAPA\r\n")) == b"CAPA\r\n"
    tickets = server.output()
    assert len(tickets) > 100
    for piece in bytewise(tickets):
        assert client.receive(piece) == b""
        assert server.receive(client.send(b"NOOP\r\n")) == b"NOOP\r\n"


def test_an_end_without_close_notify_is_no_close(
    shaken: tuple[ClientChannel, TlsChannel],
) -> None:
    """Truncation shows: who cuts the connection cannot forge close_notify (RFC 8446 6.1)."""
    client, server = shaken
    body = server.send(b"half of a message")
    assert client.receive(body + server.close()[:-1]) == b"half of a message"
    assert not client.peer_closed
    assert client.established


def test_what_follows_close_notify_is_dropped(shaken: tuple[ClientChannel, TlsChannel]) -> None:
    """Nobody vouches for it (RFC 8446 section 6.1); our own half stays open."""
    client, server = shaken
    assert client.receive(server.close() + b"-ERR not from the server\r\n") == b""
    assert client.receive(bytes(1 << 20)) == b""
    assert client.peer_closed
    assert server.receive(client.send(b"QUIT\r\n")) == b"QUIT\r\n"


def test_a_changed_record_kills_the_channel(shaken: tuple[ClientChannel, TlsChannel]) -> None:
    """bad_record_mac is fatal (RFC 8446 section 5.2): an alert goes out and nothing else works."""
    client, server = shaken
    record = bytearray(server.send(b"+OK 1 message\r\n"))
    record[-1] ^= 1
    with pytest.raises(TlsFailed, match="bad record mac"):
        client.receive(bytes(record))
    assert client.output() != b""
    assert not client.established
    assert client.receive(b"anything") == client.close() == b""
    with pytest.raises(TlsFailed):
        client.send(b"DELE 1\r\n")


def test_nothing_is_sent_before_the_handshake_or_after_close(
    trusting: ssl.SSLContext, shaken: tuple[ClientChannel, TlsChannel]
) -> None:
    """No password passes before the certificate is verified; nothing follows close_notify."""
    fresh = ClientChannel(trusting, HOST)
    ask: list[Callable[[], object]] = [
        lambda: fresh.send(b"USER alice\r\n"),
        lambda: fresh.peer_certificate,
        lambda: fresh.version,
        lambda: fresh.cipher,
    ]
    for question in ask:
        with pytest.raises(TlsFailed, match="no handshake"):
            question()
    assert fresh.close() == b""
    assert not fresh.established
    client, _ = shaken
    assert client.close() != b""
    assert client.close() == b""
    with pytest.raises(TlsFailed):
        client.send(b"QUIT\r\n")


@SPLITS
@pytest.mark.parametrize(
    "said", [b"+OK POP3 ready\r\n", b"-ERR\r\n", b"HTTP/1.1 400\r\n", b"\x80\x02"]
)
def test_a_server_without_tls_is_named_as_such(
    trusting: ssl.SSLContext, said: bytes, split: Split
) -> None:
    """pop3s:// at port 110, or plaintext put in behind `+OK` to STLS: the first octet tells."""
    client = ClientChannel(trusting, HOST)
    client.begin()
    first, *rest = split(said)
    with pytest.raises(NotTls, match="no TLS"):
        client.receive(first)
    assert not any(map(client.receive, rest))
    assert client.output() == client.close() == b""


@VERSIONS
def test_a_certificate_of_another_host_is_refused(
    context: ssl.SSLContext, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """The name that was called must be in the certificate (RFC 9525 section 6)."""
    context.maximum_version = version
    refused = refusal(ClientChannel(trusting, "mail.example.org"), TlsChannel(context))
    assert str(refused) == "the certificate is not for mail.example.org"
    assert refused.hint
    refused = refusal(ClientChannel(trusting, "127.0.0.2"), TlsChannel(context))
    assert str(refused) == "the certificate is not for 127.0.0.2"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_is_called_like_a_name(
    context: ssl.SSLContext, trusting: ssl.SSLContext, address: str
) -> None:
    """It is looked for among the certificate's addresses; it is no server name (RFC 6066 3)."""
    client, server = ClientChannel(trusting, address), TlsChannel(context)
    meet(client, server)
    assert client.established
    assert server.server_name is None


@pytest.mark.parametrize(
    ("shift", "text"),
    [(timedelta(days=-400), "has expired"), (timedelta(days=2), "is not valid yet")],
)
def test_a_certificate_out_of_its_time_is_refused(
    own_folder: Path, now: datetime, shift: timedelta, text: str
) -> None:
    """RFC 5280 section 6.1.3 (a)(2)."""
    issue(own_folder, HOST, now + shift)
    context = server_context(own_folder / "server.pem", own_folder / "server.key", TLS12)
    client = ClientChannel(client_context(authorities=own_folder / "ca.pem"), HOST)
    assert text in str(refusal(client, TlsChannel(context)))


def test_a_certificate_from_an_unknown_authority_is_refused(
    context: ssl.SSLContext, folder: Path, tmp_path: Path, now: datetime
) -> None:
    """RFC 5280 section 6.1: a path ends at an authority that is trusted, not at one so called."""
    create_authority(tmp_path / "tls", HOST, now)
    strange = client_context(authorities=tmp_path / "tls" / "ca.pem")
    refused = refusal(ClientChannel(strange, HOST), TlsChannel(context))
    assert "an authority that is not trusted here" in str(refused)
    chain = tmp_path / "chain.pem"
    chain.write_bytes((folder / "server.pem").read_bytes() + (folder / "ca.pem").read_bytes())
    whole_chain = server_context(chain, folder / "server.key", TLS12)
    refused = refusal(ClientChannel(strange, HOST), TlsChannel(whole_chain))
    assert "an authority that is not trusted here" in str(refused)


def test_a_self_signed_certificate_is_refused(rsa_folder: Path, trusting: ssl.SSLContext) -> None:
    """Anybody can make one; the hint says how to trust this one (RFC 8314 section 4.2)."""
    context = server_context(rsa_folder / "server.pem", rsa_folder / "server.key", TLS12)
    refused = refusal(ClientChannel(trusting, HOST), TlsChannel(context))
    assert "self-signed" in str(refused)
    assert "SHA-256" in refused.hint


def test_a_name_in_the_common_name_alone_is_none(
    folder: Path, tmp_path: Path, now: datetime, trusting: ssl.SSLContext
) -> None:
    """RFC 9525 section 6.3: the common name is not looked at."""
    pair = write_pair(tmp_path, now, issuer=authority_of(folder), names=())
    refused = refusal(ClientChannel(trusting, HOST), TlsChannel(server_context(*pair, TLS12)))
    assert str(refused) == f"the certificate is not for {HOST}"


def test_another_reason_is_told_in_openssls_words(
    folder: Path, tmp_path: Path, now: datetime, trusting: ssl.SSLContext
) -> None:
    """What has no text of ours is still told: here a certificate that may only be a client's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority, pair = authority_of(folder), write_pair(tmp_path, now)
    made = read_chain(pair.certificate)[0]
    builder = x509.CertificateBuilder(
        issuer_name=authority.certificate.subject,
        subject_name=made.subject,
        public_key=made.public_key(),
        serial_number=made.serial_number,
        not_valid_before=made.not_valid_before_utc,
        not_valid_after=made.not_valid_after_utc,
    ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    refused = refusal(ClientChannel(trusting, HOST), TlsChannel(server_context(*pair, TLS12)))
    assert "certificate purpose" in str(refused)


def test_without_verification_the_certificate_can_be_asked_for(rsa_folder: Path) -> None:
    """For pins: any certificate passes, and is there to compare before anything is sent."""
    context = server_context(rsa_folder / "server.pem", rsa_folder / "server.key", TLS12)
    client, server = (
        ClientChannel(client_context(verify=False), "other.example"),
        TlsChannel(context),
    )
    assert meet(client, server).server == b""
    shown = ssl.DER_cert_to_PEM_cert(client.peer_certificate)
    assert shown == (rsa_folder / "server.pem").read_text()


def demanding(folder: Path) -> ssl.SSLContext:
    """Return a server's context that wants a client's certificate from the site's authority."""
    context = server_context(folder / "server.pem", folder / "server.key", TLS12)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / "ca.pem")
    return context


@VERSIONS
@pytest.mark.parametrize("is_one_file", [False, True])
def test_a_client_certificate_is_shown(
    folder: Path, tmp_path: Path, now: datetime, version: ssl.TLSVersion, is_one_file: bool
) -> None:
    """A server may ask who calls (RFC 8446 section 4.3.2); the key may be in the same file."""
    pair = write_pair(tmp_path, now, issuer=authority_of(folder))
    key: Path | None = pair.key
    if is_one_file:
        with pair.certificate.open("ab") as file, pair.key.open("rb") as source:
            shutil.copyfileobj(source, file)
        key = None
    known = client_context(
        authorities=folder / "ca.pem", certificate=pair.certificate, key=key, minimum=version
    )
    client, server = ClientChannel(known, HOST), TlsChannel(demanding(folder))
    meet(client, server)
    assert server.established
    assert client.receive(server.send(b"+OK\r\n")) == b"+OK\r\n"


@VERSIONS
def test_a_server_that_misses_a_client_certificate_says_so(
    folder: Path, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """With TLS 1.3 the alert comes after the handshake (RFC 8446 section 4.4.2.4)."""
    context = demanding(folder)
    context.maximum_version = version
    client, server = ClientChannel(trusting, HOST), TlsChannel(context)
    with pytest.raises(TlsFailed, match="did not return a certificate"):
        meet(client, server)
    with pytest.raises(TlsFailed, match=r"alert (certificate required|handshake failure)"):
        client.receive(server.output())
    assert not client.established


def talk(client: ClientChannel, port: int) -> None:
    """Move octets between a client and a server on loopback until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
        wire.sendall(client.begin())
        while octets := wire.recv(4096):
            client.receive(octets)
            wire.sendall(client.output())


@VERSIONS
@pytest.mark.parametrize("old", ["-tls1", "-tls1_1"])
def test_a_server_of_old_tls_is_refused(
    folder: Path, trusting: ssl.SSLContext, old: str, version: ssl.TLSVersion
) -> None:
    """TLS 1.0 and 1.1 MUST NOT be used (RFC 8996), whichever side sees it first.

    To a client of 1.3 the server says so; to one of 1.2 it would offer what it has, and finds no
    suite (RFC 8446 section 4.2.1).
    """
    trusting.maximum_version = version
    server = Background(
        [
            *(find_program("openssl"), "s_server", "-accept", "127.0.0.1:0", old, "-www"),
            *("-cipher", "ALL:@SECLEVEL=0"),
            *("-cert", folder / "server.pem", "-key", folder / "server.key"),
        ]
    )
    try:
        line = server.wait_for(lambda line: line.startswith("ACCEPT"), "its port")
        client = ClientChannel(trusting, HOST)
        with pytest.raises(TlsFailed, match=r"alert .*TLS 1\.2"):
            talk(client, int(line.rpartition(":")[2]))
        assert not client.established
    finally:
        server.stop()
