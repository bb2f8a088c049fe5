"""Whether a text of an operator's is a URL that can be asked at.

It must not ask: whether anybody answers there is found out when it is needed.
"""

from urllib.parse import urlsplit


def is_url(text: str, *schemes: str) -> bool:
    """Tell whether a text is an absolute URL with a host (RFC 3986 section 4.3).

    Args:
        text: what an operator wrote.
        schemes: those that are good, in lower case.
    """
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        return False
    is_plain = text.isascii() and text.isprintable() and " " not in text
    return parts.scheme in schemes and bool(parts.hostname) and has_port and is_plain
