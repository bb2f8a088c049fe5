"""PLAIN takes a name and a password, and nothing else comes of it (RFC 4616)."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.sasl import Challenge, PasswordCredentials, SaslFailed
from mailkeep.sasl.plain import PlainServer
from mailkeep.values import Secret


def _take(response: bytes) -> Challenge | PasswordCredentials:
    return PlainServer().step(Secret(response))


def test_without_initial_response_the_challenge_is_empty() -> None:
    """RFC 4616 section 2: the server sends an empty challenge, the client its message."""
    mechanism = PlainServer()
    assert mechanism.step(None) == Challenge(b"")
    credentials = mechanism.step(Secret(b"\0tim\0tanstaaftanstaaf"))
    assert credentials == PasswordCredentials(b"tim", Secret(b"tanstaaftanstaaf"))


@pytest.mark.parametrize(
    ("response", "name", "password"),
    [
        (b"\0tim\0tanstaaftanstaaf", b"tim", b"tanstaaftanstaaf"),
        (b"tim\0tim\0secret", b"tim", b"secret"),
        (b"\0a b\0 spaces stay ", b"a b", b" spaces stay "),
        (b"\0\xd0\xbf\0\xff\xfe", b"\xd0\xbf", b"\xff\xfe"),
        (b"\0half\xc3\0x", b"half\xc3", b"x"),
        (b"\0" + b"n" * 5000 + b"\0" + b"p" * 5000, b"n" * 5000, b"p" * 5000),
    ],
)
def test_a_message_is_taken_apart(response: bytes, name: bytes, password: bytes) -> None:
    """RFC 4616 section 2: message = [authzid] NUL authcid NUL passwd, octet for octet."""
    assert _take(response) == PasswordCredentials(name, Secret(password))


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\0",
        b"\0\0",
        b"tim",
        b"tim\0secret",
        b"\0tim\0",
        b"\0\0secret",
        b"\0tim\0secret\0",
        b"\0tim\0sec\0ret",
        b"\0\0\0",
        b"root\0tim\0secret",
        b"TIM\0tim\0secret",
        b"tim@mail.example.com\0tim\0secret",
        b"\0tim\0secret\r\n",
        b"\0tim\0sec\rret",
        b"\0ti\nm\0secret",
        b"\r\0\r\0secret",
    ],
)
def test_anything_else_fails(response: bytes) -> None:
    """RFC 4616 section 2: two NULs, no empty field, no acting for another; and no line breaks."""
    with pytest.raises(SaslFailed):
        _take(response)


@given(st.one_of(st.binary(max_size=40), st.text("\0ab\r\n", max_size=12).map(str.encode)))
def test_only_credentials_or_a_failure_come_out(response: bytes) -> None:
    """RFC 4616: for any octets; and what comes out is what went in."""
    try:
        credentials = _take(response)
    except SaslFailed:
        return
    assert isinstance(credentials, PasswordCredentials)
    name, password = credentials.name_untrusted, credentials.password_untrusted.reveal()
    assert response in {b"\0" + name + b"\0" + password, name + b"\0" + name + b"\0" + password}
    assert name
    assert password
    assert not set(b"\r\n\0") & set(name + password)


@pytest.mark.parametrize("response", [b"\0tim\0hunter2\0", b"x\0tim\0hunter2", b"\0tim\0hunter2\n"])
def test_a_failure_shows_nothing_of_the_response(response: bytes) -> None:
    """The response holds a password: not in the text, not in a traceback with its variables."""
    with pytest.raises(SaslFailed) as caught:
        _take(response)
    frames = traceback.walk_tb(caught.value.__traceback__)
    ours = [str(f.f_locals) for f, _ in frames if f.f_code.co_filename.endswith("sasl/plain.py")]
    assert ours
    assert "hunter2" not in f"{caught.value!r} {ours}"
