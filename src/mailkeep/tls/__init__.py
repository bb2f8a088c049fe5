"""TLS: both sides' drivers of a connection, contexts, certificates, the site's own authority.

A connection needs the names below and nothing heavy. What reads certificates (`certificates`,
`description`, `authority`) imports `cryptography` and is named by those who need it, not here;
`fingerprints`, `matches_pin` and `server_end_point` import it when they are called.
"""

from mailkeep.tls.binding import server_end_point
from mailkeep.tls.channel import TlsChannel
from mailkeep.tls.client_channel import ClientChannel
from mailkeep.tls.client_contexts import client_context
from mailkeep.tls.contexts import server_context
from mailkeep.tls.errors import (
    AlpnRefused,
    BadHello,
    CertificateProblem,
    CertificateRefused,
    NotTls,
    TlsError,
    TlsFailed,
)
from mailkeep.tls.facts import TlsFacts
from mailkeep.tls.pins import fingerprints, matches_pin

__all__ = [
    "AlpnRefused",
    "BadHello",
    "CertificateProblem",
    "CertificateRefused",
    "ClientChannel",
    "NotTls",
    "TlsChannel",
    "TlsError",
    "TlsFacts",
    "TlsFailed",
    "client_context",
    "fingerprints",
    "matches_pin",
    "server_context",
    "server_end_point",
]
