"""PLAIN and EXTERNAL from the client's side, and which mechanism takes which secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.shown import variables_shown

from mailkeep.sasl import (
    ChannelBinding,
    ClientMechanism,
    Login,
    NoMechanism,
    PasswordCredentials,
    SaslFailed,
    UnusableLogin,
    client_mechanism,
)
from mailkeep.sasl.plain import PlainServer
from mailkeep.values import Secret

BINDING = ChannelBinding("tls-server-end-point", bytes(32))


def _client(name: str, login: Login) -> ClientMechanism:
    return client_mechanism(
        name,
        login,
        nonce="fyko+d2lbbFgONRv9qkxdawL",
        binding=BINDING,
        offers_plus=True,
        host="pop.example.com",
        port=995,
    )


def test_plain_says_what_the_rfc_prints() -> None:
    """RFC 4616 section 4: the first example, octet for octet."""
    client = _client("PLAIN", Login("tim", Secret(b"tanstaaftanstaaf")))
    assert client.start() == Secret(b"\0tim\0tanstaaftanstaaf")
    client.finish()
    assert client.refusal is None


@given(
    st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"), min_size=1),
    st.binary(min_size=1).filter(lambda octets: not set(b"\0\r\n") & set(octets)),
)
def test_what_plain_sends_our_server_reads(name: str, password: bytes) -> None:
    """RFC 4616 section 2: any name and password, octet for octet."""
    response = _client("PLAIN", Login(name, Secret(password))).start()
    credentials = PlainServer().step(response)
    assert credentials == PasswordCredentials(name.encode(), Secret(password))


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("", b"hunter2"),
        ("ti\0m", b"hunter2"),
        ("ti\rm", b"hunter2"),
        ("ti\nm", b"hunter2"),
        ("\udcff", b"hunter2"),
        ("tim", b""),
        ("tim", b"hunter2\0"),
        ("tim", b"hunter2\r"),
        ("tim", b"hunter2\nDELE 1"),
    ],
)
def test_plain_does_not_send_what_ends_a_field_or_a_line(name: str, password: bytes) -> None:
    """S-58: NUL, CR and LF are refused before anything is sent; the error shows no password."""
    with pytest.raises(UnusableLogin) as caught:
        _client("PLAIN", Login(name, Secret(password))).start()
    assert "hunter2" not in variables_shown(caught.value)


@pytest.mark.parametrize("name", ["PLAIN", "EXTERNAL"])
@pytest.mark.parametrize("challenge", [b"", b"more"])
def test_there_is_no_challenge_after_the_one_response(name: str, challenge: bytes) -> None:
    """S-59, RFC 4616 section 2: a server that asks again gets nothing, least of all a password."""
    client = _client(name, Login("tim", Secret(b"hunter2")))
    client.start()
    with pytest.raises(SaslFailed) as caught:
        client.step(challenge)
    assert "hunter2" not in variables_shown(caught.value)


def test_external_says_nothing() -> None:
    """RFC 4422 appendix A: an empty response lets the server take the certificate's name."""
    client = _client("EXTERNAL", Login("", Secret(b"")))
    assert client.name == "EXTERNAL"
    assert client.start() == Secret(b"")
    client.finish()


@pytest.mark.parametrize(
    ("name", "is_token"),
    [
        ("SCRAM-SHA-256-PLUS", False),
        ("SCRAM-SHA-256", False),
        ("PLAIN", False),
        ("OAUTHBEARER", True),
        ("XOAUTH2", True),
    ],
)
def test_a_secret_goes_only_to_its_kind_of_mechanism(name: str, is_token: bool) -> None:
    """A token is no password, and a password no token: each would be shown to the wrong eyes."""
    assert _client(name, Login("tim", Secret(b"hunter2"), is_token=is_token)).name == name
    with pytest.raises(UnusableLogin):
        _client(name, Login("tim", Secret(b"hunter2"), is_token=not is_token))


@pytest.mark.parametrize("name", ["USER", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "plain", ""])
def test_a_mechanism_that_is_not_spoken_is_not_begun(name: str) -> None:
    """RFC 5034 section 4: names come from `choose_mechanism`, in upper case."""
    with pytest.raises(NoMechanism):
        _client(name, Login("tim", Secret(b"hunter2")))
