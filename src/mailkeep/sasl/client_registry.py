"""The mechanisms that a client speaks, by the name that AUTH gives them (RFC 5034 section 4)."""

from mailkeep.sasl.choosing import PLUS, TOKEN_MECHANISMS, NoMechanism
from mailkeep.sasl.client import ChannelBinding, ClientMechanism, Login, UnusableLogin
from mailkeep.sasl.external_client import ExternalClient
from mailkeep.sasl.oauth_client import OauthBearerClient, Xoauth2Client
from mailkeep.sasl.plain_client import PlainClient
from mailkeep.sasl.scram_client import ScramClient


def client_mechanism(
    name: str,
    login: Login,
    *,
    nonce: str,
    binding: ChannelBinding | None,
    offers_plus: bool,
    host: str,
    port: int,
) -> ClientMechanism:
    """Start an exchange.

    Args:
        name: as `choose_mechanism` returns it; `USER` is no mechanism.
        nonce: random and new, printable ASCII without a comma; only SCRAM uses it.
        binding: of this connection, if it is known.
        offers_plus: the server lists SCRAM-SHA-256-PLUS.
        host: as the user names it, in ASCII.
        port: that the client is connected to.

    Raises:
        NoMechanism: there is none of this name.
        UnusableLogin: the mechanism wants a password and there is a token, or the reverse.
        ValueError: SCRAM-SHA-256-PLUS without a binding, or a nonce or host that is none.
    """
    if name != ExternalClient.name and (name in TOKEN_MECHANISMS) != login.is_token:
        have = "token" if login.is_token else "password"
        raise UnusableLogin(f"{name} does not go with a {have}")
    match name:
        case "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS":
            plus = name == PLUS
            return ScramClient(login, nonce, binding, plus=plus, offers_plus=offers_plus)
        case "PLAIN":
            return PlainClient(login)
        case "EXTERNAL":
            return ExternalClient()
        case "OAUTHBEARER":
            return OauthBearerClient(login, host, port)
        case "XOAUTH2":
            return Xoauth2Client(login)
        case _:
            raise NoMechanism(f"{name} is no mechanism of SASL that is spoken here")
