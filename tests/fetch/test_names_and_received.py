"""A message's name on disk and its hashes: the same for ever, however it arrives."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.messages import HAZARDS

from mailkeep.fetch.names import MessageKey, token_of
from mailkeep.fetch.received import Received, Receiving, receive_whole

MIB = 1 << 20


@pytest.mark.parametrize(
    ("key", "token"),
    [
        (MessageKey(b"1"), "Kd19d75c49355689e38be27272d80e758"),
        (MessageKey(b"1", 2, 3), "Kf0e8fbbb746a6309cd9e291dd1cedd0b"),
    ],
)
def test_tokens_are_those_of_the_first_release(key: MessageKey, token: str) -> None:
    """A version that names files otherwise would store all mail again after a crash.

    SHA-256 of `alice@host`, NUL, ordinal, generation and unique-id, as `sha256sum` prints it.
    """
    assert token_of("alice@host", key) == token


@pytest.mark.parametrize(
    "uidl",
    [
        b"",
        b"a" * 70,
        b"x" * 100_000,
        b"../../../etc/passwd",
        b"/",
        b"..",
        b"\0",
        b"\r\n",
        b'"; rm -rf ~; "',
        bytes(range(256)),
    ],
)
def test_a_token_has_nothing_of_what_a_server_says(uidl: bytes) -> None:
    """S-35, S-57: no unique-id is a path, a shell word or too long for a file name."""
    assert re.fullmatch(r"K[0-9a-f]{32}", token_of("alice@host", MessageKey(uidl)))


KEYS = st.builds(MessageKey, st.binary(max_size=6), st.integers(0, 10**20), st.integers(0, 10**20))
ACCOUNTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@given(ACCOUNTS, KEYS, ACCOUNTS, KEYS)
def test_tokens_are_equal_only_for_the_same_message(
    account: str, key: MessageKey, other_account: str, other: MessageKey
) -> None:
    """Account, unique-id, ordinal and generation cannot be cut in two ways."""
    is_same = (account, key) == (other_account, other)
    assert (token_of(account, key) == token_of(other_account, other)) is is_same


@pytest.mark.parametrize(
    ("key", "other"),
    [
        (MessageKey(b"1 1", 1, 1), MessageKey(b"1", 1, 11)),
        (MessageKey(b"0 x", 1, 2), MessageKey(b"x", 1, 20)),
        (MessageKey(b"", 11, 1), MessageKey(b"", 1, 11)),
    ],
)
def test_numbers_and_unique_ids_do_not_run_into_each_other(
    key: MessageKey, other: MessageKey
) -> None:
    """What a server may choose as a unique-id makes no other message's token."""
    assert token_of("a@b", key) != token_of("a@b", other)


def naive(octets: bytes) -> Received:
    """Say it as plainly as it can be: all octets, and those up to the first empty line."""
    header = octets[:MIB]
    if octets.startswith(b"\r\n"):
        header = b"\r\n"
    elif (end := octets.find(b"\r\n\r\n")) >= 0 and end + 4 <= MIB:
        header = octets[: end + 4]
    return Received(len(octets), hashlib.sha256(octets).digest(), hashlib.sha256(header).digest())


SHORT = [
    b"",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\r\nbody\r\n\r\nmore",
    b"a: b\r\n\r\nbody\r\n\r\nmore\r\n",
    b"a: b\r\n",
    b"a: b\r\n\r",
    b"a: b\r\n\r\n",
    b"a\r\r\n\r\n\r\n",
    b"a\n\nb\r\n\r\n",
    b"\n\r\n\r\n",
]


@pytest.mark.parametrize("octets", SHORT)
def test_pieces_do_not_matter_at_every_split(octets: bytes) -> None:
    """S-47: the network cuts where it likes, in the middle of an empty line too."""
    expected = naive(octets)
    assert receive_whole(octets) == expected
    for first in range(len(octets) + 1):
        for second in range(first, len(octets) + 1):
            receiving = Receiving()
            for piece in (octets[:first], octets[first:second], octets[second:]):
                receiving.feed(piece)
            assert receiving.finish() == expected


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b""]), max_size=12))
def test_any_pieces_give_what_the_whole_gives(pieces: list[bytes]) -> None:
    """The hash of a header is compared with that of TOP's answer, which comes in other pieces."""
    receiving = Receiving()
    for piece in pieces:
        receiving.feed(piece)
    assert receiving.octets == sum(map(len, pieces))
    assert receiving.finish() == naive(b"".join(pieces))


@pytest.mark.parametrize("shift", range(-5, 6))
@pytest.mark.parametrize("piece", [MIB - 7, 65_536, 10 * MIB])
def test_a_header_is_cut_at_the_same_place_in_any_pieces(shift: int, piece: int) -> None:
    """S-49, S-54: a header without an end takes a megabyte of memory and no more."""
    octets = b"x" * (MIB + shift) + b"\r\n\r\n" + b"y" * 100
    receiving = Receiving()
    for start in range(0, len(octets), piece):
        receiving.feed(octets[start : start + piece])
    assert receiving.finish() == naive(octets)


@pytest.mark.parametrize("name", HAZARDS)
def test_hazards_are_hashed_as_they_came(name: str) -> None:
    """Nothing is decoded, added or taken away."""
    assert receive_whole(HAZARDS[name]) == naive(HAZARDS[name])
