"""The mechanisms there are: what CAPA lists (RFC 2449 section 6.3) and AUTH starts (RFC 5034).

One table for both, so that what is advertised works. What a connection can offer is told by
whoever knows it; that passwords and tokens need TLS is the server's rule.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mailkeep.sasl.choosing import PLUS
from mailkeep.sasl.client import ChannelBinding
from mailkeep.sasl.external_server import ExternalServer
from mailkeep.sasl.mechanism import MechanismFactory, ServerMechanism
from mailkeep.sasl.oauth_server import OauthBearerServer, Xoauth2Server
from mailkeep.sasl.plain import PlainServer
from mailkeep.sasl.scram_server import ScramMechanism


@dataclass(frozen=True, slots=True)
class MechanismOffers:
    """What one connection can offer besides PLAIN.

    Attributes:
        nonce: draws one for an exchange of SCRAM: random, printable ASCII without a comma; 18
            octets in base64 are good (RFC 5802 section 5.1, `r`).
        scram: the site keeps keys of SCRAM.
        binding: of this connection. With it SCRAM-SHA-256-PLUS is offered, and a client that could
            bind and was not told so is refused; without it such a client is welcome.
        tokens: the site knows how to check tokens of OAuth 2.0.
        certificate: the client has shown a certificate that TLS has verified.
    """

    nonce: Callable[[], str]
    scram: bool
    binding: ChannelBinding | None
    tokens: bool
    certificate: bool


def server_mechanisms(offers: MechanismOffers) -> Mapping[str, MechanismFactory]:
    """Return how to start each mechanism, best first, by its name in upper case.

    A name is compared without case by upper-casing what the client sent (RFC 5034 section 4).
    """
    there: dict[str, MechanismFactory] = {}
    if offers.certificate:
        there["EXTERNAL"] = ExternalServer
    if offers.scram and offers.binding is not None:
        there[PLUS] = lambda: _scram(offers, plus=True)
    if offers.scram:
        there["SCRAM-SHA-256"] = lambda: _scram(offers, plus=False)
    if offers.tokens:
        there["OAUTHBEARER"] = OauthBearerServer
        there["XOAUTH2"] = Xoauth2Server
    there["PLAIN"] = PlainServer
    return MappingProxyType(there)


def _scram(offers: MechanismOffers, *, plus: bool) -> ServerMechanism:
    return ScramMechanism(offers.nonce(), offers.binding, plus=plus)
