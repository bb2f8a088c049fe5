"""The mechanisms there are: what CAPA lists (RFC 2449 section 6.3) and AUTH starts (RFC 5034).

One table for both, so that what is advertised works.
"""

from collections.abc import Mapping
from types import MappingProxyType

from mailkeep.sasl.mechanism import MechanismFactory
from mailkeep.sasl.plain import PlainServer

_SERVER_MECHANISMS: Mapping[str, MechanismFactory] = MappingProxyType({"PLAIN": PlainServer})


def server_mechanisms() -> Mapping[str, MechanismFactory]:
    """Return how to start each mechanism, best first, by its name in upper case.

    A name is compared without case by upper-casing what the client sent (RFC 5034 section 4).
    """
    return _SERVER_MECHANISMS
