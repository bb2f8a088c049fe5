"""The program that a client meets first: it knows accounts and passwords, and no mail."""

from mailkeep.server.before_login.gate import Admitted, Gate, TokenHints
from mailkeep.server.before_login.program import LeftBeforeLogin, Outcome, StlsGranted, admit
from mailkeep.server.before_login.visitor import Visitor

__all__ = [
    "Admitted",
    "Gate",
    "LeftBeforeLogin",
    "Outcome",
    "StlsGranted",
    "TokenHints",
    "Visitor",
    "admit",
]
