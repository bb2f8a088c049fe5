"""What the server says, in the languages that LANG chooses from (RFC 6856 section 3).

English is what `replies` and `pop3` say; here is the same in German. A text is found by its English
words and only as a whole: what comes with numbers and unique-ids of messages is never looked into,
or a message whose unique-id is `octets` would get another name. Programs read codes and numbers,
which are the same in all languages; that every text has its translation is proved by a test.
"""

import dataclasses
from collections.abc import Mapping

from mailkeep.pop3 import Ok, Reply

DEFAULT_LANGUAGE = "en"
"""Until a client asks for another one; also i-default, which is to be understood by people who know
English (RFC 2277 section 4.5)."""

LANGUAGES = (("en", "English"), ("de", "Deutsch"))
"""The tag and, in the language itself, the name."""

_WHATEVER_IS_THERE = ("*", "i-default")

_GERMAN: Mapping[str, str] = {
    # replies
    "POP3 ready": "POP3 bereit",
    "bye": "auf Wiedersehen",
    "now the password": "nun das Passwort",
    "the maildrop is open": "das Postfach ist offen",
    "begin TLS": "TLS kann beginnen",
    "capabilities": "Fähigkeiten",
    "mechanisms": "Verfahren",
    "login refused": "Anmeldung abgelehnt",
    "cannot check the login now, try again later": (
        "die Anmeldung kann gerade nicht geprüft werden, bitte später noch einmal"
    ),
    "wait longer between two logins": "zwischen zwei Anmeldungen länger warten",
    "unknown mechanism": "unbekanntes Verfahren",
    "that answer breaks the mechanism's rules": "diese Antwort verletzt die Regeln des Verfahrens",
    "languages": "Sprachen",
    "unknown language": "unbekannte Sprache",
    "UTF-8 from now on": "ab jetzt UTF-8",
    "nothing changes after login": "nach der Anmeldung ändert das nichts",
    "UTF8 is not offered": "UTF8 wird nicht angeboten",
    "this message needs UTF8 before login": "diese Nachricht braucht UTF8 vor der Anmeldung",
    "too many sessions of this account": "zu viele Sitzungen dieses Kontos",
    "another session has this maildrop": "eine andere Sitzung hat dieses Postfach",
    "cannot open the maildrop now, try again later": (
        "das Postfach kann gerade nicht geöffnet werden, bitte später noch einmal"
    ),
    "no such message": "diese Nachricht gibt es nicht",
    "that message is marked as deleted": "diese Nachricht ist als gelöscht markiert",
    "that message is gone": "diese Nachricht ist nicht mehr da",
    "cannot read that message now": "diese Nachricht kann gerade nicht gelesen werden",
    "this password may not delete": "dieses Passwort darf nicht löschen",
    "the top follows": "der Anfang folgt",
    "marked as deleted": "als gelöscht markiert",
    "no message is marked as deleted": "keine Nachricht ist als gelöscht markiert",
    "done": "erledigt",
    "some marked messages were not removed": "einige markierte Nachrichten wurden nicht entfernt",
    # pop3: a line that is in the wrong place
    "line too long": "die Zeile ist zu lang",
    "nothing may be sent behind STLS before its answer": (
        "hinter STLS darf vor der Antwort nichts gesendet werden"
    ),
    "not in this state": "nicht in diesem Zustand",
    "STLS first": "zuerst STLS",
    "not offered": "wird nicht angeboten",
    "cancelled": "abgebrochen",
    # pop3: a line that is no command
    "unknown command": "unbekannter Befehl",
    "that is not base64": "das ist kein Base64",
    "one space stands between fields": "zwischen den Feldern steht ein Leerzeichen",
    "a message-number is 1 to 10 digits and counts from 1": (
        "eine Nachrichtennummer hat 1 bis 10 Ziffern und zählt ab 1"
    ),
    "this command takes no argument": "dieser Befehl hat kein Argument",
    "this command takes one message-number": "dieser Befehl braucht eine Nachrichtennummer",
    "this command takes at most one message-number": (
        "dieser Befehl hat höchstens eine Nachrichtennummer"
    ),
    "TOP takes a message-number and a number of lines": (
        "TOP braucht eine Nachrichtennummer und eine Anzahl von Zeilen"
    ),
    "USER takes a name": "USER braucht einen Namen",
    "PASS takes a password": "PASS braucht ein Passwort",
    "AUTH takes a mechanism and at most one initial response": (
        "AUTH braucht ein Verfahren und hat höchstens eine erste Antwort"
    ),
    "LANG takes at most one language": "LANG hat höchstens eine Sprache",
}

TEXTS: Mapping[str, Mapping[bytes, bytes]] = {
    "de": {english.encode(): german.encode() for english, german in _GERMAN.items()},
}
"""For each language but English what is said in it, by what it is in English."""

_OCTETS: Mapping[str, bytes] = {"en": b"%d octets", "de": b"%d Oktette"}
_MESSAGES: Mapping[str, bytes] = {"en": b"%d messages", "de": b"%d Nachrichten"}


def choose_language(tag_untrusted: bytes) -> str | None:
    """Return which of our languages a client means, None when it is none of them.

    A tag is cut from its end until it fits, so `de-AT` is `de` (RFC 4647 section 3.4); `*` is
    whatever the server likes (RFC 6856 section 3).
    """
    wanted = tag_untrusted.decode("ascii", "replace").lower()
    if wanted in _WHATEVER_IS_THERE:
        return DEFAULT_LANGUAGE
    ours = [tag for tag, _ in LANGUAGES]
    while wanted and wanted not in ours:
        wanted = wanted.rpartition("-")[0]
    return wanted or None


def translate(reply: Reply, language: str) -> Reply:
    """Return the same reply in another language: same kind, same code, same lines.

    What has no translation stays as it is.

    Args:
        language: one of `LANGUAGES`.
    """
    text = TEXTS.get(language, {}).get(reply.text)
    return reply if text is None else dataclasses.replace(reply, text=text)


def octets_reply(octets: int, language: str) -> Ok:
    """Return the first line before a message: its size, as RFC 1939 section 5 shows it."""
    return Ok(_OCTETS[language] % octets)


def messages_reply(messages: int, language: str) -> Ok:
    """Return the first line before a listing: how many messages there are."""
    return Ok(_MESSAGES[language] % messages)
