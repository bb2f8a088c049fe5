"""What users write behind `--to`, and the name that the journal knows it by."""

from pathlib import Path

import pytest

from mailkeep.fetch.destinations import parse_destination
from mailkeep.fetch.failures import WrongSettings

ALICE = "alice@example.test"


def name_of(text: str, recipient: str = ALICE) -> str:
    return parse_destination(text, recipient=recipient, spool=Path("/nowhere")).name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("maildir:/srv/mail/alice", "maildir:/srv/mail/alice"),
        ("maildir:/srv/./mail//x/../alice/", "maildir:/srv/mail/alice"),
        ("maildir:~/Mail", "maildir:/home/alice/Mail"),
        ("maildir:Mail", "maildir:/work/here/Mail"),
        ("maildir:/a:b", "maildir:/a:b"),
        ("mbox:~/mbox", "mbox:/home/alice/mbox"),
        ("dir:/srv/e mail", "dir:/srv/e mail"),
        ("pipe:cat -n 'a b'", "pipe:cat -n 'a b'"),
        ('pipe:cat   -n  "a b"', "pipe:cat -n 'a b'"),
        ("pipe:~/bin/filter ~", "pipe:/home/alice/bin/filter '~'"),
        ("pipe:bin/filter", "pipe:/work/here/bin/filter"),
        ("lmtp:Mail.Example.Test:24", "lmtp:mail.example.test:24"),
        ("lmtp:[::1]:24", "lmtp:[::1]:24"),
        ("lmtp:/run/lmtp", "lmtp:/run/lmtp"),
        ("lmtp:~/lmtp", "lmtp:/home/alice/lmtp"),
    ],
)
def test_a_place_has_one_name(monkeypatch: pytest.MonkeyPatch, text: str, name: str) -> None:
    """The journal's key: absolute, whatever folder the program was started in."""
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setattr("os.getcwd", lambda: "/work/here")
    assert name_of(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/srv/mail",
        "maildir",
        "maildir:",
        "maildir:  ",
        "maildir:/a\0b",
        "maildir:~nobody-of-this-name/Mail",
        "Maildir:/srv",
        "imap:host",
        "mbox:/srv/mail/",
        "pipe:",
        "pipe:'open",
        "pipe:''",
        "lmtp:host",
        "lmtp:host:",
        "lmtp:host:0",
        "lmtp:host:65536",
        "lmtp:ho st:24",
        "lmtp:::1:24",
        "lmtp:host/path:24",
    ],
)
def test_what_names_no_place_is_refused(text: str) -> None:
    """Before anything is fetched; the text says what, and the hint what to write."""
    with pytest.raises(WrongSettings):
        name_of(text)


def test_an_unknown_kind_is_told_the_known_ones() -> None:
    """A hint that can be typed."""
    with pytest.raises(WrongSettings) as refused:
        name_of("imap:host")
    hint = refused.value.hint or ""
    assert all(f"{kind}:" in hint for kind in ("maildir", "mbox", "dir", "pipe", "lmtp"))


@pytest.mark.parametrize(
    "recipient", ["", "a\r\nRCPT TO:<b>", "a\n", "a b@x", "a>", "<a", "a\0", "a\x85b", "a\u2028b"]
)
def test_a_recipient_cannot_end_its_line(recipient: str) -> None:
    """S-58: what would be another command or another path is refused."""
    with pytest.raises(WrongSettings):
        name_of("lmtp:host:24", recipient)


def test_a_name_is_text_whatever_is_in_the_path() -> None:
    """A path may hold octets that are no UTF-8; a journal and a terminal take text."""
    assert name_of("maildir:/srv/\udcff").encode() == b"maildir:/srv/\\xff"
