"""Messages that have broken POP3 servers: one for every hazard, as octets on a disk.

The project's own, so that no collection of real mail is needed to show the rules. A test that sends
one of them back must give its wire form; what that is, `naive_wire_form` says, written as plainly
as it can be and without a line of the program's.
"""

import re

CHUNK_OCTETS = (1 << 16, 1 << 18)
"""What the program reads at a time; a hazard at such an edge meets the seam between two pieces."""

HEADER = b"From: a@example.test\nTo: b@example.test\nSubject: hazard\n\n"


def naive_wire_form(stored: bytes) -> bytes:
    """Return what must be sent for a stored message, before dots are doubled.

    Sources: RFC 1939 sections 3 (lines end with CRLF) and 11 (what counts as an octet).
    """
    wire = re.sub(rb"(?<!\r)\n", b"\r\n", stored)
    return wire if not wire or wire.endswith(b"\r\n") else wire + b"\r\n"


def naive_top(wire: bytes, body_lines: int) -> bytes:
    """Return what TOP must send of a wire form (RFC 1939 section 7)."""
    lines = wire.split(b"\r\n")[:-1] if wire else []
    if b"" not in lines:
        return wire
    header = lines.index(b"") + 1
    return b"".join(line + b"\r\n" for line in lines[: header + body_lines])


def _at_edges() -> dict[str, bytes]:
    """Return a dot line, a CRLF and a last octet before, on and behind the edge of a chunk."""
    hazards = {}
    for edge in CHUNK_OCTETS:
        for shift in (-2, -1, 0, 1, 2):
            text = HEADER + b"x" * (edge + shift - len(HEADER) - 1)
            where = f"{shift:+d} at {edge}"
            hazards[f"a dot line {where}"] = text + b"\n.\n..\nend\n"
            hazards[f"a CRLF {where}"] = text + b"\r\n.\r\nend\r\n"
            hazards[f"no final newline {where}"] = text
    return hazards


HAZARDS: dict[str, bytes] = {
    "plain": HEADER + b"Hello.\n",
    "stored with CRLF": HEADER.replace(b"\n", b"\r\n") + b"Hello.\r\n",
    "empty": b"",
    "one LF": b"\n",
    "one CRLF": b"\r\n",
    "one CR": b"\r",
    "one dot": b".",
    "one dot line": b".\n",
    "starts with a dot": b".Subject: dot\n\nbody\n",
    "only dots": b".\n..\n...\n....\n",
    "a terminator inside": HEADER + b"before\r\n.\r\nafter\r\n",
    "a terminator at the end": HEADER + b"before\n.\n",
    "a dot without a line end": HEADER + b".",
    "two dots without a line end": HEADER + b"..",
    "dots behind lone CRs": HEADER + b"a\r.\r.\rb\r\r\n.\n",
    "dots behind NUL": HEADER + b"\0.\n.\0\n\0\n.\n",
    "no final newline": HEADER + b"no end",
    "ends with CR": HEADER + b"no end\r",
    "ends with CRCRLF": HEADER + b"two CR\r\r\n",
    "LF, CRLF and CR mixed": HEADER + b"lf\ncrlf\r\ncr\rlf cr\n\rcrcr\r\r\n",
    "header stored with LF, body with CRLF": HEADER + b"one\r\ntwo\r\n",
    "only line ends": b"\n\n\r\n\r\n\n",
    "header only": b"Subject: no empty line\nTo: you\n",
    "header only, no final newline": b"Subject: no empty line",
    "no header": b"\nbody\nonly\n",
    "no header, CRLF": b"\r\nbody\r\nonly\r\n",
    "header ends with CR CR LF": b"Subject: a\r\n\r\r\nbody\r\n\r\nrest\r\n",
    "header ends with spaces": b"Subject: a\n \nstill header\n\nbody\n",
    "mbox lines": b"From me Mon Jan  1 00:00:00 2024\n" + HEADER + b"From here on\n>From there\n",
    "NUL octets": HEADER + b"\0\0\n" + bytes(range(256)) + b"\n",
    "8-bit": HEADER + bytes(range(128, 256)) + b"\n",
    "broken UTF-8": b"Subject: \xc3\xa9 \xc3\n\n\xe2\x82\n\xf0\x9f\x98\n",
    "UTF-16": "Subject: a\n\nbody\n.\n".encode("utf-16"),
    "a line of 1 MB": HEADER + b"x" * 1_000_000 + b"\n.\n",
    "1 MB without a line end": b"x" * 1_000_000,
    "1 MB of dot lines": HEADER + b".\n" * 500_000,
    "1 MB of line ends": b"\n" * 500_000 + b"\r\n" * 250_000,
    "1 MB of CRs": HEADER + b"\r" * 1_000_000,
    "a header of 1 MB": b"X-Long: " + b"y" * 998 + (b"\n " + b"y" * 998) * 1000 + b"\n\nbody\n",
    **_at_edges(),
}
