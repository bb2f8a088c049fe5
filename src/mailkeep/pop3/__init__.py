"""POP3 without I/O (RFC 1939): lines, commands, replies, the state table, dot transparency."""

from mailkeep.pop3 import commands
from mailkeep.pop3.commands import Command
from mailkeep.pop3.dots import DotStuffer
from mailkeep.pop3.replies import (
    REPLY_LIMIT_OCTETS,
    TERMINATOR,
    Err,
    Ok,
    OkLines,
    Reply,
    ResponseCode,
)
from mailkeep.pop3.server_side import (
    BEHIND_STLS,
    HangUp,
    LocalProtocolError,
    NeedData,
    Refused,
    SaslResponse,
    ServerSide,
)
from mailkeep.pop3.states import Phase, Security

__all__ = [
    "BEHIND_STLS",
    "REPLY_LIMIT_OCTETS",
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
