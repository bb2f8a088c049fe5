"""The mail on the server's side: distinct, realistic, the same in every run.

Messages lie in `cur` and are marked as read, with their sizes in their names: Dovecot has nothing
to count and nothing to rename for the first program that it would not have for the last.
"""

import base64
import poplib
import random
import ssl
from collections.abc import Iterator
from pathlib import Path

from bench.fetch.rows import LARGE_OCTETS, Row

FIRST_TIME = 1_750_000_000

LINE_OCTETS = 57
"""Of what is attached; they become 76 in base64 (RFC 2045 section 6.8)."""

_WORDS = (
    b"the of to and mail that is on for with as it be we this by at from not or will have are you "
    b"server message minutes meeting report invoice thanks regards please attached Friday draft "
    b"question answer table figures budget contract tomorrow office copy version list"
).split()

_HEADER = b"""\
Return-Path: <%(sender)s>
Delivered-To: reader@example.test
Received: from relay%(hop)d.example.net (relay%(hop)d.example.net [192.0.2.%(hop)d])
	by mx.example.test with ESMTPS id %(id)016x
	for <reader@example.test>; Mon, 16 Jun 2025 09:%(minute)02d:11 +0000
Received: from [198.51.100.%(hop)d] by relay%(hop)d.example.net with ESMTPSA
	id %(id)012x; Mon, 16 Jun 2025 09:%(minute)02d:09 +0000
From: Person %(number)d <%(sender)s>
To: Reader <reader@example.test>
Subject: %(subject)s (%(number)d)
Date: Mon, 16 Jun 2025 09:%(minute)02d:07 +0000
Message-ID: <%(id)016x.%(number)d@example.net>
MIME-Version: 1.0
User-Agent: Mail/140.1
"""
_TEXT = b"Content-Type: text/plain; charset=utf-8\n\n"
_ATTACHED = b"""\
Content-Type: image/jpeg; name="photograph.jpg"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="photograph.jpg"

"""


def fill(maildir: Path, row: Row) -> None:
    """Lay a row's messages into a new Maildir."""
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True)
    for number, message in enumerate(messages(row)):
        wire_octets = len(message) + message.count(b"\n")
        sizes = f",S={len(message)},W={wire_octets}"
        name = f"{FIRST_TIME + number}.M{number}P1Q1.mail.example{sizes}:2,S"
        (maildir / "cur" / name).write_bytes(message)


def messages(row: Row) -> Iterator[bytes]:
    """Yield a row's messages as they are stored, with LF."""
    source = random.Random(row.octets)  # noqa: S311  # mail, not a secret
    kind = _ATTACHED if row.octets >= LARGE_OCTETS else _TEXT
    lines = list(_attached_lines(source) if kind is _ATTACHED else _text_lines(source))
    for number in range(row.messages):
        header = _header(source, number) + kind
        yield header + _body(source, lines, row.octets - len(header))


def _header(source: random.Random, number: int) -> bytes:
    values = {
        b"number": number,
        b"hop": source.randrange(1, 250),
        b"minute": source.randrange(60),
        b"id": source.getrandbits(48),
        b"sender": b"person%d@example.net" % source.randrange(1000),
        b"subject": b" ".join(source.choices(_WORDS, k=5)),
    }
    return _HEADER % values


def _text_lines(source: random.Random) -> Iterator[bytes]:
    """Yield lines of prose; one in a hundred begins with a dot and is stuffed on the wire."""
    for number in range(2000):
        text = b" ".join(source.choices(_WORDS, k=source.randrange(4, 14)))
        yield (b"." if number % 100 == 0 else b"") + text + b"\n"


def _attached_lines(source: random.Random) -> Iterator[bytes]:
    for _ in range(4000):
        yield base64.b64encode(source.randbytes(LINE_OCTETS)) + b"\n"


def _body(source: random.Random, lines: list[bytes], octets: int) -> bytes:
    """Return lines that together have about so many octets, from a place of the message's own."""
    first = source.randrange(len(lines))
    turned = b"".join(lines[first:] + lines[:first])
    text = turned * (octets // len(turned) + 1)
    return text[: text.rindex(b"\n", 0, octets) + 1]


def list_unique_ids(port: int, account: str, password: str, ca: Path) -> list[str]:
    """Return what the server calls its messages; its own caches are warm after that.

    Args:
        port: where it speaks TLS on this machine.
        account, password: the mailbox.
        ca: of the server's certificate.
    """
    context = ssl.create_default_context(cafile=str(ca))
    session = poplib.POP3_SSL("localhost", port, context=context)
    session.user(account)
    session.pass_(password)
    session.list()
    _, listing, _ = session.uidl()
    session.quit()
    return [line.split(b" ", 1)[1].decode("ascii") for line in listing]
