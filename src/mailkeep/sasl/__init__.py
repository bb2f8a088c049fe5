"""SASL mechanisms without I/O (RFC 4422)."""

from mailkeep.sasl.mechanism import (
    Challenge,
    MechanismFactory,
    PasswordCredentials,
    SaslFailed,
    ServerMechanism,
)
from mailkeep.sasl.registry import server_mechanisms

__all__ = [
    "Challenge",
    "MechanismFactory",
    "PasswordCredentials",
    "SaslFailed",
    "ServerMechanism",
    "server_mechanisms",
]
