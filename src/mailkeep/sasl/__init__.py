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
    Challenge,
    MechanismFactory,
    PasswordCredentials,
    SaslFailed,
    ServerMechanism,
)
from mailkeep.sasl.registry import server_mechanisms
from mailkeep.sasl.scram import ITERATIONS_LIMIT, ITERATIONS_MINIMUM, ScramKeys
from mailkeep.sasl.scram_server import ScramServer, scram_name_in

__all__ = [
    "CHALLENGE_LIMIT_OCTETS",
    "ITERATIONS_LIMIT",
    "ITERATIONS_MINIMUM",
    "STEPS_LIMIT",
    "USER_PASS",
    "Challenge",
    "ChannelBinding",
    "ClientMechanism",
    "CredentialsRefused",
    "Login",
    "MechanismFactory",
    "NoMechanism",
    "PasswordCredentials",
    "SaslFailed",
    "ScramKeys",
    "ScramServer",
    "ServerMechanism",
    "UnusableLogin",
    "choose_mechanism",
    "client_mechanism",
    "scram_name_in",
    "server_mechanisms",
]
