"""Mailkeep hands mail over by POP3 and keeps it safe on the way."""
