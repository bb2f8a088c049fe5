"""The POP3 server: listeners, connections, and the two programs a session runs through."""

from mailkeep.server.before_login import Gate
from mailkeep.server.certificate import SiteCertificate
from mailkeep.server.holders import Holders
from mailkeep.server.listener import Listener
from mailkeep.server.meeting import Meeting
from mailkeep.server.running import OnReady, RunningSite
from mailkeep.server.server import Server
from mailkeep.server.sockets import CannotListen, Inherited, inherit_sockets, open_listeners

__all__ = [
    "CannotListen",
    "Gate",
    "Holders",
    "Inherited",
    "Listener",
    "Meeting",
    "OnReady",
    "RunningSite",
    "Server",
    "SiteCertificate",
    "inherit_sockets",
    "open_listeners",
]
