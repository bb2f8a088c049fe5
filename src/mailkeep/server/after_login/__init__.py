"""The program that serves mail: it knows a maildrop, and no password and no account."""

from mailkeep.server.after_login.program import Session, serve_maildrop
from mailkeep.server.after_login.tally import Tally

__all__ = ["Session", "Tally", "serve_maildrop"]
