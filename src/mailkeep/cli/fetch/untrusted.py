"""What a server said, made harmless for a terminal, a log and a table.

Escape codes and bidirectional controls become visible escapes, lines become one line, and no text
fills a screen. Letters of every script stay as they are.
"""

from mailkeep.cli.talk import printable

LIMIT_CHARACTERS = 200
"""Of a text from outside: enough for a reason and an address to ask, too little to flood."""
_CUT = "..."
_BACKSLASH = ord("\\")


def show_text(text_untrusted: str) -> str:
    """Return a text of one printable line and at most 200 characters."""
    return cut(printable(cut(text_untrusted, LIMIT_CHARACTERS)), LIMIT_CHARACTERS)


def show_octets(octets_untrusted: bytes) -> str:
    r"""Return octets as text in ASCII that tells each of them: `a\\b`, `\x1b`.

    RFC 1939 section 7 allows 0x21 to 0x7E in a unique-id; the rest, and the backslash, are escaped.
    """
    return "".join(
        chr(octet) if 0x21 <= octet <= 0x7E and octet != _BACKSLASH else _escape(octet)
        for octet in octets_untrusted
    )


def cut(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, with three dots where some are missing."""
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT


def _escape(octet: int) -> str:
    return "\\\\" if octet == _BACKSLASH else f"\\x{octet:02x}"
