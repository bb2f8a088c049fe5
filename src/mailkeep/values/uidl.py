"""The unique-id of a message (RFC 1939 section 7)."""

import re
from typing import NewType

Uidl = NewType("Uidl", bytes)
"""One to seventy characters from 0x21 to 0x7E; never changed, never given to another message."""

UIDL_LIMIT_OCTETS = 70
_UIDL = re.compile(rb"[\x21-\x7e]{1,%d}" % UIDL_LIMIT_OCTETS)


def is_uidl(octets: bytes) -> bool:
    """Tell whether `octets` may go over the wire as a unique-id."""
    return _UIDL.fullmatch(octets) is not None
