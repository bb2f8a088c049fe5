"""A scripted break-in: what the owner did, what the intruder did, what somebody else did."""

from msgspec.structs import replace
from tests.events.conftest import Clock, TrailPlace
from tests.events.samples import read

from mailkeep.events import Event, types

ALICE = "alice@example.com"
NAMES = ("alice@example.com", "alice")
OWNER, INTRUDER = "192.0.2.7:40000", "[2001:db8::bad]:50000"

REFUSED = types.LoginRefused(
    session="guess", peer=INTRUDER, mechanism="PLAIN", reason="wrong password", name="Alice"
)
TLS = types.TlsAgreed(
    session="bad", peer=INTRUDER, version="TLSv1.3", suite="TLS_AES_128_GCM_SHA256"
)
STOLEN = read("stolen", 1000, session="bad", peer=INTRUDER, sha256="ab" * 32)

OWNERS: list[Event] = [
    types.LoginAccepted(
        session="own",
        account=ALICE,
        peer=OWNER,
        mechanism="SCRAM-SHA-256",
        device="laptop",
        familiar=True,
    ),
    read("kept", session="own", peer=OWNER, device="laptop"),
    types.SessionEnded(
        session="own",
        account=ALICE,
        peer=OWNER,
        device="laptop",
        how="QUIT",
        seconds=1.0,
        retrieved=1,
        topped=0,
        octets=100,
        deleted=0,
        removed=0,
    ),
]

INTRUDERS: list[Event] = [
    *(replace(REFUSED, session=f"guess{n}") for n in range(3)),
    replace(REFUSED, session="far", peer="198.51.100.1:1", name="alice@example.com"),
    types.ConnectionOpened(session="bad", peer=INTRUDER, listener="pop3s"),
    TLS,
    types.LoginAccepted(
        session="bad", account=ALICE, peer=INTRUDER, mechanism="PLAIN", familiar=False
    ),
    replace(STOLEN, uidl="looked at", octets=60, command="TOP", body_lines=5, sha256=None),
    STOLEN,
    replace(STOLEN, uidl="twice", octets=500, complete=False),
    replace(STOLEN, uidl="twice", octets=2000),
    replace(STOLEN, uidl="cut off", octets=700, complete=False),
    types.DeletionAsked(session="bad", account=ALICE, uidl="unmarked"),
    types.DeletionsWithdrawn(session="bad", account=ALICE, messages=1),
    types.DeletionAsked(session="bad", account=ALICE, uidl="stolen"),
    types.DeletionAsked(session="bad", account=ALICE, uidl="stays"),
    types.DeletionDone(session="bad", account=ALICE, peer=INTRUDER, uidl="stolen"),
]
"""It was cut off: no end is told."""

OTHERS: list[Event] = [
    replace(REFUSED, session="other", name="bob", peer="203.0.113.1:1"),
    read("bob's", account="bob@example.com", session="bob"),
    types.Started(version="1"),
]


def write(place: TrailPlace, clock: Clock) -> None:
    """Write all of it: the owner's day, a minute later the intruder's, and others' between."""
    place.write(*OWNERS, OTHERS[0])
    clock.move(60)
    place.write(*INTRUDERS[:5], OTHERS[1], *INTRUDERS[5:], OTHERS[2])
