"""Which main passwords may be taken: long enough, and not what a guesser tries first.

NIST SP 800-63B-4 section 3.1.1.2: a minimum length, a blocklist, no rules of composition. What is
judged is what a guesser has left to guess once the account's own names, a common word and runs of
neighbouring keys are taken out of the password. It knows no account and keeps nothing.

Known limits: the blocklist is short, about the words that a long password is padded from; for more
there is an operator's own file. Words are searched for in small letters with the usual signs in the
place of letters (`p@ssw0rd`), and in no other disguise. Of a sorted file only what a search meets
is checked.
"""

import functools
import hashlib
import importlib.resources
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mailkeep.values import Address, NotPrepared, Secret, prepare_password

LEFT_TO_GUESS_CHARACTERS = 8
"""NIST SP 800-63B-4 section 3.1.1.2: shorter is not accepted even beside a second factor."""

RUN_CHARACTERS = 4
"""Neighbours in a row before they count as a run; `rty` and `hij` are in many words."""

_NAME_CHARACTERS = 3
"""A name shorter than this is found in words by chance."""

_NEIGHBOURS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiopü",
    "asdfghjklöä",
    "yxcvbnm,.-",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn,;:!",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "1qay2wsx3edc4rfv5tgb6zhn7ujm",
    "qazwsxedcrfvtgbyhnujmikolp",
    "!qaz@wsx#edc$rfv%tgb^yhn&ujm",
    "!@#$%^&*()_+",
    '!"§$%&/()=?',
)
"""The alphabet, the digits and the keys of the usual keyboards, by rows and by columns."""

_RUNS = "\n".join((*_NEIGHBOURS, *(line[::-1] for line in _NEIGHBOURS)))

_ORDINARY = str.maketrans("@431!|0$57l", "aaeiiiossti")
"""What stands for a letter, and the letters that are mixed up: `l` for `i` on both sides."""

_SEPARATORS = re.compile(r"[._+\-@]+")

_SHA1_LINE = re.compile(rb"([0-9A-Fa-f]{40})(?::[0-9]{1,12})?")
_NTLM_LINE = re.compile(rb"[0-9A-Fa-f]{32}(?::[0-9]{1,12})?")
_NOT_IN_A_LIST = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_SHA1_LINE_LIMIT_OCTETS = 64
"""40 digits, a colon, a count, CR LF."""

_FIRST_LINE_LIMIT_OCTETS = 8192
"""Twice the longest password that can be prepared."""

_BLOCK_OCTETS = 1 << 20
"""Read at a time from a list without order; a password is far shorter."""


class BreachedFileProblem(Exception):
    """A file of breached passwords cannot be searched.

    Attributes:
        path: of the file.
        reason: why.
        hint: the next step, for an operator.
    """

    def __init__(self, path: Path, reason: str, hint: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.hint = hint


class Breached:
    """An operator's own file of passwords that others know.

    It has either a password a line, in any order, or lines `SHA1[:COUNT]` sorted by the SHA-1, as
    Have I Been Pwned has them; the first line tells which. The sorted form is searched in some
    forty short reads, however large it is; the other is read from the start, which is quick enough
    for some hundred megabytes. It is opened anew for each question, so it can be replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, password: Secret) -> bool:
        """Tell whether a prepared password is in the file.

        Raises:
            BreachedFileProblem: it cannot be read, or is in neither form, or not sorted.
        """
        try:
            with self._path.open("rb") as file:
                if self._is_sorted_form(file):
                    digest = hashlib.sha1(password.reveal(), usedforsecurity=False)
                    return self._search(file, digest.hexdigest().upper().encode())
                return _is_a_line(file, password.reveal())
        except OSError as cause:
            reason = f"cannot be read: {cause.strerror}"
            raise self._problem(reason, "check the path and who may read it") from cause

    def _is_sorted_form(self, file: BinaryIO) -> bool:
        first = file.readline(_FIRST_LINE_LIMIT_OCTETS)
        if not first:
            raise self._problem("is empty", "remove the setting, or download the file again")
        line = first.rstrip(b"\r\n")
        if _NTLM_LINE.fullmatch(line):
            raise self._problem("has NTLM hashes", "download the list of SHA-1 hashes instead")
        if _NOT_IN_A_LIST.search(line):
            raise self._problem("is not a text file", "if it is an archive, unpack it first")
        return _SHA1_LINE.fullmatch(line) is not None

    def _search(self, file: BinaryIO, wanted: bytes) -> bool:
        """Search for a hash by halves: its line starts at `low` or later, and before `high`.

        What is met on the way must lie between what was met before, or the file is not sorted.
        """
        low, high = 0, file.seek(0, 2)
        floor, ceiling = b"", b"G"
        while low < high:
            start, end, found = self._line_around(file, (low + high) // 2, low, high)
            if not floor <= found <= ceiling:
                raise self._problem("is not sorted by its hashes", "sort it: LC_ALL=C sort FILE")
            if found == wanted:
                return True
            if found < wanted:
                low, floor = end, found
            else:
                high, ceiling = start, found
        return False

    def _line_around(
        self, file: BinaryIO, place: int, low: int, high: int
    ) -> tuple[int, int, bytes]:
        """Return where the line around a place starts, where the next one does, and its hash."""
        first = max(low, place - _SHA1_LINE_LIMIT_OCTETS)
        file.seek(first)
        window = file.read(min(high, place + _SHA1_LINE_LIMIT_OCTETS) - first)
        begin = window.rfind(b"\n", 0, place - first) + 1
        end = window.find(b"\n", place - first) + 1 or len(window)
        match = _SHA1_LINE.fullmatch(window[begin:end].rstrip(b"\r\n"))
        if match is None:
            raise self._problem(
                f"is damaged near octet {place}: a line is not SHA1:COUNT",
                "download it again, or sort and check what was added by hand",
            )
        return first + begin, first + end, match[1].upper()

    def _problem(self, reason: str, hint: str) -> BreachedFileProblem:
        return BreachedFileProblem(self._path, reason, hint)


def judge_password(
    password: Secret, *, address: Address, minimum_length: int, breached: Breached | None
) -> str | None:
    """Return why a password cannot be an account's main password; `None` when it may.

    Args:
        password: as it was typed.
        address: whose it shall be.
        minimum_length: in characters of its prepared form.
        breached: the operator's own list, if there is one.

    Raises:
        BreachedFileProblem: the list cannot be searched.
    """
    try:
        prepared = prepare_password(password)
    except NotPrepared as cause:
        return str(cause)
    text = prepared.reveal().decode()
    if len(text) < minimum_length:
        return f"it is shorter than {minimum_length} characters"
    if reason := _guessed_early(text.casefold(), address):
        return reason
    if breached is not None and breached.holds(prepared):
        return "it is in the file of passwords that others know"
    return None


def _guessed_early(text: str, address: Address) -> str | None:
    """Return what a guesser would try before long, if the text is no more than that."""
    text = text[: _period(text)]
    if len(text) < LEFT_TO_GUESS_CHARACTERS:
        return "it is a few characters over and over"
    left = _Left(text)
    if left.without_runs():
        return "it is made of neighbouring keys, or of letters or digits in their order"
    if left.without_words(_names(address), count=2):
        return "it is hardly more than the account's own name"
    if left.without_words(_common_words(), count=1) or left.without_second_word():
        return "it is hardly more than a common password"
    return None


class _Left:
    """What is left to guess of a text. Known characters are blanked, so that places stay.

    Each method takes something out and tells whether too little is left.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._ordinary = text.translate(_ORDINARY)
        self._known = [False] * len(text)

    def without_runs(self) -> bool:
        place = 0
        while place < len(self._text):
            length = _run_length(self._text[place:])
            if length >= RUN_CHARACTERS:
                self._know(range(place, place + length))
            place += length
        return self._is_too_little(padded=False)

    def without_words(self, words: frozenset[str], *, count: int) -> bool:
        """Take out the words that explain most, everywhere; digits and signs are only padding."""
        found = False
        for _ in range(count):
            places = max((self._places(word) for word in words), key=len, default=[])
            self._know(places)
            found = found or bool(places)
        return found and self._is_too_little(padded=True)

    def without_second_word(self) -> bool:
        """Take out a second word, and ask only whether another one is there beside the two.

        Words in a row may be a good password: four that were drawn at random are.
        """
        places = max((self._places(word) for word in _common_words()), key=len)
        self._know(places)
        return bool(places) and self._is_padding()

    def _places(self, word: str) -> list[int]:
        """Return the unknown characters that a word explains, wherever it stands."""
        wanted = word.translate(_ORDINARY)
        starts = (match.start() for match in re.finditer(re.escape(wanted), self._ordinary))
        covered = (place for start in starts for place in range(start, start + len(wanted)))
        return [place for place in covered if not self._known[place]]

    def _know(self, places: range | list[int]) -> None:
        for place in places:
            self._known[place] = True

    def _is_too_little(self, *, padded: bool) -> bool:
        left = self._known.count(False)
        return left < LEFT_TO_GUESS_CHARACTERS or (padded and self._is_padding())

    def _is_padding(self) -> bool:
        characters = zip(self._text, self._known, strict=True)
        left = (character for character, known in characters if not known)
        return all(character.isascii() and not character.isalpha() for character in left)


def _period(text: str) -> int:
    """Return the length of the block that the whole text repeats, at least twice; else its own."""
    for length in range(1, len(text) // 2 + 1):
        if text[length:] == text[:-length]:
            return length
    return len(text)


def _run_length(text: str) -> int:
    """Return how many characters at the start are neighbours in order, or one and the same."""
    same = len(text) - len(text.lstrip(text[0]))
    length = 1
    while length < len(text) and text[: length + 1] in _RUNS:
        length += 1
    return max(same, length)


def _names(address: Address) -> frozenset[str]:
    """Return what of an address is likely in its owner's password."""
    whole = (address.local, address.domain, str(address))
    parts = (part for text in whole for part in _SEPARATORS.split(text))
    found = (text.casefold() for text in (*whole, *parts))
    return frozenset(text for text in found if len(text) >= _NAME_CHARACTERS)


@functools.cache
def _common_words() -> frozenset[str]:
    return frozenset(_read_words())


def _read_words() -> Iterator[str]:
    text = (
        importlib.resources.files(__package__).joinpath("common_passwords.txt").read_text("utf-8")
    )
    return (line for line in text.splitlines() if line and not line.startswith("#"))


def _is_a_line(file: BinaryIO, wanted: bytes) -> bool:
    """Tell whether a line is exactly this; a part of a line that crosses two blocks is kept."""
    file.seek(0)
    ends = b"\n" + wanted + b"\n", b"\n" + wanted + b"\r\n"
    kept = b"\n"
    while block := file.read(_BLOCK_OCTETS):
        text = kept + block
        if any(end in text for end in ends):
            return True
        kept = text[-len(ends[1]) :]
    return (kept + b"\n").endswith(ends)
