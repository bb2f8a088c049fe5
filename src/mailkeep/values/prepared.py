"""Names and passwords in one form, whoever typed them: the PRECIS profiles of RFC 8265.

Two keyboards send "é" as one or as two code points; both are the same name and the same password.
Known limit: the tables of code points come with Python's Unicode version, and of PRECIS' rules
this takes width mapping, case mapping, NFC and the refusal of control and unassigned code points;
the rule for right-to-left names (RFC 5893) is not checked.
"""

import unicodedata

from mailkeep.values.secret import Secret

_REFUSED = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
"""Unicode categories: control, surrogate, unassigned, private, line and paragraph separators."""

PREPARED_LIMIT_CHARACTERS = 1024
"""A name or a password longer than this is nobody's; normalising has a cost that grows."""


class NotPrepared(ValueError):
    """A text that can be no name or no password; the reason is for operators."""


def prepare_name(text_untrusted: str) -> str:
    """Return a user name in the form in which names are compared and kept.

    Source: RFC 8265 section 3.3 (UsernameCaseMapped): width mapping, lower case, NFC.

    Raises:
        NotPrepared: it is empty, too long, or has a space or a character that no name may have.
    """
    _check_length(text_untrusted)
    narrow = "".join(_narrow(character) for character in text_untrusted)
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", narrow).lower())
    _check_characters(name)
    if any(unicodedata.category(character) == "Zs" for character in name):
        raise NotPrepared("a name has no spaces")
    return name


def prepare_password(password_untrusted: Secret) -> Secret:
    """Return a password as it is hashed and compared.

    Source: RFC 8265 section 4.2 (OpaqueString): non-ASCII spaces become U+0020, then NFC; case and
    width stay. The result is UTF-8.

    Raises:
        NotPrepared: it is empty, too long, not UTF-8, or has a control character.
    """
    try:
        text = password_untrusted.reveal().decode()
    except UnicodeDecodeError:
        raise NotPrepared("not UTF-8") from None  # the cause would carry the password
    _check_length(text)
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    password = unicodedata.normalize("NFC", spaced)
    _check_characters(password)
    return Secret(password.encode())


def _narrow(character: str) -> str:
    """Map a fullwidth or halfwidth character to its ordinary form (RFC 8264 section 5.2.1)."""
    kind, _, code_point = unicodedata.decomposition(character).partition(" ")
    return chr(int(code_point, 16)) if kind in {"<wide>", "<narrow>"} else character


def _check_length(text: str) -> None:
    if not text:
        raise NotPrepared("it is empty")
    if len(text) > PREPARED_LIMIT_CHARACTERS:
        raise NotPrepared(f"it is longer than {PREPARED_LIMIT_CHARACTERS} characters")


def _check_characters(text: str) -> None:
    if any(unicodedata.category(character) in _REFUSED for character in text):
        raise NotPrepared("it has a control or unassigned character")
