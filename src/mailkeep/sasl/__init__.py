"""SASL mechanisms without I/O (RFC 4422). Nonces and time are arguments."""

from mailkeep.sasl.mechanism import Challenge, PasswordCredentials, SaslFailed, ServerMechanism

__all__ = ["Challenge", "PasswordCredentials", "SaslFailed", "ServerMechanism"]
