"""The POP3 server: listeners, connections, and the two programs a session runs through."""

from mailkeep.server.before_login import Gate, TokenHints
from mailkeep.server.certificate import SiteCertificate
from mailkeep.server.control import Control, UnknownNotice, send_notice
from mailkeep.server.holders import Holders
from mailkeep.server.listener import Listener
from mailkeep.server.meeting import Meeting, Offers
from mailkeep.server.running import OnReady, RunningSite, Upkeep
from mailkeep.server.server import Server
from mailkeep.server.serving import Serving, ServingHere, for_mail
from mailkeep.server.sessions import Sessions
from mailkeep.server.sockets import (
    CannotListen,
    Inherited,
    inherit_sockets,
    open_listeners,
    share_listeners,
)
from mailkeep.server.workers import Ears, Workers

__all__ = [
    "CannotListen",
    "Control",
    "Ears",
    "Gate",
    "Holders",
    "Inherited",
    "Listener",
    "Meeting",
    "Offers",
    "OnReady",
    "RunningSite",
    "Server",
    "Serving",
    "ServingHere",
    "Sessions",
    "SiteCertificate",
    "TokenHints",
    "UnknownNotice",
    "Upkeep",
    "Workers",
    "for_mail",
    "inherit_sockets",
    "open_listeners",
    "send_notice",
    "share_listeners",
]
