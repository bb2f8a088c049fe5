"""Thunderbird's profiles, preferences and state, from texts as Thunderbird writes them."""

from typing import Any

import pytest

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.found import ImportedAccount, SeenGroup, SeenMessage
from mailkeep.fetch.importing.thunderbird import (
    Profile,
    import_account,
    list_servers,
    parse_popstate,
    parse_preferences,
    parse_profiles,
)

PREFERENCES = r"""// Mozilla User Preferences
# comment
/* user_pref("mail.server.server9.type", "pop3"); */
user_pref("mail.server.server10.hostname", "second.example");
user_pref("mail.server.server2.authMethod", 3);
user_pref("mail.server.server2.check_new_mail", true);
user_pref("mail.server.server2.check_time", 30);
user_pref("mail.server.server2.delete_by_age_from_server", true);
user_pref("mail.server.server2.directory-rel", "[ProfD]Mail/pop.example.com");
user_pref("mail.server.server2.hostname", "pop.example.com");
user_pref("mail.server.server2.leave_on_server", true);
user_pref("mail.server.server2.limit_offline_message_size", true);
user_pref("mail.server.server2.name", "J\u00fcrgen \"J\" \x41 \\\\x41 Ünal");
user_pref("mail.server.server2.num_days_to_leave_on_server", 21);
user_pref("mail.server.server2.socketType", 3);
user_pref("mail.server.server2.spamActionTargetAccount", "x");
user_pref("mail.server.server2.type", "pop3");
user_pref("mail.server.server2.userName", "joe smith@example.com");
user_pref("mail.server.server2.someday", -1);
user_pref("mailnews.tcptimeout", 120);
user_pref("security.tls.version.min", 4);
user_pref("broken
"""


def import_one(**values: Any) -> ImportedAccount:
    general = values.pop("general", {})
    own = {"hostname": "h.example", "userName": "u", "type": "pop3", "socketType": 3, **values}
    named = {f"mail.server.server1.{key}": value for key, value in own.items()}
    (server,) = list_servers({**named, **general})
    return import_account(server, "prefs.js", ())


def test_profiles_are_relative_or_not() -> None:
    """profiles.ini: `IsRelative`; other sections are of no interest."""
    text = (
        "[Install1]\r\nDefault=x\r\n[Profile1]\r\nName=a\r\nIsRelative=1\r\nPath=Profiles/a b\r\n"
        "[Profile0]\nIsRelative=0\nPath=/srv/tb\n[General]\nVersion=2\n"
    )
    assert parse_profiles(text, "p") == [Profile("Profiles/a b", True), Profile("/srv/tb", False)]
    with pytest.raises(WrongSettings, match=r"^p:"):
        parse_profiles("junk", "p")


def test_preferences_are_read_as_javascript() -> None:
    """prefs.js: strings with escapes, numbers, booleans; comments and broken lines are passed."""
    found = parse_preferences(PREFERENCES.replace("\n", "\r\n"))
    assert found["mail.server.server2.name"] == 'Jürgen "J" A \\\\x41 Ünal'
    assert found["mail.server.server2.socketType"] == 3
    assert found["mail.server.server2.leave_on_server"] is True
    assert found["mail.server.server2.someday"] == -1
    assert not any("server9" in name for name in found)


def test_an_account_is_what_it_was() -> None:
    """Section 8 of the mapping; 50 kB is what Thunderbird takes where it says nothing."""
    server, other = list_servers(parse_preferences(PREFERENCES))
    assert (server.key, other.key, other.is_pop3) == ("server2", "server10", False)
    assert server.directory == "[ProfD]Mail/pop.example.com"
    account = import_account(server, "prefs.js", ())
    assert account.url == "pop3s://joe%20smith%40example.com@pop.example.com"
    assert account.settings == {
        "keep": True,
        "timeout": 120,
        "minimum": "TLSv1.3",
        "larger_than": "50k",
        "larger": "headers",
        "every": "30m",
    }
    notes = " ".join(account.notes)
    assert 'delete_after = "21d"' in notes
    assert "someday" in notes
    assert "spamActionTargetAccount" not in notes
    assert "choose where mail goes" in notes


@pytest.mark.parametrize(
    ("socket_type", "url", "told"),
    [
        (0, "pop3://u@h.example", True),
        (1, "pop3://u@h.example", True),
        (2, "pop3://u@h.example", False),
        (3, "pop3s://u@h.example", False),
    ],
)
def test_without_tls_there_is_no_fetch(socket_type: int, url: str, told: bool) -> None:
    """Import rule: plain and STARTTLS-where-offered become STLS or nothing, and it is told."""
    account = import_one(socketType=socket_type)
    assert account.url == url
    assert ("STLS or nothing" in " ".join(account.notes)) is told


def test_nothing_is_deleted_at_first() -> None:
    """Import rule: the old policy is told, the new one keeps."""
    account = import_one(leave_on_server=False)
    assert account.settings["keep"] is True
    assert "delete = true" in " ".join(account.notes)


def test_secrets_stay_where_they_are() -> None:
    """Import rule: passwords and tokens of Thunderbird's store are named and not copied."""
    assert "password in Thunderbird's store" in " ".join(import_one().notes)
    oauth = import_one(authMethod=10)
    assert "auth" not in oauth.settings  # nothing could be logged in with
    assert "token_command" in " ".join(oauth.notes)
    assert "CRAM-MD5" in " ".join(import_one(authMethod=4).notes)


def test_only_headers_are_asked_for_where_they_were() -> None:
    """headersOnly: whatever is larger than nothing comes as its header."""
    settings = import_one(headersOnly=True).settings
    assert (settings["larger_than"], settings["larger"]) == ("0", "headers")


def test_a_proxy_is_told() -> None:
    """Whoever hid behind a proxy must know that Mailkeep does not."""
    assert "proxy" in " ".join(import_one(general={"network.proxy.type": 1}).notes)


def test_state_has_flags() -> None:
    """Section 8: k, d, b, f; of b and f only the beginning is there. CRLF, users with spaces."""
    octets = (
        b"# POP3 State File\r\n# This is a generated file!  Do not edit.\r\n\r\nk 0 1\r\n"
        b"*pop.example joe smith@x\r\nk 1 1700000000\r\nd 2 1700000001\r\nb \xe4 17\r\nf #4\r\n"
        b"z 5 6\r\n*::1 u\r\nk 6 7\r\n"
    )
    assert parse_popstate(octets, "p") == [
        SeenGroup(
            "p",
            "pop.example",
            "joe smith@x",
            (
                SeenMessage(b"1", 1700000000),
                SeenMessage(b"2", 1700000001),
                SeenMessage(b"\xe4", 17, is_whole=False),
                SeenMessage(b"#4", None, is_whole=False),
            ),
            damaged=2,
        ),
        SeenGroup("p", "::1", "u", (SeenMessage(b"6", 7),), damaged=2),
    ]


def test_state_of_another_mailbox_is_not_taken() -> None:
    """Two servers may use the same unique-ids: who takes another's loses mail (S-20)."""
    server = list_servers(parse_preferences(PREFERENCES))[0]
    other = b"*pop.example.org joe smith@example.com\nk 1 2\n"
    octets = other + b"*POP.example.com joe smith@example.com\nb 2 3\n"
    account = import_account(server, "prefs.js", parse_popstate(octets, "p"))
    assert account.seen == (SeenMessage(b"2", 3, is_whole=False),)
    assert "of 1 messages Thunderbird has only the beginning" in account.notes
