"""What a header tells before a message is fetched: which message it is, and how old.

TOP asks for it (RFC 1939 section 7). A server that sends the whole body instead is read to its end
and only the header is used (S-49); one that refuses TOP leaves the question open.
"""

import contextlib
import email.utils
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC

from mailkeep.fetch.client import Client
from mailkeep.fetch.failures import ProtocolBroken
from mailkeep.fetch.listing import Listing
from mailkeep.fetch.policy import MIB
from mailkeep.fetch.received import receive_whole
from mailkeep.pop3 import commands
from mailkeep.values import MessageNumber

_HEADER_LIMIT_OCTETS = MIB
"""As in `received`: what is longer is cut there, in both places."""
_ANSWER_LIMIT_OCTETS = 64 * MIB
"""A whole message where a header was asked for; more is somebody who does not stop."""
_WINDOW = 200

_FOLDED = re.compile(rb"\r\n(?=[ \t])")
_RECEIVED = re.compile(rb"^Received:.*;([^;\r]*)", re.IGNORECASE | re.MULTILINE)
_DATE = re.compile(rb"^Date:([^\r]*)", re.IGNORECASE | re.MULTILINE)


async def read_headers(
    client: Client, numbers: Sequence[int], *, pipelined: bool
) -> AsyncIterator[tuple[int, bytes | None]]:
    """Yield the header of each message, its empty line included, or None where TOP is refused.

    Raises:
        ProtocolBroken: an answer has no end.
    """
    window = _WINDOW if pipelined else 1
    for start in range(0, len(numbers), window):
        some = numbers[start : start + window]
        client.send(*(commands.Top(MessageNumber(number), 0) for number in some))
        for number in some:
            answer = await client.answer()
            yield number, await _header(client) if answer.has_body else None


async def _header(client: Client) -> bytes:
    kept = b""
    octets = 0
    async for piece in client.body_pieces():
        octets += len(piece)
        if octets > _ANSWER_LIMIT_OCTETS:
            raise ProtocolBroken(f"TOP is answered with more than {_ANSWER_LIMIT_OCTETS} octets")
        if len(kept) < _HEADER_LIMIT_OCTETS:
            kept += piece
    header, empty_line, _ = kept.partition(b"\r\n\r\n")
    return header + empty_line


def header_hash(header: bytes) -> bytes:
    """Return the hash that `Received.header_sha256` is of the same message."""
    return receive_whole(header).header_sha256


def date_of(header: bytes | None) -> int | None:
    """Return when a message was delivered, in seconds since 1970, or None where nothing says so.

    The topmost `Received:` is the receiving server's own; `Date:` is the sender's claim.
    """
    if header is None:
        return None
    unfolded = _FOLDED.sub(b"", header)
    for pattern in (_RECEIVED, _DATE):
        if found := pattern.search(unfolded):
            with contextlib.suppress(ValueError, OverflowError):
                date = email.utils.parsedate_to_datetime(found[1].decode("ascii", "replace"))
                # One without a zone, or with -0000, is in UTC, wherever this machine is.
                return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    return None


async def identify_by_headers(client: Client, listing: Listing, *, pipelined: bool) -> Listing:
    """Give messages of a server without unique-ids an identity: the hash of their header (S-33).

    Raises:
        ProtocolBroken: there is no TOP either, so nothing tells one message from another.
    """
    uidls = []
    async for number, header in read_headers(client, listing.numbers, pipelined=pipelined):
        if header is None:
            raise ProtocolBroken(
                f"the server has no unique-ids and refuses TOP {number} 0: what was fetched could"
                " not be told from what was not",
            )
        uidls.append(b"header-" + header_hash(header).hex().encode())
    return Listing(listing.numbers, uidls, listing.octets)
