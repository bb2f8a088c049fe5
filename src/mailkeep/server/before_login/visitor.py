"""What is known of a client before it has said who it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from mailkeep.pop3 import CapabilityOffers
from mailkeep.sasl import MechanismFactory
from mailkeep.values import IpAddress


@dataclass(slots=True)
class Visitor:
    """One connection under one state of encryption."""

    session: str
    """The connection's identifier, for events."""
    peer: str
    """Its address and port, for events."""
    source: IpAddress
    """Its address, for the door."""
    mechanisms: Mapping[str, MechanismFactory]
    """What AUTH knows here, best first."""
    capabilities: CapabilityOffers
    """What CAPA lists here."""
    tls: str | None = None
    """The version of TLS; None in clear."""
    certificate: str | None = None
    """SHA-256 (hexadecimal) of the client certificate that TLS verified."""
