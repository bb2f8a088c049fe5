"""What a guesser tries first is refused; what is long and drawn at random is taken."""

import hashlib
import io
import string
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mailkeep.accounts.rules import Breached, BreachedFileProblem, judge_password
from mailkeep.values import Address, Secret, prepare_password

ALICE = Address.parse("alice.jones@mail.example.com", default_domain="")

# Ordinary words for passphrases; some are on the blocklist by themselves, some hold a row of keys.
WORDS = (
    "dragon", "monkey", "password", "summer", "test", "star", "love", "king", "computer",
    "property", "understudy", "gymnopaedic", "sun", "sky", "fly", "oak", "elk", "ink", "zip",
    "correct", "horse", "battery", "staple", "strewn", "quilt", "walnut", "cactus", "violin",
    "jelly", "onyx", "tundra", "umbrella", "velvet", "lantern", "pickle", "saddle", "orange",
)  # fmt: skip


def judged(text: str, *, minimum_length: int = 15, breached: Breached | None = None) -> str | None:
    return judge_password(
        Secret(text.encode()), address=ALICE, minimum_length=minimum_length, breached=breached
    )


def test_length_is_counted_in_characters_and_not_in_octets() -> None:
    """NIST SP 800-63B-4 section 3.1.1.2: each code point is one character."""
    assert judged("ärgerlich öde ü") is None
    assert judged("ärgerlich öde") == "it is shorter than 15 characters"
    assert judged("e\u0301" * 7 + "xyzwvut") == "it is shorter than 15 characters"


@pytest.mark.parametrize("length", [15, 64, 128, 1024])
def test_long_passwords_are_taken(length: int) -> None:
    """The same section: at least 64 characters must be accepted."""
    text = "".join(chr(0x4E00 + place * 37 % 5000) for place in range(length))
    assert judged(text) is None


def test_what_can_be_no_password_says_why() -> None:
    """The reason is the one of `prepare_password`."""
    assert judged("a tab\tin the middle") == "it has a control or unassigned character"
    assert judged("") == "it is empty"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("aaaaaaaaaaaaaaaaaaaa", "over and over"),
        ("abcabcabcabcabcabc", "over and over"),
        ("x7!x7!x7!x7!x7!x7", "over and over"),
        ("abcdefghijklmnopqrstuvwxyz", "neighbouring"),
        ("zyxwvutsrqponmlkjih", "neighbouring"),
        ("123456789012345", "neighbouring"),
        ("qwertyuiopasdfgh", "neighbouring"),
        ("qwertzuiop12345!", "neighbouring"),
        ("1qaz2wsx3edc4rfv", "neighbouring"),
        ("aaaabbbbccccddddeeee", "neighbouring"),
        ("password12345678", "common"),
        ("Password-20241225", "common"),
        ("P@ssw0rd!!!??..2024", "common"),
        ("passwordpassword1", "common"),
        ("Summer2024Summer2024", "common"),
        ("!!!2024Welcome2024!!!", "common"),
        ("adminpassword2024", "common"),
        ("IloveyouIloveyou22", "common"),
        ("alicealicealice1", "own name"),
        ("Alice-Jones-19871987", "own name"),
        ("alice.jones@mail.example.com", "own name"),
        ("mail.example.com!", "own name"),
        ("ex4mple2024example2024", "own name"),
    ],
)
def test_what_is_tried_first_is_refused(text: str, reason: str) -> None:
    """Same section: dictionary words, repeated or sequential characters, names of the account."""
    found = judged(text)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    "text",
    [
        "correct horse battery staple",
        "password horse battery staple",
        "alice fell into a rabbit hole",
        "839204820394826",
        "k3!vQ9z@Lm2#xT7w",
        "alice-8f3kq92ld0w",
        "Tr0ub4dor&3Tr0ub4dor&3",
        "property liberty poverty",
        "\U0001f389\U0001f383\U0001f47b\U0001f384\U0001f381 " * 3 + "password",
    ],
)
def test_what_leaves_enough_to_guess_is_taken(text: str) -> None:
    """No rules of composition: words, digits alone or signs alone are fine."""
    assert judged(text) is None


def test_a_shorter_minimum_keeps_the_blocklist() -> None:
    """A site may ask for eight characters; what is common stays refused."""
    assert judged("k3!vQ9z@", minimum_length=8) is None
    assert judged("password", minimum_length=8) is not None


@given(
    words=st.lists(st.sampled_from(WORDS), min_size=4, max_size=7, unique=True),
    separator=st.sampled_from(["", " ", "-", ".", "_"]),
    digits=st.sampled_from(["", "7", "42"]),
)
@example(["sun", "sky", "fly", "password"], "", "")
@example(["property", "sun", "sky", "dragon"], "", "")
def test_four_words_drawn_at_random_are_taken(
    words: list[str], separator: str, digits: str
) -> None:
    """A false alarm here would drive people from good passwords to worse ones."""
    text = separator.join(words) + digits
    assert judged(text) == ("it is shorter than 15 characters" if len(text) < 15 else None)


@given(st.text(string.ascii_letters + string.digits + "-. ", min_size=10, max_size=20))
def test_a_reason_holds_nothing_of_the_password(text: str) -> None:
    """It is shown and perhaps kept."""
    assert text not in (judged(text) or "")


def sorted_file(path: Path, passwords: list[str], *, end: str = "\n", upper: bool = True) -> Path:
    hashes = sorted(
        hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for text in passwords
    )
    lines = [f"{line.upper() if upper else line}:{place}{end}" for place, line in enumerate(hashes)]
    path.write_bytes("".join(lines).encode())
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    passwords=st.sets(st.text(string.printable[:95], min_size=1, max_size=8), min_size=1),
    end=st.sampled_from(["\n", "\r\n"]),
    upper=st.booleans(),
    is_cut=st.booleans(),
)
def test_every_hash_of_a_sorted_file_is_found_and_no_other(
    tmp_path: Path, passwords: set[str], end: str, upper: bool, is_cut: bool
) -> None:
    """Have I Been Pwned writes SHA1:COUNT lines; the last one may lack its end."""
    path = sorted_file(tmp_path / "hibp", sorted(passwords), end=end, upper=upper)
    if is_cut:
        path.write_bytes(path.read_bytes().rstrip(b"\r\n"))
    breached = Breached(path)
    assert all(breached.holds(Secret(text.encode())) for text in passwords)
    assert not breached.holds(Secret(b"none of them is this long"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    passwords=st.lists(st.text(string.printable[:95], min_size=1, max_size=8), min_size=1),
    end=st.sampled_from(["\n", "\r\n"]),
    is_cut=st.booleans(),
)
def test_every_line_of_a_plain_file_is_found_and_no_part_of_one(
    tmp_path: Path, passwords: list[str], end: str, is_cut: bool
) -> None:
    """A password a line, in any order."""
    path = tmp_path / "plain"
    text = end.join(passwords) + ("" if is_cut else end)
    path.write_bytes(text.encode())
    breached = Breached(path)
    assert all(breached.holds(Secret(text.encode())) for text in passwords)
    part = passwords[0][1:] or "~~"
    assert breached.holds(Secret(part.encode())) == (part in passwords)


def test_a_line_across_two_blocks_is_found(tmp_path: Path) -> None:
    """A list is read by the megabyte."""
    path = tmp_path / "plain"
    wanted = "found across the edge"
    for shift in range(len(wanted) + 3):
        path.write_bytes(b"x" * ((1 << 20) - shift) + b"\n" + wanted.encode() + b"\nlast\n")
        assert Breached(path).holds(Secret(wanted.encode()))
        assert not Breached(path).holds(Secret(wanted[1:].encode()))


class CountingFile(io.BufferedReader):
    """Counts what is read of it."""

    octets = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        type(self).octets += len(found)
        return found


class CountedPath(type(Path())):  # type: ignore[misc]  # the class differs by system
    def open(self, *_: object, **__: object) -> BinaryIO:
        return CountingFile(io.FileIO(str(self)))


def test_a_large_sorted_file_is_searched_by_a_few_short_reads(tmp_path: Path) -> None:
    """Tens of gigabytes have the depth of forty; 50,000 lines have that of sixteen."""
    path = sorted_file(tmp_path / "hibp", [str(number) for number in range(50_000)])
    CountingFile.octets = 0
    breached = Breached(CountedPath(path))
    assert breached.holds(Secret(b"12345"))
    assert not breached.holds(Secret(b"not there"))
    assert CountingFile.octets <= 2 * 17 * 128


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00\x00\n", "not a text file"),
        (b"0CB6948805F797BF2A82807973B89537:12\n", "NTLM"),
        (b"A" * 40 + b":1\n" + b"x" * 400 + b"\n" + b"F" * 40 + b":1\n", "damaged"),
        (b"A" * 40 + b":1\nnot a hash\n" + b"F" * 40 + b":1\n", "damaged"),
    ],
)
def test_a_file_in_no_known_form_is_an_error_with_a_hint(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """An operator who set a file must not believe that it is used when it is not."""
    path = tmp_path / "list"
    path.write_bytes(content)
    with pytest.raises(BreachedFileProblem, match=reason) as caught:
        Breached(path).holds(Secret(b"some password"))
    assert caught.value.hint
    assert caught.value.path == path


def test_a_file_that_is_not_sorted_is_an_error(tmp_path: Path) -> None:
    """Searched by halves it would hide what it holds."""
    path = sorted_file(tmp_path / "hibp", [str(number) for number in range(500)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(reversed(lines)))
    with pytest.raises(BreachedFileProblem, match="not sorted"):
        Breached(path).holds(Secret(b"12"))


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """The same."""
    with pytest.raises(BreachedFileProblem, match="cannot be read"):
        Breached(tmp_path / "none").holds(Secret(b"x"))


def test_the_operators_file_is_asked_for_the_prepared_form(tmp_path: Path) -> None:
    """What is kept and compared is the prepared password, so that one is looked up."""
    typed = "blue  cafe\u0301 by the river"
    breached = Breached(sorted_file(tmp_path / "hibp", ["x", "blue  caf\u00e9 by the river"]))
    assert prepare_password(Secret(typed.encode())).reveal().decode() != typed
    assert judged(typed, breached=breached) == "it is in the file of passwords that others know"
    assert judged("green cafe by the river", breached=breached) is None
