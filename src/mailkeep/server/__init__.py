"""The POP3 server: listeners, connections, and the two programs a session runs through."""

from mailkeep.server.before_login import Gate, TokenHints
from mailkeep.server.certificate import SiteCertificate
from mailkeep.server.control import Control, UnknownNotice, send_notice
from mailkeep.server.holders import Holders
from mailkeep.server.listener import Listener
from mailkeep.server.meeting import Meeting, Offers
from mailkeep.server.running import OnReady, RunningSite, Upkeep
from mailkeep.server.server import Server
from mailkeep.server.sessions import Sessions
from mailkeep.server.sockets import CannotListen, Inherited, inherit_sockets, open_listeners

__all__ = [
    "CannotListen",
    "Control",
    "Gate",
    "Holders",
    "Inherited",
    "Listener",
    "Meeting",
    "Offers",
    "OnReady",
    "RunningSite",
    "Server",
    "Sessions",
    "SiteCertificate",
    "TokenHints",
    "UnknownNotice",
    "Upkeep",
    "inherit_sockets",
    "open_listeners",
    "send_notice",
]
