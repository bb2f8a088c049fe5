"""What random streams are tried on: a certificate, and whoever trusts it."""

from tests.server.certificates import certificates, context, trust

__all__ = ["certificates", "context", "trust"]
