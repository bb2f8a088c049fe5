"""A mailbox as a server lists it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Overview:
    """What STAT and UIDL say of a mailbox, as it came.

    Attributes:
        messages: how many STAT counts.
        totals: the text behind STAT's +OK: messages and octets.
        uidls: UIDL's lines; None if the server has no unique-ids.
    """

    messages: int
    totals: bytes
    uidls: bytes | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The whole mailbox, in columns: a hundred thousand messages are no hundred thousand objects.

    Attributes:
        numbers: ascending.
        uidls: None if the server has no unique-ids.
        octets: as announced, None where it is no size.
        is_contradicted: UIDL and LIST do not name the same messages (S-29).
    """

    numbers: Sequence[int]
    uidls: Sequence[bytes] | None
    octets: Sequence[int | None]
    is_contradicted: bool = False
