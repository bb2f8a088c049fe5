"""The store in memory has small messages at hand and sends the others in pieces."""

from mailkeep.maildrop import WholeMessage
from mailkeep.maildrop.memory import PIECE_OCTETS, MemoryStore
from mailkeep.testing.store_contract import whole
from mailkeep.values import AccountId, Address, Index

ALICE = AccountId(1), Address("alice", "example.com")
DIGEST_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


async def test_a_message_of_one_piece_is_at_hand_and_a_longer_one_is_not() -> None:
    """Tests with this store try both ways on which a message can go out."""
    store = MemoryStore()
    for stored in (b"", b"x" * (PIECE_OCTETS - 2), b"x" * (PIECE_OCTETS - 1)):
        store.put(ALICE[0], stored)
    maildrop = await store.open(*ALICE, timeout_s=1)
    assert maildrop.at_hand(Index(0)) == WholeMessage(b"", DIGEST_OF_NOTHING, dots=None)
    message = maildrop.at_hand(Index(1))
    assert message is not None
    assert message.octets == await whole(maildrop, 1)
    assert maildrop.at_hand(Index(2)) is None
    await maildrop.close()
