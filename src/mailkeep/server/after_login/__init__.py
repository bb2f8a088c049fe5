"""The program that serves an open maildrop: it knows mail, and no accounts and passwords."""

from mailkeep.server.after_login.program import Session, serve_maildrop
from mailkeep.server.after_login.telling import Telling

__all__ = ["Session", "Telling", "serve_maildrop"]
