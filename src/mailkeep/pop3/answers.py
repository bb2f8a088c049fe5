"""What a server says, as a client reads it: status lines, capabilities, listings.

Reading is tolerant where nothing hangs on it (case, missing text, several spaces in a listing) and
strict where something does: the first word of a status line, digits, how long a line may be. All
texts are untrusted: they may hold anything but CR LF.

Sources: RFC 1939 sections 3, 5, 7; RFC 2449 sections 3 to 6 and 8; RFC 3206.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STATUS_LIMIT_OCTETS = 8192
"""RFC 1939 section 3 asks for 512; what a server says about a refused token can be longer."""

CAPABILITIES_LIMIT_OCTETS = 1 << 16
"""A server with a thousand capabilities of 64 octets has more than there are names for."""

LISTING_LIMIT_OCTETS = 64 << 20
"""A million messages with unique-ids of 50 octets; a listing is in memory at once (S-54)."""

_STATUS = re.compile(rb"(\+OK|-ERR)(?: (.*))?", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(rb"\[([!-Z\\^-~]{1,100})\] ?")
"""RFC 2449 section 8: a response code stands first, in brackets."""

_SIZE_DIGITS = 15
"""A petabyte: a larger number is nobody's size (S-41)."""
_OCTETS = re.compile(rb"[0-9]{1,%d}" % _SIZE_DIGITS)

_NUMBER = re.compile(rb"0{0,9}[1-9][0-9]{0,9}")


class RemoteProtocolError(Exception):
    """The server does not speak POP3 as it should; the text is for people and may quote it."""


@dataclass(frozen=True, slots=True)
class Status:
    """A status line.

    Attributes:
        code_untrusted: the response code in upper case (`AUTH`, `IN-USE`, `SYS/TEMP`), or "".
        text_untrusted: what follows, as it came.
    """

    is_ok: bool
    code_untrusted: str
    text_untrusted: bytes


def parse_status(line: bytes) -> Status:
    """Return what a status line says.

    Args:
        line: without its CRLF.

    Raises:
        RemoteProtocolError: its first word is neither +OK nor -ERR.
    """
    found = _STATUS.fullmatch(line)
    if not found:
        raise RemoteProtocolError(f"the server said {line[:100]!r} where +OK or -ERR belongs")
    text = found[2] or b""
    code = _CODE.match(text)
    return Status(
        found[1].upper() == b"+OK",
        code[1].decode("ascii").upper() if code else "",
        text[code.end() :] if code else text,
    )


Capabilities = Mapping[str, tuple[str, ...]]
"""Each capability's name in upper case, and its arguments as they came."""


def parse_capabilities(body: bytes) -> Capabilities:
    """Return what CAPA lists (RFC 2449 section 5); of lines said twice the last counts."""
    lines = (line.decode("ascii", "replace").split() for line in body.split(b"\r\n"))
    return {words[0].upper(): tuple(words[1:]) for words in lines if words}


def parse_stat(text: bytes) -> tuple[int, int | None]:
    """Return the messages and octets of a drop listing (RFC 1939 section 5).

    Raises:
        RemoteProtocolError: there is no number of messages.
    """
    words = text.split()
    if not words or not _OCTETS.fullmatch(words[0]):
        raise RemoteProtocolError(f"the server answered STAT with {text[:100]!r}")
    return int(words[0]), parse_octets(words[1]) if len(words) > 1 else None


def parse_octets(word: bytes) -> int | None:
    """Return a size, or None for what can be none: sizes are hints, the terminator decides."""
    return int(word) if _OCTETS.fullmatch(word) else None


def parse_sizes(words: Sequence[bytes]) -> Sequence[int | None]:
    """Return many sizes, as `parse_octets` does one by one, in a third of its time."""
    if b"".join(words).isdigit() and max(map(len, words)) <= _SIZE_DIGITS and b"" not in words:
        return list(map(int, words))
    return list(map(parse_octets, words))


def parse_listing(body: bytes) -> tuple[Sequence[int], Sequence[bytes]]:
    """Return the numbers of LIST's or UIDL's lines, and what stands behind them.

    A unique-id may hold anything that is no line's end (S-35), several spaces included.

    Raises:
        RemoteProtocolError: a line has no number, a number stands twice or is 0.
    """
    words = body.split()
    numbers = words[::2]
    if 2 * len(numbers) == len(words) and _is_plain(body, len(numbers)) and _count_up(numbers):
        return range(1, len(numbers) + 1), words[1::2]
    return _parse_odd_listing(body)


_WHITESPACE = b" \t\n\r\v\f"
"""Where `bytes.split` cuts."""
_NO_WHITESPACE = bytes(sorted(set(range(256)) - set(_WHITESPACE)))


def _is_plain(body: bytes, lines: int) -> bool:
    """Tell whether so many lines have one space each, and twice as many words stand around them.

    Without this a unique-id would lose a tab at its end in `split`, and be another one than in a
    listing with gaps.
    """
    return (
        body.endswith(b"\r\n")
        and body.count(b"\r\n") == lines
        and body.translate(None, _NO_WHITESPACE) == b" \r\n" * lines
    )


_THOUSAND = b"".join(map(b"#%03d ".__mod__, range(1000)))
"""To count by thousands takes a tenth of the time of writing number by number."""


def _count_up(numbers: Sequence[bytes]) -> bool:
    """Tell whether these are 1, 2, 3 and so on, as they nearly always are."""
    counted = [_THOUSAND.replace(b"#00", b"").replace(b"#0", b"").replace(b"#", b"")]
    thousands = range(1, len(numbers) // 1000 + 1)
    counted += [_THOUSAND.replace(b"#", b"%d" % thousand) for thousand in thousands]
    return b"".join(counted).startswith(b"0 " + b" ".join(numbers) + b" ")


def _parse_odd_listing(body: bytes) -> tuple[Sequence[int], Sequence[bytes]]:
    """Go through a listing with gaps, odd spaces or odd unique-ids line by line."""
    found: dict[int, bytes] = {}
    for line in body.split(b"\r\n"):
        if not line:
            continue
        word, _, rest = line.lstrip(b" ").partition(b" ")
        number = int(word) if _NUMBER.fullmatch(word) else 0
        if not number or number in found:
            raise RemoteProtocolError(f"the server listed {line[:100]!r}")
        found[number] = rest.strip(b" ")
    return list(found), list(found.values())
