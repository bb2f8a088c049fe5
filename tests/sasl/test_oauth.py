"""OAUTHBEARER (RFC 7628) and XOAUTH2: a token in one response, and why it is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.shown import variables_shown

from mailkeep.sasl import (
    CHALLENGE_LIMIT_OCTETS,
    ClientMechanism,
    Login,
    SaslFailed,
    UnusableLogin,
    client_mechanism,
)
from mailkeep.values import Secret

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
BOTH = ["OAUTHBEARER", "XOAUTH2"]


def _client(
    name: str, user: str = "user@example.com", token: str = TOKEN, host: str = "server.example.com"
) -> ClientMechanism:
    login = Login(user, Secret(token.encode()), is_token=True)
    return client_mechanism(
        name, login, nonce="", binding=None, offers_plus=False, host=host, port=143
    )


def test_oauthbearer_says_what_the_rfc_prints() -> None:
    """RFC 7628 section 4.1: the example, octet for octet."""
    assert _client("OAUTHBEARER").start() == Secret(
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )


def test_xoauth2_says_what_google_prints() -> None:
    """Google, XOAUTH2 protocol: user=, auth=Bearer, two ^A at the end."""
    client = _client(
        "XOAUTH2", "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
    )
    assert client.start() == Secret(
        b"user=someuser@example.com\x01"
        b"auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"
    )


def test_a_name_is_escaped_where_the_mechanism_says_so() -> None:
    """RFC 5801 section 4: saslname in the gs2 header; XOAUTH2 has no such thing."""
    response = _client("OAUTHBEARER", "a,b=c").start()
    assert response is not None
    assert response.reveal().startswith(b"n,a=a=2Cb=3Dc,\x01host=")
    response = _client("XOAUTH2", "a,b=c").start()
    assert response is not None
    assert response.reveal().startswith(b"user=a,b=c\x01")


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("user", "token"),
    [
        ("", TOKEN),
        ("us\x01er", TOKEN),
        ("us\ner", TOKEN),
        ("us\x7fer", TOKEN),
        ("\ud800", TOKEN),
        ("user", ""),
        ("user", TOKEN + "\n"),
        ("user", TOKEN + "\x01auth=Bearer x"),
        ("user", TOKEN + " x"),
        ("user", TOKEN + "\0"),
        ("user", TOKEN + "é"),
    ],
)
def test_what_would_end_a_field_is_not_sent(name: str, user: str, token: str) -> None:
    """S-58, RFC 7628 section 3.1: no ^A, line break or NUL; and the error does not show it."""
    with pytest.raises(UnusableLogin) as caught:
        _client(name, user, token).start()
    assert TOKEN not in variables_shown(caught.value)


@pytest.mark.parametrize("host", ["", "a\x01b", "a b", "a\n"])
def test_a_host_is_one_field(host: str) -> None:
    """RFC 7628 section 3.1: the caller gives a host in ASCII."""
    with pytest.raises(ValueError, match="host"):
        _client("OAUTHBEARER", host=host)


@pytest.mark.parametrize(("name", "answer"), [("OAUTHBEARER", b"\x01"), ("XOAUTH2", b"")])
@pytest.mark.parametrize(
    ("challenge", "refusal"),
    [
        (b'{"status":"invalid_token","scope":"mail"}', "invalid_token"),
        (b'{"status":"401","schemes":"bearer mac","scope":"https://mail.google.com/"}', "401"),
        (b'{"status":401}', "for a reason that cannot be read"),
        (b'{"status":"\\u001b[2J"}', "for a reason that cannot be read"),
        (b'{"status":"' + b"x" * 41 + b'"}', "for a reason that cannot be read"),
        (b'{"status":""}', "for a reason that cannot be read"),
        (b'{"scope":"mail"}', "for a reason that cannot be read"),
        (b'["status"]', "for a reason that cannot be read"),
        (b"null", "for a reason that cannot be read"),
        (b"", "for a reason that cannot be read"),
        (b"\xff\xfe{", "for a reason that cannot be read"),
        (b"[" * CHALLENGE_LIMIT_OCTETS, "for a reason that cannot be read"),
        (b"9" * CHALLENGE_LIMIT_OCTETS, "for a reason that cannot be read"),
    ],
)
def test_an_error_is_acknowledged_and_kept(
    name: str, answer: bytes, challenge: bytes, refusal: str
) -> None:
    """RFC 7628 section 3.2.3: ^A, or nothing in XOAUTH2; then the server says -ERR."""
    client = _client(name)
    client.start()
    assert client.refusal is None
    assert client.step(challenge) == Secret(answer)
    assert client.refusal == refusal


@pytest.mark.parametrize("name", BOTH)
def test_a_server_that_repeats_the_token_is_not_repeated(name: str) -> None:
    """The status goes into an error's text: a token has no place there."""
    client = _client(name, token="short_token")
    client.start()
    client.step(json.dumps({"status": "bad short_token"}).encode())
    assert client.refusal == "for a reason that cannot be read"


@pytest.mark.parametrize("name", BOTH)
def test_there_is_one_challenge_and_no_second(name: str) -> None:
    """S-59: no server asks for ever, or with megabytes; and an error is not followed by +OK."""
    client = _client(name)
    client.start()
    client.finish()
    with pytest.raises(SaslFailed):
        client.step(b"{" + b" " * CHALLENGE_LIMIT_OCTETS)
    client.step(b'{"status":"invalid_token"}')
    with pytest.raises(SaslFailed) as caught:
        client.step(b'{"status":"invalid_token"}')
    assert TOKEN not in variables_shown(caught.value)
    with pytest.raises(SaslFailed):
        client.finish()


@pytest.mark.parametrize("name", BOTH)
@given(challenge=st.binary(max_size=60))
def test_any_challenge_is_answered_or_refused(name: str, challenge: bytes) -> None:
    """RFC 7628 section 3.2.2: whatever it is, what is kept can be printed."""
    client = _client(name)
    client.start()
    client.step(challenge)
    assert client.refusal is not None
    assert client.refusal.isascii()
    assert client.refusal.isprintable()
