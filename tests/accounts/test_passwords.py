"""Passwords are kept as argon2id with the settings that were asked for."""

import pytest

from mailkeep.accounts.passwords import Argon2Passwords, HashUnusable
from mailkeep.values import Secret

CHEAP = Argon2Passwords(time_cost=1, memory_kib=8)


def test_todays_settings_are_in_the_hash() -> None:
    """OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, two passes, one lane."""
    kept = Argon2Passwords().hash(Secret(b"x"))
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_is_found_right_or_wrong() -> None:
    """RFC 9106: every octet counts."""
    kept = CHEAP.hash(Secret(b"correct horse"))
    assert CHEAP.verify(kept, Secret(b"correct horse"))
    assert not CHEAP.verify(kept, Secret(b"correct hors"))
    assert not CHEAP.verify(kept, Secret(b"correct horse "))
    assert not CHEAP.verify(kept, Secret(b""))


def test_the_same_password_is_never_kept_the_same_way() -> None:
    """A salt of its own: two users with one password cannot be told."""
    assert CHEAP.hash(Secret(b"x")) != CHEAP.hash(Secret(b"x"))


@pytest.mark.parametrize("settings", [{"time_cost": 2}, {"memory_kib": 16}, {"parallelism": 2}])
def test_other_settings_ask_for_a_new_hash(settings: dict[str, int]) -> None:
    """Settings rise with the years; what is kept follows."""
    kept = CHEAP.hash(Secret(b"x"))
    assert not CHEAP.needs_rehash(kept)
    assert Argon2Passwords(**{"time_cost": 1, "memory_kib": 8, **settings}).needs_rehash(kept)


def test_nobodys_hash_costs_the_same_and_fits_nobody() -> None:
    """An account that is not there must look like one whose password is wrong."""
    kept = CHEAP.hash(Secret(b"x"))
    nobodys = CHEAP.nobodys_hash()
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in kept.split("$")]
    assert nobodys.split("$")[:4] == kept.split("$")[:4]
    assert not CHEAP.needs_rehash(nobodys)
    assert CHEAP.nobodys_hash() != nobodys
    assert not any(CHEAP.verify(nobodys, Secret(guess)) for guess in (b"", b"x", b"\0"))


@pytest.mark.parametrize(
    "kept",
    ["", "x", "$2b$12$abc", "$argon2id$v=19$m=8,t=1,p=1$", "$argon2id$v=19$m=8,t=1,p=1$AA$AA"],
)
def test_a_damaged_hash_is_not_a_wrong_password(kept: str) -> None:
    """Told as a refusal it would make mail programs drop a password that is right."""
    with pytest.raises(HashUnusable):
        CHEAP.verify(kept, Secret(b"x"))


def test_no_memory_is_not_a_wrong_password() -> None:
    """19 MiB a hash: when there is no memory that is the server's trouble."""
    impossible = "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
    with pytest.raises(HashUnusable):
        CHEAP.verify(impossible, Secret(b"x"))
