"""Names and passwords are the same whoever typed them (RFC 8265)."""

import traceback
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.values import NotPrepared, Secret, prepare_name, prepare_password
from mailkeep.values.prepared import PREPARED_LIMIT_CHARACTERS


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [
        ("alice", "alice"),
        ("ALICE", "alice"),
        ("Ren\u00e9", "ren\u00e9"),
        ("Rene\u0301", "ren\u00e9"),
        ("\uff21\uff4c\uff49\uff43\uff45", "alice"),
        ("\u212bsa", "\u00e5sa"),
        ("stra\u00dfe", "stra\u00dfe"),
        ("\u041f\u0451\u0442\u0440", "\u043f\u0451\u0442\u0440"),
        ("\uff76\uff9e", "\u30ac"),
        ("a+b_c.d-e", "a+b_c.d-e"),
    ],
)
def test_names_that_mean_the_same_are_the_same(typed: str, prepared: str) -> None:
    """RFC 8265 section 3.3.2: width mapping, lower case, NFC."""
    assert prepare_name(typed) == prepared


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a\u00a0b",
        "a\u3000b",
        "a\x00",
        "a\nb",
        "a\x7f",
        "a\x85",
        "a\ud800",
        "a\u200b",
        "a\u200d",
        "a\u202eb",
        "\ufeffa",
        "a\u00ad",
        "a\ue000",
        "a\uffff",
        "a\u0378",
        "a\u2028",
        "\u265a",
        "\U0001f600",
        "\ufb01",
        "\U0001d41a",
        "\u2126\u2160",
        "a" * (PREPARED_LIMIT_CHARACTERS + 1),
    ],
)
def test_what_no_name_may_have_is_refused(name: str) -> None:
    """RFC 8264 section 4.2: spaces, controls, invisible, unassigned, compatibility characters."""
    with pytest.raises(NotPrepared):
        prepare_name(name)


@given(st.text(max_size=12))
def test_preparing_a_name_twice_changes_nothing(text: str) -> None:
    """RFC 8265 section 3.3: the output is in the form that the rules ask for."""
    try:
        once = prepare_name(text)
    except NotPrepared:
        return
    assert prepare_name(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once.encode().decode() == once


def test_a_kept_name_is_not_refused_when_it_comes_again() -> None:
    """RFC 8265 section 3.3: every single character, so that no account can lock itself out."""
    for code_point in range(0x110000):
        try:
            once = prepare_name(chr(code_point))
        except NotPrepared:
            continue
        assert prepare_name(once) == once, hex(code_point)


def test_two_keyboards_type_one_password() -> None:
    """RFC 8265 section 4.2.2 rule 4: NFC."""
    composed, decomposed = Secret("caf\u00e9".encode()), Secret("cafe\u0301".encode())
    assert prepare_password(composed) == prepare_password(decomposed)


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [
        ("  two  spaces  ", "  two  spaces  "),
        ("a\u00a0b\u3000c", "a b c"),
        ("CaSe", "CaSe"),
        ("\uff21", "\uff21"),
        ("\U0001f468\u200d\U0001f469\ufe0f", "\U0001f468\u200d\U0001f469\ufe0f"),
        ("\ufb01", "\ufb01"),
    ],
)
def test_a_password_keeps_what_it_is_made_of(typed: str, prepared: str) -> None:
    """RFC 8265 section 4.2.2: only spaces are mapped; case, width and compatibility stay."""
    assert prepare_password(Secret(typed.encode())).reveal() == prepared.encode()


@pytest.mark.parametrize(
    "password",
    [
        b"",
        b"nul\0",
        b"cr\r",
        b"lf\n",
        b"tab\t",
        b"\x7f",
        b"half \xc3",
        b"overlong \xc0\xaf",
        b"surrogate \xed\xa0\x80",
        "\u2028".encode(),
        "\uffff".encode(),
        b"x" * (PREPARED_LIMIT_CHARACTERS + 1),
    ],
)
def test_what_no_password_may_have_is_refused(password: bytes) -> None:
    """RFC 8265 section 4.2.1 and RFC 8264 section 4.3; and it is UTF-8."""
    with pytest.raises(NotPrepared):
        prepare_password(Secret(password))


@given(st.binary(max_size=24))
def test_any_octets_are_a_password_or_refused_and_preparing_twice_changes_nothing(
    octets: bytes,
) -> None:
    """RFC 8265 section 4.2: nothing else ever comes out."""
    try:
        once = prepare_password(Secret(octets))
    except NotPrepared:
        return
    assert prepare_password(once) == once


@pytest.mark.parametrize("broken", [b"hunter2\xff", b"hunter2\0", b"hunter2" * 1000])
def test_a_refused_password_is_in_no_traceback(broken: bytes) -> None:
    """A password is never printed: not even by who prints the variables of every frame."""
    with pytest.raises(NotPrepared) as caught:
        prepare_password(Secret(broken))
    raised = caught.value
    frames = traceback.walk_tb(raised.__traceback__)
    ours = [str(frame.f_locals) for frame, _ in frames if "prepared" in frame.f_code.co_filename]
    assert ours[1:], "the frames of the test and of prepare_password"
    assert not any("hunter2" in variables for variables in ours[1:])
    assert raised.__context__ is None
    assert "hunter2" not in str(raised)
