"""A client that begins a handshake message inside TLS and does not end it: nothing can be answered.

Such a connection once stayed for ever, without a deadline, though nobody had logged in.
"""

import ssl
from pathlib import Path

import pytest
from tests.adversity.half_messages import HANDSHAKE, KEY_UPDATE_WITHOUT_ITS_BODY, sealer_of
from tests.adversity.loopback import LOGIN, POP3S, Client, Loopback, Serve
from tests.server.parts import HugeStore, full_store

from mailkeep.events import EventType

MIB = 1 << 20


@pytest.fixture
def key_log(tmp_path: Path) -> Path:
    return tmp_path / "keys"


async def _say(server: Loopback, key_log: Path, plaintext: bytes) -> Client:
    """Say something in TLS 1.3 with half a KeyUpdate behind it, in one segment."""
    server.trust = ssl.create_default_context(cadata=_authorities(server.trust))
    server.trust.minimum_version = ssl.TLSVersion.TLSv1_3
    server.trust.keylog_filename = str(key_log)
    client = await server.connect()
    await client.start_tls()
    assert client._tls is not None
    sealer = sealer_of(client._tls.tls, key_log)
    whole = sealer.seal(plaintext)
    await client.send_raw(whole + sealer.seal(KEY_UPDATE_WITHOUT_ITS_BODY, HANDSHAKE))
    return client


def _authorities(trust: ssl.SSLContext) -> str:
    return "".join(ssl.DER_cert_to_PEM_cert(it) for it in trust.get_ca_certs(binary_form=True))


@pytest.mark.parametrize(
    "plaintext", [b"CAPA\r\n", b"QUIT\r\n", b"NONSENSE\r\n" * 10, b"A" * 2000, LOGIN]
)
async def test_half_a_key_update_before_login_ends_the_connection(
    serve: Serve, key_log: Path, plaintext: bytes
) -> None:
    """RFC 8446 section 4.6.3: whatever is to be answered, and also when it is closed for good."""
    server = await serve(full_store(), listen=POP3S)
    client = await _say(server, key_log, plaintext)
    await client.read_to_end()
    await server.sessions_end()
    assert not server.server._entrance.connections
    assert server.sink.of(EventType.INTERNAL_ERROR) == []
    assert server.sink.reasons
    await _still_served(server)


async def test_half_a_key_update_behind_retr_lets_the_maildrop_go(
    serve: Serve, key_log: Path
) -> None:
    """The lease falls with the connection, and nothing is removed."""
    store = HugeStore(64 * 65536)
    server = await serve(store, listen=POP3S)
    client = await _say(server, key_log, LOGIN + b"DELE 1\r\nRSET\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
    await client.read_to_end()
    await server.sessions_end()
    assert server.sink.of(EventType.INTERNAL_ERROR) == []
    assert server.sink.reasons == ["the peer has not ended a handshake message"]
    assert store.commits == 0
    await _still_served(server)


async def _still_served(server: Loopback) -> None:
    client = await server.connect()
    await client.start_tls()
    await client.send(LOGIN)
    await client.read_through(b"the maildrop is open\r\n")
