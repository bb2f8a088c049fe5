"""The token of a message: the part of its file name that a restart looks for.

Derived from account, unique-id, ordinal and generation, so that it needs nothing but the listing to
be found again, and nothing of what a server says goes into a path as it is (a unique-id may hold
`/` or `..`).
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class MessageKey:
    """Which message of an account.

    Attributes:
        uidl: as the server says it, any octets (RFC 1939 section 7 allows fewer).
        ordinal: 0, or how many messages before it in the listing had the same unique-id.
        generation: 0, or how often the server has used the unique-id for another message.
    """

    uidl: bytes
    ordinal: int = 0
    generation: int = 0


def token_of(account: str, key: MessageKey) -> str:
    """Return `K` and 32 hexadecimal digits, for ever the same for this message.

    Args:
        account: `user@host`, as in `mailkeep.fetch.account.Account.name`.
        key: which message.
    """
    numbers = b"%d %d " % (key.ordinal, key.generation)
    text = account.encode() + b"\0" + numbers + key.uidl
    return "K" + hashlib.sha256(text).hexdigest()[:32]
