"""What can go wrong in TLS, with texts for operators. Nothing here is ever sent to a peer.

Errors:
    TlsError                    a connection; the channel that raised it is dead
        NotTls                  the peer does not speak TLS: there is nothing to answer
        BadHello                its ClientHello is malformed or too long
        AlpnRefused             it wants another protocol than POP3
        TlsFailed               the handshake or a record failed
        CertificateRefused      a server's certificate is not one to trust
    CertificateProblem          a certificate or key file that cannot be used
"""

from pathlib import Path


class TlsError(Exception):
    """The connection cannot go on; the channel may still hold an alert to send."""


class NotTls(TlsError):
    """The first octets are no TLS: plain text, HTTP, SSLv2. Close at once."""


class BadHello(TlsError):
    """The ClientHello is malformed or too long."""


class AlpnRefused(TlsError):
    """The client offers application protocols and `pop3` is not among them."""


class TlsFailed(TlsError):
    """The handshake or a record failed."""


class CertificateRefused(TlsError):
    """The server's certificate is not one to trust; nothing was sent to it but the handshake.

    Attributes:
        hint: the next step.
    """

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


class CertificateProblem(Exception):
    """A certificate or key that cannot be used.

    Attributes:
        path: the file to look at.
        reason: what is wrong with it.
        hint: the next step.
    """

    def __init__(self, path: Path, reason: str, hint: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.hint = hint
