"""What is kept of device passwords, and where salts come from."""

from hypothesis import given
from hypothesis import strategies as st
from tests.accounts.counting import ITERATIONS, cheap_keying

from mailkeep.accounts.generated import forms_of, generate_password
from mailkeep.accounts.keying import (
    KEY_OCTETS,
    ScramBase,
    divide_scram_keys,
    scram_keys_for,
)
from mailkeep.sasl import ScramKeys
from mailkeep.values import AccountId, Address, Secret

LETTERS = st.binary(max_size=12)
NUMBERS = st.integers(1, 200).map(AccountId)


@given(NUMBERS, LETTERS, NUMBERS, LETTERS)
def test_a_seal_is_of_one_account_and_one_password(
    number: AccountId, letters: bytes, other_number: AccountId, other_letters: bytes
) -> None:
    """No account's number runs into its password, and none is good for another."""
    keying = cheap_keying()
    same = keying.seal(number, Secret(letters)) == keying.seal(other_number, Secret(other_letters))
    assert same == ((number, letters) == (other_number, other_letters))


def test_a_seal_is_of_one_site() -> None:
    """The database alone is not enough to guess with."""
    one, other = cheap_keying(b"a" * 32), cheap_keying(b"b" * 32)
    assert one.seal(AccountId(1), Secret(b"x")) != other.seal(AccountId(1), Secret(b"x"))
    assert one.key_identifier != other.key_identifier


def test_a_salt_is_of_one_name_and_one_site() -> None:
    """It is the same each time and nobody can compute it from outside."""
    address = Address("alice", "example.com")
    base = cheap_keying().base_for(address)
    assert base == ScramBase(cheap_keying().salt_for("alice@example.com"), ITERATIONS)
    assert len(base.salt) == 16
    assert base.salt != cheap_keying().salt_for("bob@example.com")
    assert base.salt != cheap_keying(b"x" * 32).salt_for("alice@example.com")


def test_a_share_is_spread_from_0_up_to_1() -> None:
    """Names share out the counts evenly, each always the same way."""
    keying = cheap_keying()
    shares = [keying.share_of(f"name {number}") for number in range(1000)]
    assert shares[7] == keying.share_of("name 7")
    for tenth in range(10):
        assert 60 < sum(tenth <= share * 10 < tenth + 1 for share in shares) < 140


def test_scram_keys_are_kept_for_both_forms() -> None:
    """RFC 5802 section 3, of the password as it is shown and of its letters."""
    password, base = generate_password(), ScramBase(b"salt", ITERATIONS)
    kept = scram_keys_for(password, base)
    assert len(kept) == 2 * 2 * KEY_OCTETS  # two forms, two keys each
    expected = [ScramKeys.derive(form, base.salt, base.iterations) for form in forms_of(password)]
    assert divide_scram_keys(kept) == [(one.stored_key, one.server_key) for one in expected]
    assert divide_scram_keys(b"") == []
