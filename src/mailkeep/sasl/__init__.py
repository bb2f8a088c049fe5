"""SASL mechanisms without I/O (RFC 4422)."""

from mailkeep.sasl.choosing import USER_PASS, NoMechanism, choose_mechanism
from mailkeep.sasl.client import (
    CHALLENGE_LIMIT_OCTETS,
    STEPS_LIMIT,
    ChannelBinding,
    ClientMechanism,
    CredentialsRefused,
    Login,
    UnusableLogin,
)
from mailkeep.sasl.client_registry import client_mechanism
from mailkeep.sasl.mechanism import (
    CertificateAsked,
    Challenge,
    KeyedMechanism,
    KeysWanted,
    MechanismFactory,
    MechanismOutcome,
    OutOfOrder,
    PasswordCredentials,
    SaslFailed,
    ScramProof,
    ServerMechanism,
    TokenCredentials,
    TokenMechanism,
)
from mailkeep.sasl.registry import MechanismOffers, server_mechanisms
from mailkeep.sasl.scram import ITERATIONS_LIMIT, ITERATIONS_MINIMUM, ScramKeys
from mailkeep.sasl.scram_server import ScramMechanism, ScramServer

__all__ = [
    "CHALLENGE_LIMIT_OCTETS",
    "ITERATIONS_LIMIT",
    "ITERATIONS_MINIMUM",
    "STEPS_LIMIT",
    "USER_PASS",
    "CertificateAsked",
    "Challenge",
    "ChannelBinding",
    "ClientMechanism",
    "CredentialsRefused",
    "KeyedMechanism",
    "KeysWanted",
    "Login",
    "MechanismFactory",
    "MechanismOffers",
    "MechanismOutcome",
    "NoMechanism",
    "OutOfOrder",
    "PasswordCredentials",
    "SaslFailed",
    "ScramKeys",
    "ScramMechanism",
    "ScramProof",
    "ScramServer",
    "ServerMechanism",
    "TokenCredentials",
    "TokenMechanism",
    "UnusableLogin",
    "choose_mechanism",
    "client_mechanism",
    "server_mechanisms",
]
