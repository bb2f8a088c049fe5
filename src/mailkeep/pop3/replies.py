"""What a server can say, and how it looks on the wire.

Every reply is built from constants and numbers: nothing that a client sent is said back, so a reply
can neither grow past its limit nor carry somebody's octets (RFC 1939 section 3: 512 octets).
With RESP-CODES advertised no text but a code starts with `[` (RFC 2449 section 8).
"""

from dataclasses import dataclass
from enum import Enum

REPLY_LIMIT_OCTETS = 512
"""RFC 1939 section 3, the line's end included."""

TERMINATOR = b".\r\n"


class ResponseCode(Enum):
    """Why not, for programs."""

    AUTH = b"[AUTH] "
    """The credentials are the problem (RFC 3206 section 4)."""
    IN_USE = b"[IN-USE] "
    """Somebody else has the maildrop (RFC 2449 section 8.1.2)."""
    SYS_TEMP = b"[SYS/TEMP] "
    """The system is the problem, and time may mend it (RFC 3206 section 4)."""
    SYS_PERM = b"[SYS/PERM] "
    """The problem stays until somebody mends it (RFC 3206 section 4)."""
    LOGIN_DELAY = b"[LOGIN-DELAY] "
    """The last login was too short a time ago (RFC 2449 section 8.1.1)."""
    UTF8 = b"[UTF8] "
    """The message goes only to a client that has said UTF8 (RFC 6856 section 5)."""
    NONE = b""


@dataclass(frozen=True, slots=True)
class Ok:
    """`+OK text`; for a multi-line answer, its first line."""

    text: bytes

    def wire(self) -> bytes:
        """Return the octets to send."""
        return b"+OK %b\r\n" % self.text


@dataclass(frozen=True, slots=True)
class OkLines:
    """`+OK text`, some short lines of ours, and the terminator."""

    text: bytes
    lines: tuple[bytes, ...]

    def wire(self) -> bytes:
        """Return the octets to send."""
        return b"\r\n".join((b"+OK %b" % self.text, *self.lines, TERMINATOR))


@dataclass(frozen=True, slots=True)
class Err:
    """`-ERR [code] text`."""

    text: bytes
    code: ResponseCode = ResponseCode.NONE

    def wire(self) -> bytes:
        """Return the octets to send."""
        return b"-ERR %b%b\r\n" % (self.code.value, self.text)


Reply = Ok | OkLines | Err
