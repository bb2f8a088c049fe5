"""The downloader: a mailbox becomes files, none lost, none doubled.

The names below are the library: a client for one session. Everything else belongs to
`mailkeep fetch` and is imported from where it stands. They are looked up when they are asked for,
because a command that only prints its help must not wait for TLS.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailkeep.fetch.account import Account, TlsPolicy, Transport, parse_url
    from mailkeep.fetch.client import Client, ListedMessage
    from mailkeep.fetch.failures import (
        FetchFailed,
        LoginRefused,
        NetworkFailed,
        ProtocolBroken,
        ServerBusy,
        TlsRefused,
        TokenNeeded,
        WrongSettings,
    )
    from mailkeep.fetch.listing import Listing
    from mailkeep.sasl import Login
    from mailkeep.values import Secret

__all__ = [
    "Account",
    "Client",
    "FetchFailed",
    "ListedMessage",
    "Listing",
    "Login",
    "LoginRefused",
    "NetworkFailed",
    "ProtocolBroken",
    "Secret",
    "ServerBusy",
    "TlsPolicy",
    "TlsRefused",
    "TokenNeeded",
    "Transport",
    "WrongSettings",
    "parse_url",
]

_HOMES = {
    "Account": "mailkeep.fetch.account",
    "Client": "mailkeep.fetch.client",
    "ListedMessage": "mailkeep.fetch.client",
    "Listing": "mailkeep.fetch.listing",
    "Login": "mailkeep.sasl",
    "Secret": "mailkeep.values",
    "TlsPolicy": "mailkeep.fetch.account",
    "Transport": "mailkeep.fetch.account",
    "parse_url": "mailkeep.fetch.account",
}
"""Where each name is at home; the errors are all in one place."""


def __getattr__(name: str) -> object:
    """Return a name of the library (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "mailkeep.fetch.failures")), name)
