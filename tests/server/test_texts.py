"""Every text in every language, and nothing but texts is translated (RFC 6856 section 3)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mailkeep.pop3
import mailkeep.server
from mailkeep.pop3 import REPLY_LIMIT_OCTETS, Err, Ok, OkLines, ResponseCode
from mailkeep.server import replies
from mailkeep.server.texts import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    TEXTS,
    choose_language,
    messages_reply,
    octets_reply,
    translate,
)

TAGS = [tag for tag, _ in LANGUAGES]
OTHERS = [tag for tag in TAGS if tag != DEFAULT_LANGUAGE]
SAYS_A_TEXT = {"Ok", "OkLines", "Err", "BadCommand"}
LANGUAGE_CHANGED = {reply.text for reply in replies.LANGUAGE_CHANGED.values()}
"""They are in their own language already."""


def _source_files() -> list[Path]:
    folders = [path for room in (mailkeep.pop3, mailkeep.server) for path in room.__path__]
    files = [file for folder in folders for file in Path(folder).rglob("*.py")]
    assert len(files) > 20
    return [file for file in files if file.name not in {"client_side.py", "texts.py"}]


def _said(file: Path) -> Iterator[bytes]:
    """Yield the constant texts that a file builds replies and refusals from."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(func=ast.Name(name), args=[ast.Constant(str() | bytes() as text), *_]):
                if name in SAYS_A_TEXT:
                    yield text.encode() if isinstance(text, str) else text


SAID = {text for file in _source_files() for text in _said(file)} - LANGUAGE_CHANGED
SAID |= {value for value in vars(replies).values() if isinstance(value, bytes)}


def test_all_texts_are_found() -> None:
    """RFC 6856 section 3: the tests here must not go blind when texts move."""
    here = {b"login refused", b"capabilities", b"STLS first", b"unknown command", b"bye"}
    assert here <= SAID
    named = {value.text for value in vars(replies).values() if isinstance(value, Ok | Err)}
    assert named <= SAID | LANGUAGE_CHANGED


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("text", sorted(SAID), ids=lambda text: text.decode())
def test_every_text_has_a_translation(text: bytes, language: str) -> None:
    """RFC 6856 section 3: once a language is chosen, every text is in it."""
    assert text in TEXTS[language]


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_left_over(language: str) -> None:
    """RFC 6856 section 3: what nobody says any more goes out of the table."""
    assert set(TEXTS[language]) == SAID


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("text", sorted(SAID), ids=lambda text: text.decode())
def test_a_translation_fits_into_a_line(text: bytes, language: str) -> None:
    """RFC 1939 section 3: 512 octets with code and CRLF; RFC 2449 section 8: no bracket first."""
    translated = TEXTS[language][text].decode()
    assert translated.isprintable()
    assert translated == translated.strip()
    assert not translated.startswith("[")
    for code in ResponseCode:
        assert len(Err(translated.encode(), code).wire()) <= REPLY_LIMIT_OCTETS


def test_no_text_can_be_a_listing() -> None:
    """RFC 1939 section 5: STAT, LIST 1 and UIDL 1 answer with digits first; no text does."""
    assert not any(text[:1].isdigit() for text in SAID)


@pytest.mark.parametrize("language", TAGS)
def test_each_language_is_named_and_says_that_it_is_chosen(language: str) -> None:
    """RFC 6856 section 3: a good answer to LANG starts with the tag."""
    assert replies.LANGUAGE_CHANGED[language].text.startswith(language.encode() + b" ")
    assert set(replies.LANGUAGE_CHANGED) == set(TAGS) == {DEFAULT_LANGUAGE, *TEXTS}


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        (b"en", "en"),
        (b"EN", "en"),
        (b"en-GB", "en"),
        (b"de", "de"),
        (b"De", "de"),
        (b"de-AT", "de"),
        (b"DE-at-1996", "de"),
        (b"de-x-mine", "de"),
        (b"*", "en"),
        (b"i-default", "en"),
        (b"I-DEFAULT", "en"),
        (b"fr", None),
        (b"d", None),
        (b"deu", None),
        (b"den", None),
        (b"x-de", None),
        (b"fr-de", None),
        (b"i", None),
        (b"i-klingon", None),
        (b"", None),
        (b"-", None),
        (b"-de", None),
        (b"\xff", None),
        (b"de\xff", None),
    ],
)
def test_a_language_is_found_by_cutting_its_tag(tag: bytes, language: str | None) -> None:
    """RFC 4647 section 3.4; RFC 6856 section 3 for `*`; RFC 2277 section 4.5 for i-default."""
    assert choose_language(tag) == language


@given(st.binary(max_size=40))
def test_any_tag_is_a_language_of_ours_or_none(tag: bytes) -> None:
    """RFC 6856 section 3: whatever is asked for."""
    assert choose_language(tag) in {None, *TAGS}


@pytest.mark.parametrize("code", ResponseCode)
def test_a_code_stays(code: ResponseCode) -> None:
    """RFC 2449 section 8: codes are for programs and are of no language."""
    translated = translate(Err(b"login refused", code), "de")
    assert translated == Err(b"Anmeldung abgelehnt", code)


def test_lines_stay() -> None:
    """RFC 2449 section 5: only the first line of an answer is a text; CAPA's lines are not."""
    lines = (b"UIDL", b"done", b"bye")
    translated = translate(OkLines(b"capabilities", lines), "de")
    assert translated == OkLines("Fähigkeiten".encode(), lines)


@pytest.mark.parametrize("text", sorted(SAID), ids=lambda text: text.decode())
def test_english_stays_english(text: bytes) -> None:
    """RFC 6856 section 3: who asks for nothing gets what there always was."""
    assert translate(Ok(text), "en") == Ok(text)


@pytest.mark.parametrize(
    "text", [b"2 320", b"1 120", b"1 octets", b"7 messages", b"1 bye", b"120 octets", b"", b"x"]
)
def test_numbers_and_names_of_messages_are_never_touched(text: bytes) -> None:
    """RFC 1939 section 7: `octets` may be a unique-id, and a unique-id is never changed."""
    assert translate(Ok(text), "de") == Ok(text)


@pytest.mark.parametrize("language", TAGS)
def test_a_first_line_with_a_number_starts_with_it(language: str) -> None:
    """RFC 1939 section 5: `+OK 120 octets`; some programs read the number, in any language."""
    octets, messages = octets_reply(120, language), messages_reply(2, language)
    assert octets.text.startswith(b"120 ")
    assert messages.text.startswith(b"2 ")
    assert translate(octets, language) == octets
    assert (octets_reply(120, "en"), messages_reply(2, "en")) == (
        Ok(b"120 octets"),
        Ok(b"2 messages"),
    )
