"""POP3 without I/O (RFC 1939): lines, commands, replies, the state table, dot transparency."""

from mailkeep.pop3 import commands
from mailkeep.pop3.commands import Command
from mailkeep.pop3.dots import DotStuffer
from mailkeep.pop3.replies import TERMINATOR, Err, Ok, OkLines, Reply, ResponseCode
from mailkeep.pop3.server_side import (
    HangUp,
    LocalProtocolError,
    NeedData,
    Refused,
    SaslResponse,
    ServerSide,
)
from mailkeep.pop3.states import Phase, Security

__all__ = [
    "TERMINATOR",
    "Command",
    "DotStuffer",
    "Err",
    "HangUp",
    "LocalProtocolError",
    "NeedData",
    "Ok",
    "OkLines",
    "Phase",
    "Refused",
    "Reply",
    "ResponseCode",
    "SaslResponse",
    "Security",
    "ServerSide",
    "commands",
]
