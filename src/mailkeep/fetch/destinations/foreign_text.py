"""What another program has said, made fit to stand in a line that people read."""

TEXT_LIMIT = 200
"""Characters: enough for a reason, too few to hide one in."""


def last_words(octets: bytes, *, limit: int = TEXT_LIMIT) -> str:
    """Return the end of a text without anything that a terminal would act on.

    Args:
        octets: in any encoding.
        limit: in characters.
    """
    text = octets.decode(errors="replace")
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.split())[-limit:].strip()
