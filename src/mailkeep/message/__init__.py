"""The bytes of a message: wire form, octet count, the TOP cut. Pure: standard library only."""

from mailkeep.message.top import TopCut
from mailkeep.message.wire import WireCounter, WireForm

__all__ = ["TopCut", "WireCounter", "WireForm"]
