"""What ends a session before its time, beside what ends the run (`mailkeep.fetch.failures`)."""

from mailkeep.fetch.failures import NetworkFailed, ProtocolBroken


class Stopped(Exception):
    """The user wants it to end; what was ended is durable after `Storing.flush`."""


class NothingCame(NetworkFailed):
    """The server was silent for too long; whether it is there at all nobody knows."""


class OtherLength(ProtocolBroken):
    """An answer among pipelined ones is not as long as the message that was asked for.

    Either the server counts in its own way, or this is the answer to something else (S-26).
    """


class MessageTooLong(Exception):
    """A message has more octets than it may have; the connection is of no more use (S-42)."""
