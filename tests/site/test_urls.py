"""A URL that can be asked at: absolute, with a host, and with nothing in it that no URL has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.site.urls import is_url


@pytest.mark.parametrize(
    "text", ["https://a", "https://a/", "https://a:1/x?y=z", "https://[2001:db8::1]/", "HTTPS://a/"]
)
def test_a_url_with_a_host_is_one(text: str) -> None:
    """With a port, a path and a query or without (RFC 3986 section 4.3)."""
    assert is_url(text, "https")


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "a:1", "//a/", "https:", "https:///x", "https://:1/", "http://a/", "ftp://a/"),
        *("https://a:0/", "https://a:65536/", "https://a:x/", "https://[::1/", "https://a b/"),
        *("https://a/ ", " https://a/", "https://a/\n", "https://\u00e4/", "https://a/\x7f"),
    ],
)
def test_what_cannot_be_asked_at_is_none(text: str) -> None:
    """No scheme or another one, no host, no such port, or a character that no URL has."""
    assert not is_url(text, "https")


@given(st.text())
def test_any_text_is_a_url_or_none(text: str) -> None:
    """Whatever an operator writes, there is an answer."""
    assert isinstance(is_url(text, "http", "https"), bool)
