"""Names and passwords in one form, whoever typed them: the PRECIS profiles of RFC 8265.

Two keyboards send "é" as one or as two code points; both are the same name and the same password.
Known limits: the tables of code points come with Python's Unicode version. Characters that RFC 8264
allows or forbids one by one or by their neighbours (sections 9.6 to 9.9) are treated like the rest
of their category, and the rule for right-to-left names (RFC 5893) is not checked. A password may
have invisible characters, because joined emoji have them.
"""

import re
import unicodedata

from mailkeep.values.secret import Secret

_IN_A_NAME = frozenset({"Ll", "Lu", "Lo", "Lm", "Mn", "Mc", "Nd"})
"""Letters, marks and digits: RFC 8264 section 9.1; with printable ASCII this is all of a name."""

_NOT_IN_A_PASSWORD = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
"""Unicode categories: control, surrogate, unassigned, private, line and paragraph separators."""

_PLAIN_NAME = re.compile("[!-~]+")
_PLAIN_PASSWORD = re.compile("[ -~]+")
"""Printable ASCII, where all the rules come to nothing but lower case: nearly every login."""

PREPARED_LIMIT_CHARACTERS = 1024
"""A name or a password longer than this is nobody's; normalising has a cost that grows."""


class NotPrepared(ValueError):
    """A text that can be no name or no password; the reason is for operators."""


def prepare_name(text_untrusted: str) -> str:
    """Return a user name in the form in which names are compared and kept.

    Source: RFC 8265 section 3.3 (UsernameCaseMapped): width mapping, lower case, NFC, and only what
    RFC 8264 section 4.2 (IdentifierClass) allows: no space, symbol, invisible or control character.

    Raises:
        NotPrepared: it is empty, too long, or has a character that no name may have.
    """
    if wrong_length := _wrong_length(text_untrusted):
        raise wrong_length
    if _PLAIN_NAME.fullmatch(text_untrusted):
        return text_untrusted.lower()
    narrow = "".join(_narrow(character) for character in text_untrusted)
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", narrow).lower())
    if not all(_may_be_in_a_name(character) for character in name):
        raise NotPrepared("it has a space, a symbol or an invisible character")
    return name


def prepare_password(password_untrusted: Secret) -> Secret:
    """Return a password as it is hashed and compared.

    Source: RFC 8265 section 4.2 (OpaqueString): non-ASCII spaces become U+0020, then NFC; case and
    width stay. The result is UTF-8.

    Raises:
        NotPrepared: it is empty, too long, not UTF-8, or has a control character.
    """
    prepared = _opaque_string(password_untrusted)
    if isinstance(prepared, NotPrepared):
        raise prepared
    return prepared


def _opaque_string(password_untrusted: Secret) -> Secret | NotPrepared:
    """Return what is wrong instead of raising it.

    An error that rises from here would take this frame along, and its cause the octets: whatever
    prints a traceback with its variables would print the password.
    """
    try:
        text = password_untrusted.reveal().decode()
    except UnicodeDecodeError:
        return NotPrepared("it is not UTF-8")
    if wrong_length := _wrong_length(text):
        return wrong_length
    if _PLAIN_PASSWORD.fullmatch(text):
        return password_untrusted
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    password = unicodedata.normalize("NFC", spaced)
    if any(unicodedata.category(character) in _NOT_IN_A_PASSWORD for character in password):
        return NotPrepared("it has a control or unassigned character")
    return Secret(password.encode())


def _narrow(character: str) -> str:
    """Map a fullwidth or halfwidth character to its ordinary form (RFC 8264 section 5.2.1)."""
    kind, _, code_point = unicodedata.decomposition(character).partition(" ")
    return chr(int(code_point, 16)) if kind in {"<wide>", "<narrow>"} else character


def _may_be_in_a_name(character: str) -> bool:
    """Tell whether it is printable ASCII, or a letter, mark or digit that only looks like itself.

    One that is another in disguise (a ligature, a letter in mathematical bold) is out by RFC 8264
    section 9.17.
    """
    if character.isascii():
        return "!" <= character <= "~"
    ordinary = unicodedata.normalize("NFKC", character) == character
    return ordinary and unicodedata.category(character) in _IN_A_NAME


def _wrong_length(text: str) -> NotPrepared | None:
    if not text:
        return NotPrepared("it is empty")
    if len(text) > PREPARED_LIMIT_CHARACTERS:
        return NotPrepared(f"it is longer than {PREPARED_LIMIT_CHARACTERS} characters")
    return None
