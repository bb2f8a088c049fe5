"""The small types that every room uses. Pure: standard library only, no clock, no I/O."""

from mailkeep.values.address import Address, InvalidAddress
from mailkeep.values.network import IpAddress
from mailkeep.values.numbers import (
    AccountId,
    DeviceId,
    Index,
    MessageNumber,
    Octets,
    index_of,
    number_of,
)
from mailkeep.values.prepared import NotPrepared, prepare_name, prepare_password
from mailkeep.values.secret import Secret
from mailkeep.values.uidl import UIDL_LIMIT_OCTETS, Uidl, is_uidl

__all__ = [
    "UIDL_LIMIT_OCTETS",
    "AccountId",
    "Address",
    "DeviceId",
    "Index",
    "InvalidAddress",
    "IpAddress",
    "MessageNumber",
    "NotPrepared",
    "Octets",
    "Secret",
    "Uidl",
    "index_of",
    "is_uidl",
    "number_of",
    "prepare_name",
    "prepare_password",
]
