"""EXTERNAL from the server's side: a wish, and nothing else comes of it (RFC 4422 appendix A)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.sasl import CertificateAsked, Challenge, SaslFailed
from mailkeep.sasl.external_client import ExternalClient
from mailkeep.sasl.external_server import ExternalServer
from mailkeep.values import Secret


@pytest.mark.parametrize("name", [b"", b"fred@example.com", "тим".encode(), b"half\xc3", b"a b"])
def test_the_name_is_taken_as_it_is(name: bytes) -> None:
    """RFC 4422 appendix A.1: the authorization identity, or nothing for the certificate's own."""
    assert ExternalServer().step(Secret(name)) == CertificateAsked(name)


def test_without_initial_response_the_challenge_is_empty() -> None:
    """RFC 4422 appendix A.1: the server sends an empty challenge; the answer may be empty."""
    mechanism = ExternalServer()
    assert mechanism.step(None) == Challenge(b"")
    assert mechanism.step(Secret(b"")) == CertificateAsked(b"")


def test_our_client_and_our_server_meet() -> None:
    """RFC 4422 appendix A.1: what one says the other takes."""
    assert ExternalServer().step(ExternalClient().start()) == CertificateAsked(b"")


@pytest.mark.parametrize("response", [b"\0", b"al\0ice", b"alice\r\n", b"a\x01b", b"\x7f"])
def test_a_control_character_fails_and_is_not_shown(response: bytes) -> None:
    """RFC 4422 appendix A.1: no NUL; and no line breaks, which go into nobody's log."""
    mechanism = ExternalServer()
    with pytest.raises(SaslFailed) as caught:
        mechanism.step(Secret(response))
    assert "alice" not in str(caught.value)
    with pytest.raises(SaslFailed):
        mechanism.step(Secret(b"alice"))


@given(st.binary(max_size=40))
def test_there_is_one_answer_and_no_second(response: bytes) -> None:
    """RFC 4422 appendix A.1: any octets are a name or a failure, and then it is over."""
    mechanism = ExternalServer()
    try:
        assert mechanism.step(Secret(response)) == CertificateAsked(response)
    except SaslFailed:
        assert any(octet < 0x20 or octet == 0x7F for octet in response)
    for again in (None, Secret(b""), Secret(response)):
        with pytest.raises(SaslFailed):
            mechanism.step(again)
