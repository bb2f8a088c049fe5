"""A URL names an account, with a port and a user, and never a password."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.account import Account, TlsPolicy, Transport, host_name, make_account, parse_url
from mailkeep.fetch.failures import FetchExit, WrongSettings

TLS, STLS = Transport.TLS, Transport.STLS


@pytest.mark.parametrize(
    ("url", "transport", "host", "port", "user"),
    [
        ("pop3s://alice@mail.example.com", TLS, "mail.example.com", 995, "alice"),
        ("pops://alice@mail.example.com", TLS, "mail.example.com", 995, "alice"),
        ("pop3://alice@mail.example.com", STLS, "mail.example.com", 110, "alice"),
        ("pop://alice@mail.example.com", STLS, "mail.example.com", 110, "alice"),
        ("POP3S://alice@MAIL.Example.COM.", TLS, "mail.example.com", 995, "alice"),
        ("pop3s://alice@mail.example.com:1995", TLS, "mail.example.com", 1995, "alice"),
        ("pop3s://alice@mail.example.com:65535", TLS, "mail.example.com", 65535, "alice"),
        ("pop3s://alice@mail.example.com:", TLS, "mail.example.com", 995, "alice"),
        ("pop3s://alice@mail.example.com/", TLS, "mail.example.com", 995, "alice"),
        ("pop3://a%40b.example@host", STLS, "host", 110, "a@b.example"),
        ("pop3://a@b.example@host", STLS, "host", 110, "a@b.example"),
        ("pop3s://a%3Ab%2Fc%20d@host", TLS, "host", 995, "a:b/c d"),
        ("pop3s://%D0%BF@host", TLS, "host", 995, "\u043f"),
        ("pop3s://\u043f@host", TLS, "host", 995, "\u043f"),
        ("pop3s://a@b\u00fccher.example", TLS, "xn--bcher-kva.example", 995, "a"),
        ("pop3s://a@192.0.2.1", TLS, "192.0.2.1", 995, "a"),
        ("pop3s://a@[2001:db8::1]", TLS, "2001:db8::1", 995, "a"),
        ("pop3s://a@[2001:DB8:0::1]:1995", TLS, "2001:db8::1", 1995, "a"),
        ("pop3://a@[::1]:110", STLS, "::1", 110, "a"),
    ],
)
def test_a_url_names_an_account(
    url: str, transport: Transport, host: str, port: int, user: str
) -> None:
    """RFC 8314 section 3.3, RFC 2595 section 4; ports are IANA's."""
    account = parse_url(url)
    assert (account.transport, account.host, account.port) == (transport, host, port)
    assert account.user == user
    assert account.name == f"{user}@{host}"
    assert account.tls == TlsPolicy()
    assert account.tls.verifies


@pytest.mark.parametrize(
    "url",
    [
        "",
        "alice",
        "mail.example.com",
        "alice@mail.example.com",
        "//alice@mail.example.com",
        "imap://alice@mail.example.com",
        "pop4s://alice@mail.example.com",
        "pop3s:alice@mail.example.com",
        "pop3s://",
        "pop3s://mail.example.com",
        "pop3s://@mail.example.com",
        "pop3s://alice@",
        "pop3s://alice@:995",
        "pop3s://alice@..",
        "pop3s://alice@-x.example",
        "pop3s://alice@mail_1.example",
        "pop3s://alice@mail.example.com/inbox",
        "pop3s://alice@mail.example.com?x=1",
        "pop3s://alice@mail.example.com#x",
        "pop3s://alice@mail.example.com:0",
        "pop3s://alice@mail.example.com:65536",
        "pop3s://alice@mail.example.com:-1",
        "pop3s://alice@mail.example.com:pop3s",
        "pop3s://alice@mail.example.com:99\u0665",
        "pop3s://alice@2001:db8::1",
        "pop3s://alice@[2001:db8::1",
        "pop3s://alice@[nonsense]",
        "pop3s://al%0Aice@mail.example.com",
        "pop3s://al%0Dice@mail.example.com",
        "pop3s://al%00ice@mail.example.com",
        "pop3s://al%FFice@mail.example.com",
        "pop3s://al\nice@mail.example.com",
        "pop3s://al\r\nice@mail.example.com",
        "pop3s://al\tice@mail.example.com",
        "pop3s://al\0ice@mail.example.com",
        "pop3s://al ice@mail.example.com",
        "pop3s://alice@mail.example.com\n",
        " pop3s://alice@mail.example.com",
        "pop3s://al\udcffice@mail.example.com",
        "pop3s://alice@mail\u2100.example.com",
    ],
)
def test_what_is_no_url_of_a_mailbox_is_refused_with_an_example(url: str) -> None:
    """S-58: one line that says what is wrong; a line break never reaches a command."""
    with pytest.raises(WrongSettings) as refused:
        parse_url(url)
    assert refused.value.code is FetchExit.WRONG
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "pop3s://alice:hunter2@mail.example.com",
        "pop3s://alice:hunter2@mail.example.com:995",
        "pop3s://alice:hun%74er2hunter2@mail.example.com",
        "pop3s://:hunter2@mail.example.com",
        "imap://alice:hunter2@mail.example.com",
        "alice:hunter2@mail.example.com",
        "pop3s:alice:hunter2@mail.example.com",
        "pop3s:/alice:hunter2@mail.example.com",
        "pop3s:///alice:hunter2@mail.example.com",
        "pop3s://alice:hunter2/x@mail.example.com",
        "pop3s://alice:hunter2#x@mail.example.com",
        "pop3s://alice:hunter2?x@mail.example.com",
        "pop3s://alice:1/hunter2@mail.example.com",
        "pop3s://alice:1#hunter2@mail.example.com",
        "pop3s://alice:1?hunter2:x@mail.example.com",
        "pop3s://alice:1@hunter2@mail.example.com/x",
        "pop3s://alice:hunter2@mail.example.com:port",
        "pop3s://alice:hunter2@[mail.example.com",
        "pop3s://alice:hunter2\n@mail.example.com",
        "pop3s://alice:hunter2 @mail.example.com",
        "//alice:hunter2@mail.example.com",
        "x://alice:hunter2@mail.example.com/:x",
    ],
)
def test_a_password_in_a_url_is_refused_and_never_shown(url: str) -> None:
    """Everybody on a machine reads arguments; no error, cause or trace repeats one."""
    with pytest.raises(WrongSettings) as refused:
        parse_url(url)
    said = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    lines = [line for line in said.splitlines() if "parse_url(url)" not in line]
    assert "hunter2" not in "\n".join(lines)
    assert "hunter2" not in (refused.value.hint or "")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "C"]), max_size=30))
def test_any_text_is_an_account_or_wrong_settings(text: str) -> None:
    """An account can be said: in a command, as the name of a folder, in a hash."""
    for url in (text, f"pop3s://{text}@host", f"pop3s://a@{text}", f"pop3s://a@host:{text}"):
        try:
            account = parse_url(url)
        except WrongSettings:
            continue
        account.name.encode()
        assert not set("\r\n\0") & set(account.name)
        assert account.host.isascii()
        assert 0 < account.port < 65536


@pytest.mark.parametrize("user", ["", "a\nb", "a\rb", "a\0b", "\r\n", "\ud800"])
def test_a_user_that_cannot_be_said_is_refused(user: str) -> None:
    """S-58: settings, imports and prompts make accounts without a URL."""
    with pytest.raises(WrongSettings):
        make_account("host", user, TLS)


def test_an_account_has_the_port_of_its_transport() -> None:
    """IANA: 995 for TLS from the first octet, 110 for the rest."""
    ports = {one: make_account("host", "a", one).port for one in Transport}
    assert ports == {TLS: 995, STLS: 110, Transport.CLEARTEXT: 110}
    assert make_account("host", "a", TLS, 1).port == 1


@pytest.mark.parametrize(
    ("host", "hides"),
    [
        ("pop.gmail.com", True),
        ("POP.GMAIL.COM.", True),
        ("pop.googlemail.com", True),
        ("pop.gmail.com.example.net", False),
        ("gmail.com", False),
    ],
)
def test_gmail_is_known_to_list_its_mail_in_parts(host: str, hides: bool) -> None:
    """S-37: sessions are repeated there until nothing new comes."""
    assert make_account(host, "a", TLS).hides_read_mail is hides


@pytest.mark.parametrize("host", ["", " ", "a b", "a..b", "x" * 64, "a." * 200, "\u00df.example"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    """What no certificate can name is not connected to."""
    with pytest.raises(WrongSettings):
        host_name(host)


def test_pins_alone_decide_and_an_unchecked_connection_verifies_nothing() -> None:
    """Pins with authorities: both must hold."""
    some = (b"x" * 32,)
    ca = make_account("host", "a", TLS).tls.authorities
    assert ca is None
    assert not TlsPolicy(pins=some).verifies
    assert not TlsPolicy(is_unchecked=True).verifies
    assert isinstance(make_account("host", "a", TLS), Account)
