"""A mailbox as a server lists it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


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
