"""Passwords that are generated for devices: how they look, and what somebody typed means.

They are random, so that nobody guesses them and a fast hash is enough to keep them by. It knows no
account and keeps nothing.
"""

import re
import secrets
import unicodedata
from collections.abc import Callable

from mailkeep.values import Secret

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Thirty-one characters: no i, l, 1, no o, 0, which look alike in many a typeface."""

LETTERS = 25
"""31^25 is 2^123: more than the 100 bits beyond which nobody can try them all."""

GROUP = 5
"""As many as a person carries over from one screen to another at a glance."""

_GENERATED = re.compile(b"[%s]{%d}" % (ALPHABET.encode(), LETTERS))

_TYPED_LIMIT_OCTETS = 256
"""Twenty-five letters, and whatever somebody put between them."""

_BETWEEN = frozenset({"Zs", "Pd"})
"""Unicode categories: spaces and dashes. Word processors make others out of those of ASCII."""


def generate_password(choose: Callable[[str], str] = secrets.choice) -> Secret:
    """Return a new password as it is shown: five groups of five letters with hyphens.

    Args:
        choose: returns one letter of an alphabet, each as likely as any other.
    """
    letters = "".join(choose(ALPHABET) for _ in range(LETTERS))
    groups = (letters[start : start + GROUP] for start in range(0, LETTERS, GROUP))
    return Secret("-".join(groups).encode())


def read_generated(typed_untrusted: Secret) -> Secret | None:
    """Return the letters that somebody typed, without spaces, hyphens and case.

    Returns:
        None when it is not of the form that generated passwords have.
    """
    octets = typed_untrusted.reveal()
    if len(octets) > _TYPED_LIMIT_OCTETS:
        return None
    if octets.isascii():
        plain = octets.translate(None, b" -").lower()
        return Secret(plain) if _GENERATED.fullmatch(plain) else None
    text = octets.decode(errors="replace")
    letters = "".join(c for c in text if unicodedata.category(c) not in _BETWEEN).lower()
    if len(letters) != LETTERS or not set(letters) <= set(ALPHABET):
        return None
    return Secret(letters.encode())


def forms_of(shown: Secret) -> tuple[Secret, Secret]:
    """Return what a mail program may compute from: the password as it is shown, and its letters.

    SCRAM's client hashes what was typed, and the server cannot read it leniently.
    """
    return shown, Secret(shown.reveal().replace(b"-", b""))
