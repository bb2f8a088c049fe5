"""What supervisor and workers say to each other: all of it arrives, and nothing else gets in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.server import worker_wire as wire
from mailkeep.site import Site, parse_settings

NUMBERS = st.integers(0, 2**53)
COUNTS = st.integers(0, 2**31)
ACCOUNTS = st.integers(-(2**63), 2**63 - 1)
WORDS = st.text(max_size=64)
NUMBERED = st.builds(
    wire.Inside,
    prefixes=st.dictionaries(WORDS, COUNTS, max_size=5),
    accounts=st.dictionaries(ACCOUNTS, COUNTS, max_size=5),
)
BOTH_WAYS = (
    st.builds(wire.TakeOver, NUMBERS, ACCOUNTS, st.floats(0, 1e9))
    | st.builds(wire.TakenOver, NUMBERS, st.booleans())
    | NUMBERED
)
DOWN = (
    BOTH_WAYS
    | st.builds(
        wire.Begin, WORDS, COUNTS, COUNTS, st.binary(), st.binary(), st.tuples(COUNTS, COUNTS)
    )
    | st.builds(wire.UseSite, NUMBERS, st.binary())
    | st.builds(wire.ShowCertificate, NUMBERS)
    | st.builds(wire.LookAtAccount, NUMBERS, st.none() | ACCOUNTS)
    | st.builds(wire.LookAgain, NUMBERS)
    | st.builds(wire.Room, st.booleans())
    | st.builds(wire.Stop)
)
UP = (
    BOTH_WAYS
    | st.builds(wire.Done, NUMBERS)
    | st.builds(wire.Figures, COUNTS, COUNTS, COUNTS)
    | st.builds(wire.Commands, st.tuples(st.tuples(WORDS, st.floats(0, 1e9))))
    | st.builds(wire.Listening)
    | st.builds(wire.CannotBegin, st.text(max_size=wire.TEXT_LIMIT))
)


def bodies(octets: bytes) -> list[bytes]:
    return [body for _, body in wire.Frames().feed(octets)]


@given(DOWN)
def test_what_a_supervisor_says_arrives(message: wire.Down) -> None:
    """As it was said."""
    (body,) = bodies(wire.encode(message))
    assert wire.decode_down(body) == message


@given(UP)
def test_what_a_worker_says_arrives(message: wire.Up) -> None:
    """As it was said."""
    (body,) = bodies(wire.encode(message))
    assert wire.decode_up(body) == message


def test_frames_are_cut_right_at_every_split() -> None:
    """Sockets know no frames."""
    sent = [(wire.Kind.EVENTS, b"x" * 300), (wire.Kind.MESSAGE, b""), (wire.Kind.EVENTS, b"yz")]
    octets = b"".join(wire.frame(kind, body) for kind, body in sent)
    for at in range(len(octets) + 1):
        frames = wire.Frames()
        arrived = [*frames.feed(octets[:at]), *frames.feed(octets[at:])]
        assert arrived == sent
    frames = wire.Frames()
    assert [it for at in range(len(octets)) for it in frames.feed(octets[at : at + 1])] == sent


@pytest.mark.parametrize(
    "octets",
    [
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        (wire.FRAME_LIMIT_OCTETS + 1).to_bytes(4),
        b"\x00\x00\x00\x01\x02",
        b"\x00\x00\x00\x01\xff",
    ],
)
def test_what_is_no_frame_is_malformed(octets: bytes) -> None:
    """Before anything is kept of it."""
    with pytest.raises(wire.Malformed):
        list(wire.Frames().feed(octets))


@given(st.binary(max_size=100))
def test_any_octets_are_a_message_or_malformed(body: bytes) -> None:
    """Nothing else is raised."""
    for decode in (wire.decode_up, wire.decode_down):
        try:
            decode(body)
        except wire.Malformed:
            continue


def test_nobody_says_what_is_the_others() -> None:
    """A worker tells nobody to stop, a supervisor confirms nothing."""
    with pytest.raises(wire.Malformed):
        wire.decode_up(*bodies(wire.encode(wire.Stop())))
    with pytest.raises(wire.Malformed):
        wire.decode_down(*bodies(wire.encode(wire.Done(1))))


@given(st.dictionaries(WORDS, COUNTS, max_size=30), st.dictionaries(ACCOUNTS, COUNTS, max_size=30))
def test_many_numbers_are_several_messages(
    prefixes: dict[str, int], accounts: dict[int, int]
) -> None:
    """Together they say everything, once; nothing is nothing."""
    messages = wire.inside_messages(prefixes, accounts, limit=7)
    assert all(len(it.prefixes) <= 7 and len(it.accounts) <= 7 for it in messages)
    assert {k: v for it in messages for k, v in it.prefixes.items()} == prefixes
    assert {k: v for it in messages for k, v in it.accounts.items()} == accounts
    assert bool(messages) == bool(prefixes or accounts)


def test_the_longest_list_of_numbers_is_a_frame() -> None:
    """IPv6 prefixes and big accounts."""
    prefixes = {f"2001:db8:1234:{at:x}::/64": 2**31 for at in range(wire.INSIDE_LIMIT)}
    accounts = dict.fromkeys(range(2**62, 2**62 + wire.INSIDE_LIMIT), 2**31)
    (message,) = wire.inside_messages(prefixes, accounts)
    assert len(wire.encode(message)) < wire.FRAME_LIMIT_OCTETS


def test_a_site_arrives_with_all_its_settings(tmp_path: Path) -> None:
    """A worker that is started later serves what the others serve, whatever the file says then."""
    text = (
        'hostname = "mail.example.com"\n[[listen]]\nservice = "pop3"\naddress = "127.0.0.1:0"\n'
        'allow = ["10.0.0.0/8", "::1"]\n[serve]\nworkers = 3\n[door]\nallow = ["192.0.2.0/24"]\n'
        '[oauth]\nissuer = "https://id.example.com"\naudience = "x"\nkeys = "keys.json"\n'
    )
    site = Site(tmp_path, parse_settings(text, source="x"))
    assert wire.unpack_site(wire.pack_site(site)) == site
