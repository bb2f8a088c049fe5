"""The channel against a real client in memory, at every split of its input and output."""

import ssl
from collections.abc import Iterator
from io import BytesIO
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.tls.peer import MemoryClient, Split, bytewise, carry, whole

from mailkeep.tls import TlsChannel, TlsFailed, server_context
from mailkeep.tls.session import Session

SPLITS = pytest.mark.parametrize("split", [whole, bytewise])
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture
def shaken(
    context: ssl.SSLContext, client_context: ssl.SSLContext
) -> tuple[MemoryClient, TlsChannel]:
    client, channel = MemoryClient(client_context), TlsChannel(context)
    carry(client, channel)
    return client, channel


@SPLITS
@VERSIONS
def test_a_session_from_hello_to_both_close_notify(
    context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    version: ssl.TLSVersion,
    split: Split,
) -> None:
    """TLS 1.2 and 1.3 work however the octets are cut (RFC 8446 section 5.1)."""
    client_context.maximum_version = version
    client, channel = MemoryClient(client_context), TlsChannel(context)
    assert carry(client, channel, split) == b""
    assert client.established
    assert channel.established
    assert client.tls.version() == version.name.replace("_", ".")
    assert channel.server_name == "mail.example.com"
    for piece in split(channel.send(b"+OK ready\r\n")):
        client.feed(piece)
    assert client.plaintext == b"+OK ready\r\n"
    client.tls.write(b"QUIT\r\n")
    assert carry(client, channel, split) == b"QUIT\r\n"
    assert not channel.peer_closed
    for piece in split(channel.close()):
        client.feed(piece)
    assert client.closed_by_server
    for piece in split(client.close()):
        assert channel.receive(piece) == b""
    assert channel.peer_closed


@VERSIONS
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1), sent=st.binary(max_size=40000))
def test_any_split_gives_the_same_plaintext(
    context: ssl.SSLContext,
    client_context: ssl.SSLContext,
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

    client_context.maximum_version = version
    client, channel = MemoryClient(client_context), TlsChannel(context)
    carry(client, channel, split)
    client.tls.write(sent)
    assert carry(client, channel, split) == sent
    for piece in split(channel.send(sent)):
        client.feed(piece)
    assert client.plaintext == sent


def test_data_right_behind_the_finished_message_is_read(
    context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A client may send with its Finished (RFC 8446 section 2): it does not wait for more."""
    client, channel = MemoryClient(client_context), TlsChannel(context)
    client.advance()
    channel.receive(client.output())
    client.feed(channel.output())
    client.tls.write(b"CAPA\r\n")
    assert channel.receive(client.output()) == b"CAPA\r\n"


def test_three_megabytes_both_ways(shaken: tuple[MemoryClient, TlsChannel]) -> None:
    """Plaintext of any size goes in and comes out whole."""
    client, channel = shaken
    big = bytes(range(256)) * 12288
    client.feed(channel.send(big))
    assert client.plaintext == big
    client.tls.write(big)
    assert carry(client, channel) == big


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(size=st.integers(0, 200_000))
@example(size=16 * 1024)
@example(size=16 * 1024 + 1)
def test_much_is_carried_whole_in_full_records(
    shaken: tuple[MemoryClient, TlsChannel], size: int
) -> None:
    """RFC 8446 section 5.1: a record has 16 KiB."""
    client, channel = shaken
    client.plaintext = b""
    plaintext = bytes(range(251)) * (size // 251 + 1)
    records = channel.send_records(plaintext[:size])
    client.feed(b"".join(records))
    assert client.plaintext == plaintext[:size]
    assert len(records) == -(-size // (16 * 1024))


def test_what_waited_goes_out_before_new_plaintext(
    context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Records are numbered (RFC 8446 section 5.3): tickets that nobody fetched keep their place."""
    context.num_tickets = 2
    client, channel = MemoryClient(client_context), TlsChannel(context)
    client.advance()
    channel.receive(client.output())
    client.feed(channel.output())
    channel.receive(client.output())
    client.feed(channel.send(b"+OK\r\n"))
    assert client.plaintext == b"+OK\r\n"
    assert channel.output() == b""


def test_the_peer_may_close_its_half_and_still_read(
    shaken: tuple[MemoryClient, TlsChannel],
) -> None:
    """close_notify ends one direction (RFC 8446 section 6.1); what follows it is dropped."""
    client, channel = shaken
    client.tls.write(b"QUIT\r\n")
    assert channel.receive(client.output() + client.close() + b"more") == b"QUIT\r\n"
    assert channel.peer_closed
    assert channel.receive(b"and more") == b""
    client.feed(channel.send(b"+OK bye\r\n"))
    assert client.plaintext == b"+OK bye\r\n"


def test_what_follows_close_notify_is_kept_nowhere(
    shaken: tuple[MemoryClient, TlsChannel],
) -> None:
    """A peer that goes on after its end costs no memory (RFC 8446 section 6.1: it is ignored)."""
    client, channel = shaken
    assert channel.receive(client.close() + bytes(1 << 20)) == b""
    assert isinstance(channel._state, Session)
    assert channel._state._incoming.pending <= 1024


def test_an_end_without_close_notify_is_no_close(shaken: tuple[MemoryClient, TlsChannel]) -> None:
    """Truncation shows: who cuts the connection cannot forge close_notify (RFC 8446 6.1)."""
    client, channel = shaken
    client.tls.write(b"DELE 1\r\n")
    assert channel.receive(client.output()[:-1]) == b""
    assert not channel.peer_closed
    assert channel.close() != b""


def test_a_changed_record_kills_the_channel(shaken: tuple[MemoryClient, TlsChannel]) -> None:
    """bad_record_mac is fatal (RFC 8446 section 5.2): an alert goes out and nothing else works."""
    client, channel = shaken
    client.tls.write(b"DELE 1\r\n")
    record = bytearray(client.output())
    record[-1] ^= 1
    with pytest.raises(TlsFailed, match="bad record mac"):
        channel.receive(bytes(record))
    alert = channel.output()
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        client.feed(alert)
    assert not channel.established
    assert channel.receive(b"anything") == b""
    assert channel.close() == b""
    with pytest.raises(TlsFailed):
        channel.send(b"+OK\r\n")


def test_what_has_settled_goes_on_alone(shaken: tuple[MemoryClient, TlsChannel]) -> None:
    """The session carries octets, and the last word, as the channel around it does."""
    client, channel = shaken
    settled = channel.settled()
    assert settled.settled() is settled
    client.tls.write(b"NOOP\r\n")
    assert settled.receive(client.output()) == b"NOOP\r\n"
    client.feed(settled.send(b"+OK\r\n"))
    assert client.plaintext == b"+OK\r\n"
    client.feed(settled.close())
    assert client.closed_by_server
    with pytest.raises(TlsFailed):
        settled.send(b"+OK\r\n")


def test_a_changed_record_kills_what_has_settled(shaken: tuple[MemoryClient, TlsChannel]) -> None:
    """Nothing that comes behind it is read, even if it is whole (RFC 8446 section 5.2)."""
    client, channel = shaken
    settled = channel.settled()
    client.tls.write(b"DELE 1\r\n")
    record = bytearray(client.output())
    record[-1] ^= 1
    client.tls.write(b"QUIT\r\n")
    behind = client.output()
    with pytest.raises(TlsFailed, match="bad record mac"):
        settled.receive(bytes(record))
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        client.feed(settled.output())
    assert not settled.established
    assert settled.receive(behind) == b""
    assert settled.close() == b""
    with pytest.raises(TlsFailed):
        settled.send(b"+OK\r\n")


def test_nothing_settles_before_the_end_of_the_handshake(
    context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Not before it, and not in its middle."""
    client, channel = MemoryClient(client_context), TlsChannel(context)
    with pytest.raises(TlsFailed):
        channel.settled()
    client.advance()
    channel.receive(client.output())
    with pytest.raises(TlsFailed):
        channel.settled()


@VERSIONS
def test_the_facts_are_those_of_the_handshake(
    context: ssl.SSLContext, client_context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """What the record says of a connection is what both sides agreed."""
    client_context.maximum_version = version
    client, channel = MemoryClient(client_context), TlsChannel(context)
    with pytest.raises(TlsFailed):
        _ = channel.facts
    carry(client, channel)
    agreed = client.tls.cipher()
    assert agreed is not None
    facts = channel.facts
    assert (facts.version, facts.suite) == (client.tls.version(), agreed[0])
    assert facts.server_name == "mail.example.com"
    assert (facts.client_certificate, facts.client_certificate_sha256) == (None, None)


def test_nothing_is_sent_before_the_handshake_or_after_close(
    context: ssl.SSLContext, shaken: tuple[MemoryClient, TlsChannel]
) -> None:
    """No octet of POP3 passes before TLS; after close_notify nothing follows (RFC 8446 6.1)."""
    fresh = TlsChannel(context)
    assert fresh.close() == b""
    with pytest.raises(TlsFailed):
        fresh.send(b"+OK\r\n")
    _, channel = shaken
    assert channel.close() != b""
    assert channel.close() == b""
    with pytest.raises(TlsFailed):
        channel.send(b"+OK\r\n")


@pytest.mark.parametrize("octets", [1, 100, 400, 2000])
def test_close_during_the_handshake_sends_no_close_notify(
    context: ssl.SSLContext, client_context: ssl.SSLContext, octets: int
) -> None:
    """There is nothing to close yet; never raises."""
    client, channel = MemoryClient(client_context), TlsChannel(context)
    client.advance()
    channel.receive(client.output()[:octets])
    channel.output()
    assert channel.close() == b""


def test_a_client_that_does_not_trust_the_certificate_is_reported(
    context: ssl.SSLContext,
) -> None:
    """The operator learns why a handshake failed: the client's alert (RFC 8446 section 6.2)."""
    client, channel = MemoryClient(ssl.create_default_context()), TlsChannel(context)
    client.advance()
    channel.receive(client.output())
    with pytest.raises(ssl.SSLCertVerificationError):
        client.feed(channel.output())
    with pytest.raises(TlsFailed, match="alert unknown ca"):
        channel.receive(client.output())


@SPLITS
def test_hello_retry_request(
    context: ssl.SSLContext, client_context: ssl.SSLContext, split: Split
) -> None:
    """A client whose key share does not fit is asked again (RFC 8446 section 4.1.4)."""
    context.set_ecdh_curve("secp384r1")
    client, channel = MemoryClient(client_context), TlsChannel(context)
    client.advance()
    for piece in split(client.output()):
        channel.receive(piece)
    retry = channel.output()
    # The random of a HelloRetryRequest is SHA-256("HelloRetryRequest"), RFC 8446 section 4.1.3.
    assert bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891") in retry
    client.feed(retry)
    carry(client, channel, split)
    assert channel.established


def test_a_new_channel_starts_from_nothing(
    context: ssl.SSLContext, shaken: tuple[MemoryClient, TlsChannel]
) -> None:
    """After STLS a new one is made (RFC 2595 section 4): it knows nothing of any other."""
    channel = TlsChannel(context)
    assert shaken[1].established
    assert not channel.established
    assert channel.server_name is None
    assert channel.output() == b""


def test_a_server_that_signs_quickly_gives_out_no_tickets(
    context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """RFC 8446 section 4.6.1: they may be sent; with ECDSA one costs more than it saves."""
    client_context.minimum_version = ssl.TLSVersion.TLSv1_3
    first, channel = MemoryClient(client_context), TlsChannel(context)
    carry(first, channel)
    assert first.tls.session is None or not first.tls.session.has_ticket


def test_a_server_that_signs_slowly_gives_out_one(rsa_folder: Path) -> None:
    """RFC 8446 section 2.2: with RSA a resumed session costs a third of a handshake."""
    pair = rsa_folder / "server.pem", rsa_folder / "server.key"
    context = server_context(*pair, ssl.TLSVersion.TLSv1_3)
    assert context.num_tickets == 1
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    first = MemoryClient(client_context)
    carry(first, TlsChannel(context))
    second = MemoryClient(client_context)
    second.tls.session = first.tls.session
    carry(second, TlsChannel(context))
    assert second.tls.session_reused


def test_a_session_of_tls12_is_resumed(
    context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """RFC 5077: there a ticket saves a round trip, a key agreement and a signature."""
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    first, channel = MemoryClient(client_context), TlsChannel(context)
    carry(first, channel)
    second = MemoryClient(client_context)
    second.tls.session = first.tls.session
    carry(second, TlsChannel(context))
    assert second.tls.session_reused
