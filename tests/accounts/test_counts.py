"""The SCRAM count of a name that has no keys: shared out as the accounts have theirs."""

from hypothesis import given
from hypothesis import strategies as st
from tests.accounts.counting import CountingPasswords, cheap_keying

from mailkeep.accounts.counts import REFRESH_S, CountsInUse, choose_count
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

COUNTS = st.lists(st.tuples(st.integers(4096, 10**6), st.integers(1, 1000)), max_size=5)


@given(COUNTS, st.floats(0, 1, exclude_max=True))
def test_a_count_is_one_in_use(counts: list[tuple[int, int]], share: float) -> None:
    """Or the setting, while none is."""
    chosen = choose_count(counts, share, default=4096)
    assert chosen in ({count for count, _ in counts} or {4096})


def test_a_count_is_as_frequent_as_among_accounts() -> None:
    """Three accounts of four have 5000, and so have three names of four."""
    counts = [(4096, 1), (5000, 3)]
    chosen = [choose_count(counts, share / 1000, default=1) for share in range(1000)]
    assert (chosen.count(4096), chosen.count(5000)) == (250, 750)


async def test_counts_are_read_now_and_then(database: Database) -> None:
    """Not at each login: they change when an account gets its first keys."""
    now_s = [0.0]
    counts = CountsInUse(
        Credentials(database, nobodys_hash=""), default=7000, monotonic_s=lambda: now_s[0]
    )
    await counts.refresh()
    assert counts.choose(0.5) == 7000
    directory = AccountDirectory(
        database, CountingPasswords(), cheap_keying(iterations=5000), by="root"
    )
    directory.add(Address("alice", "example.com"), Secret(b"x"), scram_main=True)
    now_s[0] = REFRESH_S / 2
    await counts.refresh()
    assert counts.choose(0.5) == 7000
    now_s[0] = REFRESH_S
    await counts.refresh()
    assert counts.choose(0.5) == 5000


async def test_scram_is_offered_once_somebody_has_keys(database: Database) -> None:
    """Programs that prefer it fail with passwords that it has no keys of; a notice is enough."""
    counts = CountsInUse(
        Credentials(database, nobodys_hash=""), default=7000, monotonic_s=lambda: 0.0
    )
    await counts.refresh()
    assert not counts.has_any
    directory = AccountDirectory(database, CountingPasswords(), cheap_keying(), by="root")
    alice = Address("alice", "example.com")
    directory.add(alice, Secret(b"x"))
    await counts.refresh(now=True)
    assert not counts.has_any
    directory.devices.add(alice, "printer")
    await counts.refresh()
    assert not counts.has_any
    await counts.refresh(now=True)
    assert counts.has_any
