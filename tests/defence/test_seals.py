"""Two passwords have the same seal when they are the same, under the same key."""

from mailkeep.defence.seals import SEAL_OCTETS, Seals
from mailkeep.values import Secret

SEALS = Seals(Secret(b"k" * 32))


def test_the_same_password_has_the_same_seal() -> None:
    """However it was typed: é as one or as two code points."""
    composed, taken_apart = "caf\u00e9".encode(), "cafe\u0301".encode()
    assert SEALS.seal(Secret(composed)) == SEALS.seal(Secret(taken_apart))
    assert len(SEALS.seal(Secret(composed))) == SEAL_OCTETS


def test_other_passwords_and_other_keys_have_others() -> None:
    """What can be no password is sealed as it is."""
    passwords = [b"", b"a", b"A", b"a ", b"\xff", b"\xfe", b"a\0"]
    seals = {SEALS.seal(Secret(it)) for it in passwords}
    assert len(seals) == len(passwords)
    assert Seals(Secret(b"another key")).seal(Secret(b"a")) not in seals
