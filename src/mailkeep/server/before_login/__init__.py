"""The program that a client meets first: it knows accounts and passwords, and no mail."""

from mailkeep.server.before_login.program import (
    Admitted,
    Gate,
    LeftBeforeLogin,
    Outcome,
    StlsGranted,
    admit,
)

__all__ = ["Admitted", "Gate", "LeftBeforeLogin", "Outcome", "StlsGranted", "admit"]
