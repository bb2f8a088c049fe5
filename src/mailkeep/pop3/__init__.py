"""POP3 without I/O (RFC 1939): lines, commands, replies, the state table, dot transparency."""

from mailkeep.pop3 import commands
from mailkeep.pop3.answers import (
    CAPABILITIES_LIMIT_OCTETS,
    LISTING_LIMIT_OCTETS,
    Capabilities,
    RemoteProtocolError,
    Status,
    parse_capabilities,
    parse_listing,
    parse_octets,
    parse_sizes,
    parse_stat,
)
from mailkeep.pop3.capabilities import CapabilityOffers
from mailkeep.pop3.client_side import Answer, Body, ClientSide, Greeting, ServerChallenge
from mailkeep.pop3.command_lines import INITIAL_RESPONSE_LIMIT_OCTETS, UnsayableCommand
from mailkeep.pop3.commands import Command
from mailkeep.pop3.dots import DotStuffer, stuff
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
    NEED_DATA,
    Event,
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
    "CAPABILITIES_LIMIT_OCTETS",
    "INITIAL_RESPONSE_LIMIT_OCTETS",
    "LISTING_LIMIT_OCTETS",
    "NEED_DATA",
    "REPLY_LIMIT_OCTETS",
    "TERMINATOR",
    "Answer",
    "Body",
    "Capabilities",
    "CapabilityOffers",
    "ClientSide",
    "Command",
    "DotStuffer",
    "Err",
    "Event",
    "Greeting",
    "HangUp",
    "LocalProtocolError",
    "NeedData",
    "Ok",
    "OkLines",
    "Phase",
    "Refused",
    "RemoteProtocolError",
    "Reply",
    "ResponseCode",
    "SaslResponse",
    "Security",
    "ServerChallenge",
    "ServerSide",
    "Status",
    "UnsayableCommand",
    "commands",
    "parse_capabilities",
    "parse_listing",
    "parse_octets",
    "parse_sizes",
    "parse_stat",
    "stuff",
]
