"""OAUTHBEARER (RFC 7628) and XOAUTH2 from the server's side: a token, and why it was refused."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.shown import variables_shown

from mailkeep.sasl import Challenge, Login, OutOfOrder, SaslFailed, TokenCredentials
from mailkeep.sasl.oauth_client import OauthBearerClient, Xoauth2Client
from mailkeep.sasl.oauth_server import (
    RESPONSE_LIMIT_OCTETS,
    OauthBearerServer,
    OauthServer,
    Xoauth2Server,
)
from mailkeep.values import Secret

BOTH = [OauthBearerServer, Xoauth2Server]
TOKEN = b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
GOOD = {
    OauthBearerServer: b"n,a=user@example.com,\x01auth=Bearer hunter2\x01\x01",
    Xoauth2Server: b"user=user@example.com\x01auth=Bearer hunter2\x01\x01",
}


def _take(server: type[OauthServer], response: bytes) -> Challenge | TokenCredentials:
    return server().step(Secret(response))


# -- what others have printed

RFC_IMAP = (
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVy"
    "IHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
RFC_EMPTY = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9AQE="
RFC_ERROR = (
    "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3Vy"
    "YXRpb24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0="
)


def test_the_rfc_s_first_example_brings_its_token() -> None:
    """RFC 7628 section 4.1: the initial response as it stands on the wire."""
    response = base64.b64decode(RFC_IMAP)
    assert _take(OauthBearerServer, response) == TokenCredentials(
        b"user@example.com", Secret(TOKEN)
    )


def test_the_rfc_s_failed_example_is_answered_octet_for_octet() -> None:
    """RFC 7628 section 4.3: no token asks for the scope; the error, AQ==, and it is over."""
    server = OauthBearerServer()
    asked = server.step(Secret(base64.b64decode(RFC_EMPTY)))
    assert asked == TokenCredentials(b"user@example.com", Secret(b""))
    refusal = server.refuse("https://example.com/.well-known/openid-configuration", "example_scope")
    assert base64.b64encode(refusal.data).decode() == RFC_ERROR
    with pytest.raises(SaslFailed):
        server.step(Secret(base64.b64decode("AQ==")))


@pytest.mark.parametrize(
    ("server", "response", "name"),
    [
        (
            OauthBearerServer,
            b"n,a=user,\x01host=127.0.0.1\x01port=9001\x01auth=Bearer mF_9.B5f-4.1JqM\x01\x01",
            b"user",
        ),
        (Xoauth2Server, b"user=user\x01auth=Bearer mF_9.B5f-4.1JqM\x01\x01", b"user"),
    ],
)
def test_what_curl_says_is_taken(server: type[OauthServer], response: bytes, name: bytes) -> None:
    """RFC 7628 section 3.1 and Google's page: as curl's own tests record it."""
    assert _take(server, response) == TokenCredentials(name, Secret(b"mF_9.B5f-4.1JqM"))


def test_google_s_example_brings_its_token() -> None:
    """Google, XOAUTH2 protocol: the initial client response."""
    response = (
        b"user=someuser@example.com\x01"
        b"auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"
    )
    assert _take(Xoauth2Server, response) == TokenCredentials(
        b"someuser@example.com", Secret(b"ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
    )


# -- the form


@pytest.mark.parametrize(
    ("response", "name"),
    [
        (b"n,,\x01auth=Bearer x\x01\x01", b""),
        (b"y,a=user,\x01auth=Bearer x\x01\x01", b"user"),
        (b"n,a=a=2Cb=3Dc=3D2C,\x01auth=Bearer x\x01\x01", b"a,b=c=2C"),
        (b"n,a=user,\x01port=143\x01auth=bearer   x\x01host=h\x01\x01", b"user"),
        (b"n,a=user,\x01host=\x01auth=BEARER x\x01mthd=POP\x01\x01", b"user"),
        (b"n,a=user,\x01auth=Bearer x\x01zzz=\t a=b\r\n\x01\x01", b"user"),
        (b"n,a=\xd0\xbf,\x01auth=Bearer x\x01\x01", b"\xd0\xbf"),
    ],
)
def test_a_response_in_the_form_of_the_rfc_is_taken(response: bytes, name: bytes) -> None:
    """RFC 7628 section 3.1, RFC 5801 section 4: any order, unknown keys are not looked at."""
    assert _take(OauthBearerServer, response) == TokenCredentials(name, Secret(b"x"))


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x01",
        b"\x01\x01",
        b"n,,",
        b"n,,\x01",
        b"n,,\x01\x01",
        b"n,\x01auth=Bearer x\x01\x01",
        b"n,user,\x01auth=Bearer x\x01\x01",
        b"n,a=,\x01auth=Bearer x\x01\x01",
        b"n,a=us=er,\x01auth=Bearer x\x01\x01",
        b"n,a=us=2c,\x01auth=Bearer x\x01\x01",
        b"n,a=us\ner,\x01auth=Bearer x\x01\x01",
        b"n,a=us\0er,\x01auth=Bearer x\x01\x01",
        b"n,a=user,x\x01auth=Bearer x\x01\x01",
        b"n,a=user\x01auth=Bearer x\x01\x01",
        b"p=tls-exporter,a=user,\x01auth=Bearer x\x01\x01",
        b"F,n,a=user,\x01auth=Bearer x\x01\x01",
        b"N,a=user,\x01auth=Bearer x\x01\x01",
        b"n,a=user,auth=Bearer x\x01\x01",
        b"n,a=user,\x01auth=Bearer x\x01",
        b"n,a=user,\x01auth=Bearer x",
        b"n,a=user,\x01auth=Bearer x\x01\x01\x01",
        b"n,a=user,\x01\x01auth=Bearer x\x01\x01",
        b"n,a=user,\x01auth=Bearer x\x01\x01host=h\x01\x01",
        b"n,a=user,\x01host=h\x01\x01",
        b"n,a=user,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
        b"n,a=user,\x01auth=Bearer x\x01AUTH=Bearer y\x01\x01",
        b"n,a=user,\x01host=a\x01host=a\x01auth=Bearer x\x01\x01",
        b"n,a=user,\x01auth\x01\x01",
        b"n,a=user,\x01=Bearer x\x01\x01",
        b"n,a=user,\x01auth =Bearer x\x01\x01",
        b"n,a=user,\x01h0st=a\x01auth=Bearer x\x01\x01",
        b"n,a=user,\x01host=\xff\x01auth=Bearer x\x01\x01",
        b"n,a=user,\x01host=\0\x01auth=Bearer x\x01\x01",
        b"n,a=user,\x01auth=Bearer\x01\x01",
        b"n,a=user,\x01auth=Bearer \x01\x01",
        b"n,a=user,\x01auth=Bearer a b\x01\x01",
        b"n,a=user,\x01auth=Bearer a\n\x01\x01",
        b"n,a=user,\x01auth=Basic eA==\x01\x01",
        b"n,a=user,\x01auth=x\x01\x01",
        b"n,a=user,\x01auth= Bearer x\x01\x01",
        b"n,a=user,\x01"
        + b"".join(b"%c=1\x01" % n for n in b"bcdefghi")
        + b"auth=Bearer x\x01\x01",
        b"\0user\0hunter2",
    ],
)
def test_another_form_fails(response: bytes) -> None:
    """RFC 7628 section 3.1: one reading only; a key twice would be two."""
    server = OauthBearerServer()
    with pytest.raises(SaslFailed):
        server.step(Secret(response))
    with pytest.raises(SaslFailed):
        server.step(Secret(GOOD[OauthBearerServer]))


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x01",
        b"user=\x01auth=Bearer x\x01\x01",
        b"user=us\ner\x01auth=Bearer x\x01\x01",
        b"USER=user\x01auth=Bearer x\x01\x01",
        b"n,a=user,\x01auth=Bearer x\x01\x01",
        b"auth=Bearer x\x01user=user\x01\x01",
        b"user=user\x01auth=Bearer x\x01",
        b"user=user\x01auth=Bearer x",
        b"user=user\x01auth=Bearer x\x01\x01\x01",
        b"user=user\x01auth=Bearer x\x01host=h\x01\x01",
        b"user=user\x01user=root\x01auth=Bearer x\x01\x01",
        b"user=user\x01auth=Bearer\x01\x01",
        b"user=user\x01auth=Bearer a b\x01\x01",
        b"user=user\x01auth=Bearer a\r\x01\x01",
        b"user=user\x01auth=x\x01\x01",
        b"user=user\x01Bearer x\x01\x01",
    ],
)
def test_another_form_of_xoauth2_fails(response: bytes) -> None:
    """Google, XOAUTH2 protocol: user, auth, two ^A, and nothing else."""
    with pytest.raises(SaslFailed):
        _take(Xoauth2Server, response)


@pytest.mark.parametrize("server", BOTH)
def test_a_response_has_a_limit(server: type[OauthServer]) -> None:
    """RFC 5034 section 4 has none for AUTH; whatever is longer than any token is no token."""
    good = GOOD[server]
    longest = good.replace(b"hunter2", b"x" * (RESPONSE_LIMIT_OCTETS - len(good) + 7))
    assert len(longest) == RESPONSE_LIMIT_OCTETS
    assert isinstance(_take(server, longest), TokenCredentials)
    with pytest.raises(SaslFailed, match="longer"):
        _take(server, longest.replace(b"Bearer x", b"Bearer xx"))


# -- the answer to a bad token


@pytest.mark.parametrize(
    ("server", "configuration", "scope", "error"),
    [
        (OauthBearerServer, "", "", {"status": "invalid_token"}),
        (OauthBearerServer, "", "pop3", {"status": "invalid_token", "scope": "pop3"}),
        (
            OauthBearerServer,
            "https://id.example.com/é",
            "",
            {"status": "invalid_token", "openid-configuration": "https://id.example.com/é"},
        ),
        (
            Xoauth2Server,
            "https://id.example.com",
            "pop3 mail",
            {"status": "400", "schemes": "Bearer", "scope": "pop3 mail"},
        ),
    ],
)
def test_an_error_says_what_a_token_would_need(
    server: type[OauthServer], configuration: str, scope: str, error: dict[str, str]
) -> None:
    """RFC 7628 section 3.2.2: status, scope, openid-configuration; only what there is; ASCII."""
    mechanism = server()
    mechanism.step(Secret(GOOD[server]))
    data = mechanism.refuse(configuration, scope).data
    assert json.loads(data) == error
    assert data.isascii()
    assert data.decode().isprintable()


@pytest.mark.parametrize("server", BOTH)
@pytest.mark.parametrize("answer", [b"\x01", b"", b"whatever", b"n,,\x01auth=Bearer x\x01\x01"])
def test_whatever_the_client_says_to_an_error_is_the_end(
    server: type[OauthServer], answer: bytes
) -> None:
    """RFC 7628 section 3.2.3: the server fails the exchange, whatever it is answered."""
    mechanism = server()
    assert mechanism.step(None) == Challenge(b"")
    mechanism.step(Secret(GOOD[server]))
    mechanism.refuse("", "")
    for _ in range(2):
        with pytest.raises(SaslFailed, match="over"):
            mechanism.step(Secret(answer))
    with pytest.raises(OutOfOrder):
        mechanism.refuse("", "")


@pytest.mark.parametrize("server", BOTH)
@pytest.mark.parametrize("said", [[], [None], [Secret(b"nonsense")]])
def test_there_is_nothing_to_refuse_before_a_token(
    server: type[OauthServer], said: list[Secret | None]
) -> None:
    """RFC 7628 section 3.2.2: an error is the answer to a token."""
    mechanism = server()
    for response in said:
        try:
            mechanism.step(response)
        except SaslFailed:
            continue
    with pytest.raises(OutOfOrder):
        mechanism.refuse("", "")


@pytest.mark.parametrize("server", BOTH)
def test_a_token_is_given_once(server: type[OauthServer]) -> None:
    """RFC 7628 section 3.2: one exchange, one token, whether it was good or not."""
    mechanism = server()
    mechanism.step(Secret(GOOD[server]))
    with pytest.raises(SaslFailed):
        mechanism.step(Secret(GOOD[server]))
    with pytest.raises(OutOfOrder):
        mechanism.refuse("", "")


# -- any client

NAMES = st.text(min_size=1, max_size=20).filter(
    lambda name: name.isprintable() and name.encode(errors="replace").decode() == name
)
TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)


@given(NAMES, TOKENS)
def test_what_our_client_sends_our_server_reads(name: str, token: str) -> None:
    """RFC 7628 section 3.1: any name and any token, octet for octet."""
    login = Login(name, Secret(token.encode()), is_token=True)
    expected = TokenCredentials(name.encode(), Secret(token.encode()))
    bearer = OauthBearerClient(login, "pop.example.com", 995)
    assert OauthBearerServer().step(bearer.start()) == expected
    assert Xoauth2Server().step(Xoauth2Client(login).start()) == expected


PIECES = st.lists(
    st.sampled_from(
        [b"n", b"y", b"p=x", b",", b"a=", b"user=", b"u", b"=2C", b"=", b"\x01", b"\x01\x01",
         b"auth=", b"Bearer ", b"host=", b"x", b"\0", b"\xff", b"\n"]
    ),
    max_size=14,
).map(b"".join)  # fmt: skip


@pytest.mark.parametrize("server", BOTH)
@given(response=st.one_of(st.binary(max_size=60), PIECES))
def test_any_response_is_a_token_or_a_failure(server: type[OauthServer], response: bytes) -> None:
    """RFC 7628 section 3.1: nothing else comes out, and what comes out can go on."""
    try:
        credentials = server().step(Secret(response))
    except SaslFailed:
        return
    assert isinstance(credentials, TokenCredentials)
    assert not any(octet < 0x20 or octet == 0x7F for octet in credentials.name_untrusted)
    token = credentials.token.reveal()
    assert token in response
    assert all(0x21 <= octet <= 0x7E for octet in token)


@pytest.mark.parametrize("server", BOTH)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x01\x01", b"\x01"),
        (b"\x01auth", b"\x01x=hunter2\x01x=y\x01auth"),
        (b"Bearer ", b"Basic "),
        (b"hunter2", b"hunter2 hunter2"),
        (b"user@", b"hunter2\n@"),
        (b"hunter2", b"hunter2" * 2000),
    ],
)
def test_a_failure_shows_nothing_of_the_token(
    server: type[OauthServer], old: bytes, new: bytes
) -> None:
    """Not in the text, not in a traceback with its variables."""
    with pytest.raises(SaslFailed) as caught:
        _take(server, GOOD[server].replace(old, new))
    assert "hunter2" not in variables_shown(caught.value)
