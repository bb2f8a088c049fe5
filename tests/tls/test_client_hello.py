"""What is no ClientHello, what is a broken one, and what a good one says."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tls.peer import MemoryClient, bytewise, carry, hello_of

from mailkeep.tls import BadHello, NotTls, TlsChannel, TlsError
from mailkeep.tls.client_hello import (
    HELLO_LIMIT_OCTETS,
    ClientHello,
    HelloReader,
    parse_client_hello,
)


def vector(length_octets: int, octets: bytes) -> bytes:
    return len(octets).to_bytes(length_octets) + octets


def extension(kind: int, octets: bytes) -> bytes:
    return kind.to_bytes(2) + vector(2, octets)


def alpn(*names: bytes) -> bytes:
    return extension(16, vector(2, b"".join(vector(1, name) for name in names)))


def server_name(name: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes([kind]) + vector(2, name)))


def body(
    extensions: bytes | None = b"", session_id: bytes = b"", suites: bytes = b"\x13\x01"
) -> bytes:
    fixed = b"\x03\x03" + bytes(32) + vector(1, session_id) + vector(2, suites) + vector(1, b"\0")
    return fixed if extensions is None else fixed + vector(2, extensions)


def message(octets: bytes) -> bytes:
    return b"\x01" + vector(3, octets)


def records(octets: bytes, size: int = 1 << 14) -> bytes:
    pieces = (octets[at : at + size] for at in range(0, len(octets), size))
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)


def test_what_a_real_client_says(client_context: ssl.SSLContext) -> None:
    """The list of application protocols and the name, of a hello made by OpenSSL."""
    client_context.set_alpn_protocols(["http/1.1", "pop3"])
    hello = HelloReader().feed(hello_of(client_context, "Mail.Example.COM"))
    assert hello == ClientHello((b"http/1.1", b"pop3"), "mail.example.com")
    client_context.check_hostname = False
    client_context.set_alpn_protocols([])
    assert HelloReader().feed(hello_of(client_context, None)) == ClientHello(None, None)


@pytest.mark.parametrize(
    "octets",
    [
        b"USER x\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02\x01\x00\x10",
        b"\0" * 64,
        b"\r\n",
    ],
    ids=["POP3", "HTTP", "SSLv2 hello", "alert", "no TLS version", "NULs", "empty line"],
)
def test_plain_text_is_known_at_its_first_octets(context: ssl.SSLContext, octets: bytes) -> None:
    """A record starts with 22 and 3 (RFC 8446 section 5.1): nothing else is waited for."""
    needed = 2 if octets[0] == 0x16 else 1
    channel = TlsChannel(context)
    with pytest.raises(NotTls) as refused:
        channel.receive(octets[:needed])
    assert channel.output() == b""
    assert octets.decode("latin-1") not in str(refused.value)
    with pytest.raises(NotTls):
        TlsChannel(context).receive(octets)


def test_a_command_sent_before_the_hello_is_never_inside(
    context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """Injection before STLS (CVE-2011-0411): what came in plain text ends the connection."""
    with pytest.raises(NotTls):
        TlsChannel(context).receive(b"DELE 1\r\n" + hello_of(client_context))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 100, 1000])
def test_a_hello_in_many_records(
    context: ssl.SSLContext, client_context: ssl.SSLContext, size: int
) -> None:
    """A handshake message may be cut into records (RFC 8446 section 5.1), and records by TCP."""
    client_context.set_alpn_protocols(["pop3"])
    client, channel = MemoryClient(client_context), TlsChannel(context)
    client.advance()
    hello = client.output()
    for octet in bytewise(records(hello[5:], size)):
        channel.receive(octet)
    client.feed(channel.output())
    carry(client, channel)
    assert channel.established


BROKEN = {
    "record without octets": b"\x16\x03\x01\x00\x00",
    "record too long": b"\x16\x03\x01\x40\x01",
    "record longest possible": b"\x16\x03\x01\xff\xff",
    "other message": records(b"\x02" + vector(3, body())),
    "other record in between": records(message(body())[:20]) + b"\x17\x03\x03\x00\x01\x00",
    "plain text in between": records(message(body())[:20]) + b"USER x\r\n",
    "message of 16 MiB": records(b"\x01\xff\xff\xff"),
    "message empty": records(message(b"")),
    "random cut": records(message(body()[:20])),
    "session id of 33": records(message(body(session_id=bytes(33)))),
    "no suites": records(message(body(suites=b""))),
    "half a suite": records(message(body(suites=b"\x13\x01\x13"))),
    "octet left over": records(message(body() + b"\0")),
    "extensions too long": records(message(body(None) + b"\x00\x05\x00\x10\x00")),
    "extension too long": records(message(body(b"\x00\x10\x00\x05\x00"))),
    "extension cut": records(message(body(b"\x00\x10\x00"))),
    "extension twice": records(message(body(alpn(b"pop3") + alpn(b"http/1.1")))),
    "ALPN empty": records(message(body(extension(16, b"")))),
    "ALPN without names": records(message(body(extension(16, b"\0\0")))),
    "ALPN with an empty name": records(message(body(alpn(b"pop3", b"")))),
    "ALPN name too long": records(message(body(extension(16, vector(2, b"\x09pop3"))))),
    "ALPN with more behind": records(message(body(extension(16, vector(2, b"\x04pop3") + b"\0")))),
    "server name empty": records(message(body(server_name(b"")))),
    "server name of another type": records(message(body(server_name(b"a", kind=1)))),
    "two server names": records(message(body(extension(0, vector(2, b"\0\0\1a\0\0\1b"))))),
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_hello_is_refused_whole_or_in_pieces(
    context: ssl.SSLContext, octets: bytes
) -> None:
    """decode_error (RFC 8446 section 6.2): every length is checked before it is believed."""
    channel = TlsChannel(context)
    with pytest.raises(BadHello):
        channel.receive(octets)
    assert channel.output() == bytes.fromhex("15030300020232")
    assert channel.receive(octets) == channel.close() == b""
    with pytest.raises(BadHello):
        list(map(TlsChannel(context).receive, bytewise(octets)))


@pytest.mark.parametrize("size", [1, 16384])
def test_a_giant_hello_is_refused_before_it_is_whole(context: ssl.SSLContext, size: int) -> None:
    """What a stranger can make the server keep is bounded, however it is cut."""
    octets = records(message(body(extension(21, bytes(60000)))), size)
    with pytest.raises(BadHello):
        TlsChannel(context).receive(octets)
    first = octets[: HELLO_LIMIT_OCTETS + 1]
    with pytest.raises(BadHello):
        list(map(TlsChannel(context).receive, bytewise(first)))


def test_the_limit_is_the_same_at_every_split() -> None:
    """A hello that ends at the limit is read, one octet later it is not, whole or in pieces."""
    for surplus, is_read in ((0, True), (1, False)):
        rest = HELLO_LIMIT_OCTETS + surplus - len(records(message(body(extension(21, b"")))))
        octets = records(message(body(extension(21, bytes(rest - 5)))))
        assert len(octets) == HELLO_LIMIT_OCTETS + surplus
        for pieces in ([octets], list(bytewise(octets))):
            reader, hello = HelloReader(), None
            try:
                for piece in pieces:
                    hello = reader.feed(piece)
            except BadHello:
                assert not is_read
            else:
                assert hello is not None
                assert is_read


def test_a_hello_without_extensions_is_a_hello() -> None:
    """TLS 1.2 allows it (RFC 5246 section 7.4.1.2)."""
    assert parse_client_hello(body(None)) == ClientHello(None, None)


@pytest.mark.parametrize("name", [b"a b", b"x\r\nFAKE log line", b"\xff\xfe", b"a\0b", b"\x1b[31m"])
def test_a_name_that_is_no_host_name_reaches_no_log(name: bytes) -> None:
    """A server name is whatever a stranger writes; RFC 6066 section 3 allows DNS names only."""
    assert parse_client_hello(body(server_name(name))).server_name is None


@given(st.binary(max_size=600))
def test_any_octets_give_an_error_of_ours_or_nothing(octets: bytes) -> None:
    """Whatever comes, the reader ends with its own errors, and alike at every split."""
    for start in (b"", b"\x16\x03\x01", records(b"\x01")[:-1] + octets[:1]):
        assert outcome([start + octets]) == outcome(list(bytewise(start + octets)))


@given(st.data())
def test_a_damaged_hello_gives_an_error_of_ours_or_a_hello(data: st.DataObject) -> None:
    """The same for octets that are nearly right, where the lengths are."""
    good = bytearray(records(message(body(alpn(b"pop3", b"h2") + server_name(b"mail.example")))))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    damaged = bytes(good[:cut])
    assert outcome([damaged]) == outcome(list(bytewise(damaged)))


def outcome(pieces: list[bytes]) -> object:
    """Return the first hello, or the class of the error, or None."""
    reader = HelloReader()
    try:
        return next((hello for piece in pieces if (hello := reader.feed(piece))), None)
    except TlsError as error:
        return type(error)
