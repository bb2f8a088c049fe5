"""Numbers that must not be mixed up: a message-number counts from 1, an index from 0.

A message number used as an index turns `DELE 0` into the removal of the last message, so the two
are different types and only the functions below convert between them.
"""

from typing import NewType

AccountId = NewType("AccountId", int)
"""An account of this site, for ever: a removed account's number is not given out again."""

DeviceId = NewType("DeviceId", int)
"""A device of this site, for ever: a revoked device's number is not given out again."""

MessageNumber = NewType("MessageNumber", int)
"""RFC 1939 section 5: from 1, fixed for the length of a session."""

Index = NewType("Index", int)
"""A place in a snapshot of a maildrop, from 0."""

Octets = NewType("Octets", int)
"""RFC 1939 section 11: the length of a message in wire form, before dot-stuffing."""


def index_of(number: MessageNumber) -> Index:
    """Return the place of message `number` in the snapshot."""
    return Index(number - 1)


def number_of(index: Index) -> MessageNumber:
    """Return the message-number that a client knows `index` by."""
    return MessageNumber(index + 1)
