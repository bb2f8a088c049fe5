"""What an import finds: URLs that name the same mailbox again, and each seen message once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.account import Transport, parse_url
from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.found import (
    SeenGroup,
    SeenMessage,
    Surroundings,
    account_url,
    decode_settings,
    merge_seen,
    same_host,
)

USERS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1)
HOSTS = st.sampled_from(["mail.example.com", "::1", "2001:db8::25", "192.0.2.1", "localhost"])
PORTS = st.none() | st.integers(1, 65535)


@given(USERS, HOSTS, PORTS, st.sampled_from([Transport.TLS, Transport.STLS]))
def test_a_url_names_the_same_mailbox(
    user: str, host: str, port: int | None, transport: Transport
) -> None:
    """RFC 3986 section 2.1: whatever a user is called, the URL gives it back."""
    account = parse_url(account_url(transport, user, host, port))
    usual = 995 if transport is Transport.TLS else 110
    assert (account.user, account.host, account.transport) == (user, host, transport)
    assert account.port == (port or usual)


def test_clear_text_becomes_stls() -> None:
    """Import rule: what was clear text is STLS or nothing."""
    assert account_url(Transport.CLEARTEXT, "a", "h.example", 110) == "pop3://a@h.example"


@pytest.mark.parametrize(
    ("user", "host"), [("", "h.example"), ("a", ""), ("a\nb", "h"), ("a", "b c")]
)
def test_what_names_no_mailbox_is_refused(user: str, host: str) -> None:
    """S-58: no user with a line break, and no host that cannot be called."""
    with pytest.raises(WrongSettings):
        account_url(Transport.TLS, user, host, None)


def test_half_a_character_is_refused() -> None:
    """A surrogate has no octets (RFC 3629 section 3), so it is no error of ours."""
    with pytest.raises(WrongSettings):
        account_url(Transport.TLS, "a\ud800", "h.example", None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Mail.Example.com", "mail.example.COM", True),
        ("[::1]", "0:0:0:0:0:0:0:1", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("mail.example.com", "mail.example.org", False),
        ("not a host", "Not a host", True),
    ],
)
def test_two_spellings_of_a_host(one: str, other: str, same: bool) -> None:
    """RFC 1035 section 2.3.3, RFC 5890: case and form of a name do not matter."""
    assert same_host(one, other) is same


def test_a_message_of_several_files_is_there_once() -> None:
    """Nothing comes twice: the earliest time is kept, and whole wins over a beginning."""
    old = SeenGroup("old", "h", "u", (SeenMessage(b"1", 9), SeenMessage(b"2", None)))
    new = SeenGroup("new", "h", "u", (SeenMessage(b"1", 5), SeenMessage(b"2", 7, is_whole=False)))
    assert merge_seen([old, new]) == (SeenMessage(b"1", 5), SeenMessage(b"2", 7))


def test_netrc_is_asked_for_a_machine() -> None:
    """netrc(5): a `machine` counts, a word like its name elsewhere does not."""
    text = "# machine c.example\nmachine A.example login x password b.example\n"
    around = Surroundings(netrc=text)
    found = [around.has_password(host) for host in ("a.example", "b.example", "c.example")]
    assert found == [True, False, False]


def test_settings_of_any_encoding_are_read() -> None:
    """UTF-8 with or without a mark, else Latin-1, which says so."""
    assert decode_settings(b"\xef\xbb\xbf\xc3\xa4") == ("ä", True)
    assert decode_settings(b"\xe4") == ("ä", False)
