"""EXTERNAL from the server's side: what TLS has verified says who it is (RFC 4422 appendix A).

No certificate is seen here, so this must be offered only where the client has shown one, and the
name that it asks for is only a wish.
"""

import re

from mailkeep.sasl.mechanism import CertificateAsked, Challenge, SaslFailed
from mailkeep.values import Secret

_NAME = re.compile(rb"[^\x00-\x1f\x7f]*")
"""RFC 4422 appendix A.1 forbids only NUL; no name has other control characters, and whoever sends
one is trying what happens further on."""


class ExternalServer:
    """EXTERNAL from the server's side; see `ServerMechanism`."""

    __slots__ = ("_is_over",)

    def __init__(self) -> None:
        self._is_over = False

    def step(self, response: Secret | None) -> Challenge | CertificateAsked:
        """Ask with an empty challenge (RFC 4422 appendix A.1), or take the name.

        Raises:
            SaslFailed: the name has a control character, or was given before.
        """
        if self._is_over:
            raise SaslFailed("EXTERNAL: the exchange is over")
        if response is None:
            return Challenge(b"")
        self._is_over = True
        if not _NAME.fullmatch(response.reveal()):
            raise SaslFailed("EXTERNAL: there is a control character in the name")
        return CertificateAsked(response.reveal())
