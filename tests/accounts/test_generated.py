"""Passwords of devices: random, readable, and read leniently."""

import math
import re
import string
from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mailkeep.accounts.generated import (
    ALPHABET,
    LETTERS,
    forms_of,
    generate_password,
    read_generated,
)
from mailkeep.values import Secret

SHOWN = st.lists(st.sampled_from(ALPHABET), min_size=LETTERS, max_size=LETTERS).map("".join)
BETWEEN = st.text("- \u00a0\u2003\u2010\u2011\u2012\u2013\u2014", max_size=3)


def test_a_password_is_more_than_anybody_can_try() -> None:
    """At least 100 bits; these are 123."""
    assert len(set(ALPHABET)) == len(ALPHABET)
    assert int(LETTERS * math.log2(len(ALPHABET))) == 123


def test_no_letter_looks_like_another() -> None:
    """It is typed from a screen or from paper."""
    assert set("il1o0").isdisjoint(ALPHABET)
    assert set(ALPHABET) <= set(string.ascii_lowercase + string.digits)


def test_a_password_is_shown_in_groups() -> None:
    """Five groups of five, so that nobody loses the place."""
    shown = generate_password().reveal().decode()
    assert re.fullmatch(r"[a-z2-9]{5}(-[a-z2-9]{5}){4}", shown)


def test_passwords_are_drawn_evenly() -> None:
    """Every letter comes about as often as any other, and no password twice."""
    random = Random(7)  # noqa: S311  # the same each time
    drawn = [generate_password(random.choice).reveal().decode() for _ in range(2000)]
    counts = Counter("".join(drawn).replace("-", ""))
    expected = 2000 * LETTERS / len(ALPHABET)
    assert all(0.85 * expected < counts[letter] < 1.15 * expected for letter in ALPHABET)
    assert len({generate_password().reveal() for _ in range(1000)}) == 1000


@given(st.data(), SHOWN)
def test_what_is_typed_between_letters_and_their_case_do_not_count(
    data: st.DataObject, letters: str
) -> None:
    """Spaces and dashes of any kind, anywhere; capitals as some keyboards make them."""
    typed = "".join(
        data.draw(BETWEEN) + data.draw(st.sampled_from([letter, letter.upper()]))
        for letter in letters
    )
    assert read_generated(Secret(typed.encode())) == Secret(letters.encode())


@given(st.binary(max_size=300) | st.text(max_size=60).map(str.encode))
def test_anything_else_is_no_such_password(octets: bytes) -> None:
    """Whatever is typed gives letters of the alphabet, as many as there must be, or nothing."""
    letters = read_generated(Secret(octets))
    if letters is not None:
        assert re.fullmatch(rb"[a-hjkmnp-z2-9]{25}", letters.reveal())


def test_a_letter_more_or_less_is_another_password() -> None:
    """And so is one with a letter that the alphabet does not have."""
    letters = "a" * LETTERS
    for typed in (letters[1:], letters + "a", letters[1:] + "l", letters[1:] + "\u00e4", ""):
        assert read_generated(Secret(typed.encode())) is None
    assert read_generated(Secret((letters + " " * 300).encode())) is None


def test_both_forms_are_read_as_the_same() -> None:
    """SCRAM's keys are made of both; the password check takes either."""
    shown, bare = forms_of(generate_password())
    assert b"-" in shown.reveal()
    assert read_generated(shown) == read_generated(bare) == bare
