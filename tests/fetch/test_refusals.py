"""What a server's -ERR means for a run: refused, busy, or no POP3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.failures import (
    FetchFailed,
    LoginRefused,
    ProtocolBroken,
    ServerBusy,
    TokenNeeded,
)
from mailkeep.fetch.refusals import command_failure, login_failure, quote
from mailkeep.pop3 import Status


def err(text: bytes, code: str = "") -> Status:
    return Status(is_ok=False, code_untrusted=code, text_untrusted=text)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("AUTH", b"no", LoginRefused),
        ("AUTH", b"too many tries, account is locked, try again later", LoginRefused),
        ("SYS/PERM", b"try again later", LoginRefused),
        ("X-VENDOR", b"busy", LoginRefused),
        ("IN-USE", b"Do you have another POP session running?", ServerBusy),
        ("LOGIN-DELAY", b"", ServerBusy),
        ("SYS/TEMP", b"authentication failed", ServerBusy),
        ("", b"Authentication failed.", LoginRefused),
        ("", b"invalid user or password", LoginRefused),
        ("", b"", LoginRefused),
        ("", b"your blocked mail is clocked by", LoginRefused),
        ("", b"await", LoginRefused),
        ("", b"maildrop is locked", ServerBusy),
        ("", b"mailbox locked by another POP3 session", ServerBusy),
        ("", b"Unable to lock maildrop: Mailbox lock by 4711", ServerBusy),
        ("", b"Maildrop in use", ServerBusy),
        ("", b"SERVER BUSY", ServerBusy),
        ("", b"Too many connections", ServerBusy),
        ("", b"Try again later", ServerBusy),
        ("", b"please wait a minute", ServerBusy),
    ],
)
def test_a_code_decides_and_words_only_where_there_is_none(
    code: str, text: bytes, kind: type[FetchFailed]
) -> None:
    """RFC 2449 section 8, RFC 3206: a refusal is not tried again, a busy server is (S-22)."""
    assert type(login_failure(err(text, code), is_token=False)) is kind
    expected = TokenNeeded if kind is LoginRefused else kind
    assert type(login_failure(err(text, code), is_token=True)) is expected
    expected = ProtocolBroken if kind is LoginRefused else kind
    assert type(command_failure(err(text, code), "UIDL")) is expected


def test_what_the_server_said_is_in_the_text() -> None:
    """An operator reads the server's words, the code, and what was said inside the exchange."""
    failure = login_failure(err(b"no such user", "AUTH"), is_token=False)
    assert "[AUTH] no such user" in str(failure)
    assert failure.hint is not None
    assert "lock the account" in failure.hint
    failure = login_failure(err(b"bye"), is_token=True, detail='{"status":"400"}')
    assert 'bye ({"status":"400"})' in str(failure)
    assert "LIST" in str(command_failure(err(b"no"), "LIST"))
    assert "without a reason" in str(command_failure(err(b""), "LIST"))


@given(st.binary(max_size=400))
def test_any_words_are_quoted_short_and_as_text(text: bytes) -> None:
    """S-56: a line of 8 kB does not fill the screen, and octets that are no text are shown."""
    quoted = quote(err(text))
    assert quoted
    quoted.encode()
    assert len(quoted) <= 4 * 200
    if text[:200].isascii() and text:
        assert quoted == text[:200].decode()
