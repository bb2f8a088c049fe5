"""The bytes of a message: wire form, count, digest, the TOP cut. Pure: standard library only."""

from mailkeep.message.top import TopCut
from mailkeep.message.wire import WireCounter, WireDigest, WireForm

__all__ = ["TopCut", "WireCounter", "WireDigest", "WireForm"]
