"""The PROXY protocol's header: what is understood, what is refused, at every split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.server.proxy_header import (
    VERSION_1_LIMIT_OCTETS,
    VERSION_2_LIMIT_OCTETS,
    BadProxyHeader,
    ProxyHeader,
    ProxyHeaderReader,
)
from mailkeep.site import Endpoint

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP4 = bytes((192, 0, 2, 7, 198, 51, 100, 1)) + (40_000).to_bytes(2) + (995).to_bytes(2)
TCP6 = bytes.fromhex("20010db8000000000000000000000007" * 2) + TCP4[8:]
CLIENT4, CLIENT6 = Endpoint("192.0.2.7", 40_000), Endpoint("2001:db8::7", 40_000)
LONGEST_ADDRESS = b":".join([b"ffff"] * 8)


def version_2(
    block: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None
) -> bytes:
    octets = len(block) if length is None else length
    return SIGNATURE + bytes((command, family)) + octets.to_bytes(2) + block


GOOD = {
    "version 1, IPv4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 995\r\n", CLIENT4),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::7 2001:DB8::1 40000 995\r\n", CLIENT6),
    "version 1, longest IPv6": (
        b"PROXY TCP6 %b %b 65535 65535\r\n" % (LONGEST_ADDRESS, LONGEST_ADDRESS),
        Endpoint(LONGEST_ADDRESS.decode(), 65535),
    ),
    "version 1, IPv4 inside IPv6": (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 40000 995\r\n", CLIENT4),
    "version 1, port 0": (b"PROXY TCP4 192.0.2.7 192.0.2.8 0 0\r\n", Endpoint("192.0.2.7", 0)),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", None),
    "version 1, unknown with the rest": (b"PROXY UNKNOWN ffff::1 whatever\r \n\r\n", None),
    "version 1, the longest of all": (
        b"PROXY UNKNOWN %b %b 65535 65535\r\n" % (LONGEST_ADDRESS, LONGEST_ADDRESS),
        None,
    ),
    "version 2, IPv4": (version_2(TCP4), CLIENT4),
    "version 2, IPv6": (version_2(TCP6, family=0x21), CLIENT6),
    "version 2, IPv4 inside IPv6": (
        version_2(bytes(10) + b"\xff\xff" + TCP4[:4] + TCP6[16:], family=0x21),
        CLIENT4,
    ),
    "version 2, additions": (version_2(TCP4 + b"\x03\0\x04abcd\x04\0\x03xyz"), CLIENT4),
    "version 2, additions that are none": (version_2(TCP4 + b"\xff" * 99), CLIENT4),
    "version 2, as long as may be": (
        version_2(TCP4 + bytes(VERSION_2_LIMIT_OCTETS - len(TCP4))),
        CLIENT4,
    ),
    "version 2, local": (version_2(b"", command=0x20, family=0), None),
    "version 2, local with addresses": (version_2(TCP4, command=0x20), None),
    "version 2, local of any family": (version_2(b"??", command=0x20, family=0x31), None),
    "version 2, unspecified": (version_2(b"", family=0), None),
    "version 2, unspecified with octets": (version_2(b"\0" * 40, family=0), None),
}

BAD = {
    "a command": b"USER alice\r\n",
    "a handshake": b"\x16\x03\x01\x02\0",
    "another case": b"proxy TCP4 192.0.2.7 192.0.2.8 1 2\r\n",
    "no space": b"PROXYTCP4 192.0.2.7 192.0.2.8 1 2\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.7 192.0.2.8 1 2\r\n",
    "a space behind": b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2 \r\n",
    "a line end too short": b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\n" + b" " * 80,
    "UDP": b"PROXY UDP4 192.0.2.7 192.0.2.8 1 2\r\n",
    "the other family": b"PROXY TCP4 2001:db8::7 2001:db8::8 1 2\r\n",
    "families mixed": b"PROXY TCP6 2001:db8::7 192.0.2.8 1 2\r\n",
    "an address of three numbers": b"PROXY TCP4 192.0.2 192.0.2.8 1 2\r\n",
    "a number over 255": b"PROXY TCP4 192.0.2.256 192.0.2.8 1 2\r\n",
    "a leading zero": b"PROXY TCP4 192.0.2.07 192.0.2.8 1 2\r\n",
    "a bad destination": b"PROXY TCP4 192.0.2.7 192.0.2 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
    "brackets": b"PROXY TCP6 [::1] [::1] 1 2\r\n",
    "a name": b"PROXY TCP4 localhost 192.0.2.8 1 2\r\n",
    "one port": b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n",
    "a port over 65535": b"PROXY TCP4 192.0.2.7 192.0.2.8 65536 2\r\n",
    "a port with a zero before": b"PROXY TCP4 192.0.2.7 192.0.2.8 01 2\r\n",
    "a destination's bad port": b"PROXY TCP4 192.0.2.7 192.0.2.8 1 99999\r\n",
    "a port below 0": b"PROXY TCP4 192.0.2.7 192.0.2.8 -1 2\r\n",
    "UNKNOWNs": b"PROXY UNKNOWNS\r\n",
    "nothing": b"PROXY \r\n",
    "a line without end": b"PROXY UNKNOWN " + b"x" * VERSION_1_LIMIT_OCTETS,
    "one octet too long": b"PROXY UNKNOWN " + b"x" * (VERSION_1_LIMIT_OCTETS - 15) + b"\r\n",
    "another signature": b"\r\n\r\n\0\r\nQUIX\n!\x11\0\x0c" + TCP4,
    "version 1 in binary": version_2(TCP4, command=0x11),
    "version 3": version_2(TCP4, command=0x31),
    "another command": version_2(TCP4, command=0x22),
    "UDP in binary": version_2(TCP4, family=0x12),
    "a Unix socket": version_2(bytes(216), family=0x31),
    "no transport": version_2(TCP4, family=0x10),
    "no family but a transport": version_2(TCP4, family=0x01),
    "too few octets for IPv4": version_2(TCP4[:-1]),
    "too few octets for IPv6": version_2(TCP6[:-1], family=0x21),
    "too long": version_2(bytes(VERSION_2_LIMIT_OCTETS + 1)),
    "too long though local": version_2(bytes(VERSION_2_LIMIT_OCTETS + 1), command=0x20),
    "as long as can be said": version_2(b"", length=0xFFFF),
}


def read(*pieces: bytes) -> ProxyHeader | None:
    """Feed pieces; nothing may be left over when the header is whole."""
    reader = ProxyHeaderReader()
    header = None
    for piece in pieces:
        assert header is None, "it went on reading behind the header"
        header = reader.feed(piece)
    return header


@pytest.mark.parametrize(("octets", "client"), GOOD.values(), ids=GOOD.keys())
def test_a_header_names_the_client_at_every_split(octets: bytes, client: Endpoint | None) -> None:
    """`proxy-protocol.txt` sections 2.1 and 2.2; TCP may cut it anywhere."""
    assert read(octets) == ProxyHeader(client, b"")
    for at in range(len(octets)):
        assert read(octets[:at]) is None
        assert read(octets[:at], octets[at:]) == ProxyHeader(client, b"")
    assert read(*(octets[at : at + 1] for at in range(len(octets)))) == ProxyHeader(client, b"")


@pytest.mark.parametrize(("octets", "client"), GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("rest", [b"\r\n", b"\x16\x03\x01\x02\0\x01", b"USER alice\r\n" * 100])
def test_what_follows_is_handed_back_whole(
    octets: bytes, client: Endpoint | None, rest: bytes
) -> None:
    """It is the client's: a ClientHello, or what is to be refused as too early."""
    for at in range(len(octets)):
        assert read(octets[:at], octets[at:] + rest) == ProxyHeader(client, rest)


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD.keys())
def test_what_is_not_understood_is_refused_at_every_split(octets: bytes) -> None:
    """A receiver must not guess: anything but a whole, valid header is an attack or a slip."""
    for at in range(len(octets)):
        with pytest.raises(BadProxyHeader):
            read(octets[:at], octets[at:])


def test_garbage_is_refused_at_its_first_octet() -> None:
    """Nobody has to wait three seconds to learn that this is no header."""
    for octet in set(range(256)) - {ord("P"), ord("\r")}:
        with pytest.raises(BadProxyHeader):
            read(bytes([octet]))


@given(octets=st.binary(max_size=800), at=st.integers(0, 800))
def test_any_octets_are_a_header_or_refused_or_not_all_there(octets: bytes, at: int) -> None:
    """No other error, and the same answer however they are cut."""
    assert _outcome(octets) == _outcome(octets[:at], octets[at:])


@given(
    start=st.sampled_from([SIGNATURE + b"\x21\x11", SIGNATURE, b"PROXY TCP4 ", b"PROXY TCP6 "]),
    octets=st.binary(max_size=700) | st.text("0123456789abcdef.: \r\n").map(str.encode),
    at=st.integers(0, 700),
)
def test_any_octets_behind_a_good_start_too(start: bytes, octets: bytes, at: int) -> None:
    """The parts behind the signature are reached as well."""
    whole = start + octets
    assert _outcome(whole) == _outcome(whole[:at], whole[at:])


@given(octets=st.binary(max_size=2000))
def test_no_more_than_the_longest_header_is_ever_waited_for(octets: bytes) -> None:
    """Memory is bounded, whoever sends."""
    longest = 16 + VERSION_2_LIMIT_OCTETS
    outcome = _outcome((SIGNATURE + b"\x21\x11" + octets).ljust(longest, b"\0"))
    assert outcome != "incomplete"


def _outcome(*pieces: bytes) -> object:
    """Return the header, `refused` or `incomplete`; pieces behind a whole header are its rest."""
    reader = ProxyHeaderReader()
    try:
        for place, piece in enumerate(pieces):
            header = reader.feed(piece)
            if header is not None:
                return ProxyHeader(header.client, header.rest + b"".join(pieces[place + 1 :]))
    except BadProxyHeader:
        return "refused"
    return "incomplete"
