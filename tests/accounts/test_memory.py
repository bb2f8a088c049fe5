"""What is remembered of a right password fits that login and no other."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mailkeep.accounts import Account, AccountState
from mailkeep.accounts.credentials import Credential
from mailkeep.accounts.memory import PasswordMemory
from mailkeep.values import AccountId, Address, Secret

NEVER = datetime.fromtimestamp(0, UTC)
PASSWORD = Secret(b"correct horse")
REMEMBERED_S = 300.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def credential(number: int = 1, version: int = 1, password_hash: str = "hash") -> Credential:
    address = Address("alice", "mail.example.com")
    account = Account(AccountId(number), address, AccountState.ENABLED, NEVER, NEVER)
    return Credential(account, version, password_hash)


def test_a_right_password_is_remembered_for_five_minutes_and_no_longer() -> None:
    """From when argon2 found it right: using it does not make it last."""
    clock = Clock()
    memory = PasswordMemory(clock, lifetime_s=REMEMBERED_S)
    assert not memory.recalls(credential(), PASSWORD)
    memory.remember(credential(), PASSWORD)
    for _ in range(10):
        clock.now_s += REMEMBERED_S / 10 - 0.001
        assert memory.recalls(credential(), PASSWORD)
    clock.now_s += 0.01
    assert not memory.recalls(credential(), PASSWORD)


LOGINS = st.builds(
    lambda number, version, kept, password: (credential(number, version, kept), Secret(password)),
    st.integers(1, 12),
    st.integers(1, 12),
    st.text("1 a", max_size=3),
    st.binary(max_size=3) | st.text("1 a", max_size=3).map(str.encode),
)


@given(LOGINS, LOGINS)
def test_each_part_of_a_login_counts(
    one: tuple[Credential, Secret], other: tuple[Credential, Secret]
) -> None:
    """Account, version, hash, password: with another value of any of them nothing is recalled."""
    memory = PasswordMemory(Clock(), lifetime_s=REMEMBERED_S)
    memory.remember(*one)
    assert memory.recalls(*one)
    assert memory.recalls(*other) == (one == other)


def test_no_part_of_a_login_runs_into_the_next() -> None:
    """The same characters, divided otherwise, are another login: each division has its own seal."""
    memory = PasswordMemory(Clock(), lifetime_s=REMEMBERED_S)
    seals = {
        memory._seal(credential(number, version, text[:end]), Secret(text[end:].encode()))
        for number, version, text in ((1, 11, "1 1 11"), (11, 1, "1 1 11"), (1, 1, "1 1 1 11"))
        for end in range(len(text) + 1)
    }
    assert len(seals) == 7 + 7 + 9


def test_a_changed_or_removed_account_is_not_recalled() -> None:
    """The row is read at each login; what it says now is what counts."""
    memory = PasswordMemory(Clock(), lifetime_s=REMEMBERED_S)
    memory.remember(credential(), PASSWORD)
    assert not memory.recalls(replace(credential(), version=2), PASSWORD)
    assert not memory.recalls(credential(number=2), PASSWORD)
    restored = replace(credential(), password_hash="another salt")
    assert not memory.recalls(restored, PASSWORD), "a restored backup counts its versions again"


def test_another_process_would_remember_it_otherwise() -> None:
    """The key is random: what is read from one process's memory is of no use elsewhere."""
    one, other = (PasswordMemory(Clock(), lifetime_s=REMEMBERED_S) for _ in range(2))
    assert one._seal(credential(), PASSWORD) != other._seal(credential(), PASSWORD)


def test_neither_password_nor_hash_is_kept() -> None:
    """Only the keyed hash is: the password of a session that ended is nowhere."""
    memory = PasswordMemory(Clock(), lifetime_s=REMEMBERED_S)
    memory.remember(credential(password_hash="the kept hash"), PASSWORD)
    told = f"{vars(memory)}"
    assert "correct horse" not in told
    assert "the kept hash" not in told


def test_wrong_guesses_make_nobody_be_forgotten() -> None:
    """Else a guesser could make every login of others cost an argon2."""
    memory = PasswordMemory(Clock(), lifetime_s=REMEMBERED_S, limit=2)
    memory.remember(credential(1), PASSWORD)
    for number in range(1, 50):
        assert not memory.recalls(credential(number), Secret(b"guess"))
    assert memory.recalls(credential(1), PASSWORD)


def test_the_memory_is_bounded_and_forgets_who_was_unused_for_longest() -> None:
    """Everything has a limit: a named one, and what goes first is what is needed least."""
    memory = PasswordMemory(Clock(), lifetime_s=REMEMBERED_S, limit=3)
    for number in (1, 2, 3):
        memory.remember(credential(number), PASSWORD)
    assert memory.recalls(credential(1), PASSWORD)
    memory.remember(credential(4), PASSWORD)
    assert len(memory) == 3
    recalled = [n for n in range(1, 5) if memory.recalls(credential(n), PASSWORD)]
    assert recalled == [1, 3, 4]
