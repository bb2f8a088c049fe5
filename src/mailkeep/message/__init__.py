"""The bytes of a message: wire form, count, digest, dots, the TOP cut. Standard library only."""

from mailkeep.message.dots import DotSearch
from mailkeep.message.top import TopCut
from mailkeep.message.wire import WireCounter, WireDigest, WireForm, digest_of, wire_form

__all__ = [
    "DotSearch",
    "TopCut",
    "WireCounter",
    "WireDigest",
    "WireForm",
    "digest_of",
    "wire_form",
]
