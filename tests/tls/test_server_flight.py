"""The group of a handshake, read from the server's own octets."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tls.peer import MemoryClient, carry

from mailkeep.tls import TlsChannel
from mailkeep.tls.server_flight import find_group

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
@pytest.mark.parametrize(
    ("curve", "group"),
    [
        ("X25519", "x25519"),
        ("prime256v1", "secp256r1"),
        ("secp384r1", "secp384r1"),
        ("secp521r1", "secp521r1"),
        ("X448", "x448"),
    ],
)
def test_the_group_is_the_one_that_was_left_to_choose(
    context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    version: ssl.TLSVersion,
    curve: str,
    group: str,
) -> None:
    """RFC 8446 section 4.2.8 and RFC 8422 section 5.4; some take a HelloRetryRequest."""
    context.set_ecdh_curve(curve)
    client_context.maximum_version = version
    client, channel = MemoryClient(client_context), TlsChannel(context)
    carry(client, channel)
    assert channel.facts.group == group


@VERSIONS
def test_a_resumed_session_has_the_group_that_it_agreed_on_anew(
    context: ssl.SSLContext, client_context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """RFC 8446 section 2.2: TLS 1.3 agrees again; TLS 1.2 does not, and nothing is made up."""
    client_context.maximum_version = version
    context.num_tickets = 1
    first = MemoryClient(client_context)
    carry(first, TlsChannel(context))
    second, channel = MemoryClient(client_context), TlsChannel(context)
    second.tls.session = first.tls.session
    carry(second, channel)
    assert second.tls.session_reused
    expected = "x25519" if version is ssl.TLSVersion.TLSv1_3 else None
    assert channel.facts.group == expected


def test_a_group_without_a_name_is_a_number() -> None:
    """A new OpenSSL may have groups that are in no list yet."""
    share = (51).to_bytes(2) + (4).to_bytes(2) + b"\x77\x88\0\0"
    body = b"\3\3" + bytes(32) + b"\0" + b"\x13\1\0" + len(share).to_bytes(2) + share
    message = b"\2" + len(body).to_bytes(3) + body
    assert find_group(b"\x16\3\3" + len(message).to_bytes(2) + message) == "0x7788"


@given(octets=st.binary(max_size=200), start=st.sampled_from([b"", b"\x16\3\3\0\x80\2\0\0\x70"]))
def test_any_octets_are_no_error(octets: bytes, start: bytes) -> None:
    """A session must not end because of its record."""
    group = find_group(start + octets)
    assert group is None or group
