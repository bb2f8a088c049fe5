"""One Maildir, two servers: Dovecot and Mailkeep say the same of it, but for what is known.

Where they differ on purpose: Dovecot does not double a dot at the very start of a message, adds a
missing last CRLF without counting it, and sends an empty line for an empty message; RFC 1939
sections 3 and 11 want it as Mailkeep does it. Unique-ids are each server's own.
"""

import pytest
from tests.corpus.collections import NAMES, read_collection
from tests.harness.maildir import lay
from tests.interop.neighbours import Neighbours, read_all, read_by_dovecot
from tests.messages import naive_wire_form


def as_dovecot_sends(stored: bytes) -> bytes:
    """Return what a strict client makes of Dovecot's octets for a stored message."""
    wire = naive_wire_form(stored)
    return wire.removeprefix(b".") if wire else b"\r\n"


def size_that_dovecot_announces(stored: bytes) -> int:
    """Return the size of the wire form without a last CRLF that was missing."""
    return len(stored.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def can_be_compared(stored: bytes) -> bool:
    """Leave out what ends a session with Dovecot: its undoubled first dot, alone on its line."""
    return not naive_wire_form(stored).startswith(b".\r\n")


@pytest.mark.parametrize("collection", NAMES)
def test_both_send_the_same_octets(neighbours: Neighbours, collection: str) -> None:
    """Counts, order, bodies and sizes agree, but for the differences in the head of this file."""
    account = f"compared-{collection}"
    maildir = neighbours.add_account(account)
    messages = read_collection(collection)
    compared = {name: messages[name] for name in messages if can_be_compared(messages[name])}
    for place, message in enumerate(compared.values(), 1):
        lay(maildir, message, place, cur=place % 3 == 0)
    neighbours.own()
    with neighbours.site.session(account) as client:
        ours = read_all(client)
    sizes, theirs = read_by_dovecot(neighbours, account)
    assert ours == [naive_wire_form(message) for message in compared.values()]
    for (name, stored), size, body in zip(compared.items(), sizes, theirs, strict=True):
        assert body == as_dovecot_sends(stored), name
        assert size == size_that_dovecot_announces(stored), name
