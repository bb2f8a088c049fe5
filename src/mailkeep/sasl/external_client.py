"""EXTERNAL from the client's side: the certificate of TLS says who we are (RFC 4422 appendix A).

It is used only where the user asks for it by name: it depends on a certificate that is not seen
here, and a server that takes it without one would let in anybody.
"""

from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.values import Secret


class ExternalClient:
    """EXTERNAL from the client's side; see `ClientMechanism`."""

    name = "EXTERNAL"
    refusal: str | None = None

    def start(self) -> Secret:
        """Return the empty authzid: the server takes the name from the certificate."""
        return Secret(b"")

    def step(self, challenge: bytes) -> Secret:
        """Refuse: the one response was all.

        Raises:
            SaslFailed: always.
        """
        raise SaslFailed(f"EXTERNAL: the server asks for more, with {len(challenge)} octets")

    def finish(self) -> None:
        """Take +OK as it is: TLS has shown who the server is."""
