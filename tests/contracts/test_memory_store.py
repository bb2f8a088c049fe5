"""The store in memory keeps the contract of stores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.maildrop.memory import MemoryStore
from mailkeep.testing.store_contract import Mailbox, StoreContract, whole, wire_form
from mailkeep.values import AccountId, Address, Index, Uidl

ACCOUNT = AccountId(1)


class MemoryNeighbour:
    """Other programs' hands in a store in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def put(self, stored: bytes) -> Uidl:
        return self._store.put(ACCOUNT, stored)

    def put_internationalised(self, stored: bytes) -> Uidl:
        return self._store.put(ACCOUNT, stored, is_internationalised=True)

    def remove(self, uidl: Uidl) -> None:
        self._store.remove(ACCOUNT, uidl)

    def uidls(self) -> set[Uidl]:
        return set(self._store.uidls(ACCOUNT))


def new_mailbox() -> Mailbox:
    store = MemoryStore()
    return Mailbox(store, ACCOUNT, Address("alice", "example.com"), MemoryNeighbour(store))


class TestMemoryStore(StoreContract):
    """The contract, on memory."""

    @pytest.fixture
    def mailbox(self) -> Mailbox:
        return new_mailbox()


@given(st.lists(st.binary(max_size=300), max_size=4))
async def test_any_octets_are_sent_in_wire_form_at_the_announced_size(
    messages: list[bytes],
) -> None:
    """RFC 1939 sections 3 and 11, for any octets as messages."""
    mailbox = new_mailbox()
    for stored in messages:
        mailbox.neighbour.put(stored)
    maildrop = await mailbox.open()
    for place, stored in enumerate(messages):
        assert await whole(maildrop, place) == wire_form(stored)
        assert maildrop.listing.octets(Index(place)) == len(wire_form(stored))


async def test_accounts_have_nothing_in_common() -> None:
    """One account's mail and lease are not another's."""
    store = MemoryStore()
    store.put(ACCOUNT, b"x\n")
    first = await store.open(ACCOUNT, Address("alice", "example.com"), timeout_s=1)
    second = await store.open(AccountId(2), Address("bob", "example.com"), timeout_s=1)
    assert (len(first.listing), len(second.listing)) == (1, 0)
