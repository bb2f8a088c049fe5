"""What a strict client makes of a body on the wire: the judge of everything that sends one.

Responsible for being obviously right: the whole buffer at once, no state, no speed. It must not
know how the server stuffs or cuts.
"""


def unstuff(octets: bytes) -> tuple[bytes, bytes]:
    """Return the body in wire form, and what follows its terminator.

    Lines end with CRLF and nothing else, the body ends at a line that is a lone dot, and exactly
    one leading dot is taken off every other line (RFC 1939 section 3).

    Args:
        octets: what was sent behind the status line.

    Raises:
        ValueError: a line has a bare LF, or there is no terminator.
    """
    *lines, _unfinished = pieces = octets.split(b"\r\n")
    body: list[bytes] = []
    for place, line in enumerate(lines):
        if line == b".":
            return b"".join(body), b"\r\n".join(pieces[place + 1 :])
        if b"\n" in line:
            raise ValueError(f"a bare LF in the line {line[:60]!r}")
        body.append(line.removeprefix(b".") + b"\r\n")
    raise ValueError("no terminator")
