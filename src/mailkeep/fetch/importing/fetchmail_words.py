"""The words of `.fetchmailrc` (fetchmail(1), "Run Control Syntax").

They are found as fetchmail's own lexer finds them: the longest match wins, and after `user`,
`password`, `is`, `to` and `=` comes a name, whatever it looks like.

Known limit: the keywords of versions 6.3 to 7.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ALIASES = {
    "server": "poll", "protocol": "proto", "localdomains": "local", "port": "service",
    "authenticate": "auth", "preauth": "auth", "preauthenticate": "auth", "username": "user",
    "password": "pass", "folders": "folder", "smtphost": "smtp", "preconnect": "pre",
    "postconnect": "post", "mimedecode": "mimedec", "pass8bits": "pass8",
}  # fmt: skip
"""Every option has one name from here on."""
_NOISE = frozenset({"and", "with", "has", "wants", "options"})
FLAGS = frozenset({
    "keep", "flush", "limitflush", "fetchall", "rewrite", "forcecr", "stripcr", "pass8",
    "dropstatus", "dropdelivered", "mimedec", "idle", "dns", "uidl", "ssl", "sslcertck",
    "checkalias", "tracepolls", "lmtp", "forceidle",
})  # fmt: skip
TEXTS = frozenset({
    "via", "qvirtual", "interface", "monitor", "plugin", "plugout", "principal", "esmtpname",
    "esmtppassword", "pass", "smtpaddress", "smtpname", "mda", "bsmtp", "pre", "post", "properties",
    "sslkey", "sslcert", "sslproto", "sslcertfile", "sslcertpath", "sslcommonname",
    "sslfingerprint", "sslmode", "passwordfile", "service", "timeout", "interval", "limit",
    "warnings", "fetchlimit", "fetchsizelimit", "fastuidl", "batchlimit", "expunge", "passwordfd",
    "auth", "proto", "bad-header",
})  # fmt: skip
"""One word follows, whether it is a text, a number or one of a choice."""
LISTS = frozenset({"aka", "local", "folder", "smtp", "fetchdomains", "antispam"})
GLOBAL_FLAGS = frozenset({
    "syslog", "invisible", "showdots", "bouncemail", "spambounce", "softbounce",
})  # fmt: skip
GLOBAL_TEXTS = frozenset({"logfile", "idfile", "pidfile", "daemon", "postmaster", "properties"})
_STRUCTURE = frozenset({"set", "defaults", "poll", "skip", "user", "is", "to", "here", "there"})
NEGATABLE = FLAGS | GLOBAL_FLAGS | {"envelope"}
_KEYWORDS = {"no", "envelope"} | _STRUCTURE | FLAGS | TEXTS | LISTS | GLOBAL_FLAGS | GLOBAL_TEXTS
_BEFORE_A_NAME = frozenset({"user", "pass", "is", "to", "=", "auth"})

_WORD = re.compile(r"[^=;:, \t\r\n]+")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_IGNORED = re.compile(r"[ \t\r]+|[;:,]|(?:#.*)?\\?\n")
_ESCAPE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{0,2})|(0[0-7]{0,2})|([1-9][0-9]{0,2})|(.|\n)?)")
_SINGLE = {"n": "\n", "t": "\t", "b": "\b", "r": "\r", "\n": "", "": ""}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the file.

    Attributes:
        is_keyword: it is a word of the language, by its usual name; else a value.
    """

    text: str
    line: int
    is_keyword: bool


def split_words(text: str) -> Iterator[Word]:
    """Yield the words of a file in order."""
    text += "\n"
    at, line, wants_name = 0, 1, False
    while at < len(text):
        kind, length = _longest(text, at)
        piece = text[at : at + length]
        if kind == "word":
            for word in _words(piece, line, wants_name=wants_name):
                yield word
                wants_name = word.is_keyword and word.text in _BEFORE_A_NAME
        elif kind == "quoted":
            yield Word(unescape(piece[1:-1]), line, is_keyword=False)
            wants_name = False
        at += length
        line += piece.count("\n")


def _longest(text: str, at: int) -> tuple[str, int]:
    """Return what stands here; of several the longest, else the first (flex(1), "matching")."""
    best = ("word", 0)
    for kind, pattern in (("quoted", _QUOTED), ("word", _WORD), ("ignored", _IGNORED)):
        found = pattern.match(text, at)
        if found and len(found[0]) > best[1]:
            best = (kind, len(found[0]))
    return best if best[1] else ("word", 1)


def _words(piece: str, line: int, *, wants_name: bool) -> Iterator[Word]:
    name = _ALIASES.get(piece, piece)
    if piece == "=":
        yield Word("=", line, is_keyword=True)
    elif wants_name or (name not in _KEYWORDS | _NOISE and not _negated(piece)):
        yield Word(unescape(piece), line, is_keyword=False)
    elif negated := _negated(piece):
        yield Word("no", line, is_keyword=True)
        yield Word(negated, line, is_keyword=True)
    elif name not in _NOISE:
        yield Word(name, line, is_keyword=True)


def _negated(piece: str) -> str:
    name = _ALIASES.get(piece.removeprefix("no"), piece.removeprefix("no"))
    return name if piece.startswith("no") and name in NEGATABLE else ""


def unescape(text: str) -> str:
    r"""Return a word without its escapes: `\n`, `\233` (decimal), `\0351` (octal), `\xe9`."""

    def one(found: re.Match[str]) -> str:
        hexadecimal, octal, decimal, single = found.groups()
        if hexadecimal is not None:
            return chr(int(hexadecimal or "0", 16))
        if octal or decimal:
            return chr(int(octal, 8) if octal else int(decimal) % 256)
        return _SINGLE.get(single or "", single or "")

    return _ESCAPE.sub(one, text)
