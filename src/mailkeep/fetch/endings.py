"""What ends a session before its time, beside what ends the run (`mailkeep.fetch.failures`)."""


class Stopped(Exception):
    """The user wants it to end; what was ended is durable after `Storing.flush`."""


class MessageTooLong(Exception):
    """A message has more octets than it may have; the connection is of no more use (S-42)."""
