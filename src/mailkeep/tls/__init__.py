"""TLS: the driver of a connection, contexts, certificates, the site's own authority.

A connection needs the names below and nothing heavy. What reads certificates (`certificates`,
`description`, `authority`) imports `cryptography` and is named by those who need it, not here.
"""

from mailkeep.tls.channel import TlsChannel
from mailkeep.tls.contexts import server_context
from mailkeep.tls.errors import (
    AlpnRefused,
    BadHello,
    CertificateProblem,
    NotTls,
    TlsError,
    TlsFailed,
)

__all__ = [
    "AlpnRefused",
    "BadHello",
    "CertificateProblem",
    "NotTls",
    "TlsChannel",
    "TlsError",
    "TlsFailed",
    "server_context",
]
