"""What a random client says: whole lines and how they are cut, from one seed.

It must not know what the server does with them; what a line means as a command it knows because it
made it so.
"""

import base64
from collections.abc import Callable
from random import Random

from tests.fuzz.model import Line, Means
from tests.server.parts import PASSWORD, TOKEN

RIGHT_PLAIN = b"\0alice\0" + PASSWORD
WRONG_PLAIN = (b"\0alice\0wrong", b"\0nobody\0" + PASSWORD, b"alice\0alice\0\xff\xfe")
BROKEN_PLAIN = (
    b"",
    b"\0alice",
    b"bob\0alice\0" + PASSWORD,
    b"\0\0",
    b"\xff" * 40,
    b"\0alice\0a\nb",
)
RIGHT_TOKEN = b"n,a=alice,\x01auth=Bearer " + TOKEN + b"\x01\x01"
WRONG_TOKENS = (b"n,a=alice,\x01auth=Bearer wrong\x01\x01", b"n,a=alice,\x01auth=\x01\x01")

_NOT_A_COMMAND = b"!#%&0123456789\0\x01\t\x7f\x80\xff-+.@"
"""No command begins with one of these, and no other protocol's that is known."""


def encode(octets: bytes) -> bytes:
    """Return octets as AUTH carries them."""
    return base64.b64encode(octets)


def random_line(random: Random) -> Line:
    """Return a line; commands that somebody stands to gain from come more often."""
    [make] = random.choices([make for _, make in _MAKERS], [weight for weight, _ in _MAKERS])
    return make(random)


def in_pieces(random: Random, octets: bytes) -> list[bytes]:
    """Return octets cut at random places, now and then not at all."""
    if len(octets) < 2 or random.random() < 0.5:
        return [octets] if octets else []
    cuts = sorted(random.sample(range(1, len(octets)), min(len(octets) - 1, random.randint(1, 4))))
    return [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]


def line_end(random: Random) -> bytes:
    """Return an end of a line: old programs send LF alone."""
    return random.choice((b"\r\n", b"\r\n", b"\n"))


def _fixed(means: Means, *spellings: bytes) -> Callable[[Random], Line]:
    return lambda random: Line(_any_case(random, random.choice(spellings)), means)


def _any_case(random: Random, line: bytes) -> bytes:
    word, space, rest = line.partition(b" ")
    return random.choice((word, word.lower(), word.capitalize())) + space + rest


def _auth(means: Means, mechanism: bytes, *responses: bytes) -> Callable[[Random], Line]:
    def make(random: Random) -> Line:
        response = encode(random.choice(responses)) or b"="
        return Line(_any_case(random, b"AUTH %b %b" % (mechanism, response)), means)

    return make


def _of_message(means: Means, *words: bytes) -> Callable[[Random], Line]:
    def make(random: Random) -> Line:
        number = random.choice((1, 1, 2, 3, 4, 5, 4294967295))
        line = _any_case(random, random.choice(words) % number)
        return Line(line, means, number=number)

    return make


def _nothing(random: Random) -> Line:
    """Return a line that is no command in any state."""
    kind = random.randrange(4)
    if kind == 0:
        rest = random.randbytes(random.randrange(60)).replace(b"\n", b"").replace(b"\r", b"")
        return Line(bytes([random.choice(_NOT_A_COMMAND)]) + rest, Means.NOTHING)
    if kind == 1:
        return Line(random.choice((b"", b" ", b"\0", b"\t")), Means.NOTHING)
    return Line(random.choice(_ALMOST), Means.NOTHING)


_ALMOST = (
    b"USER",
    b"PASS",
    b"XTND XLST Message-Id",
    b"APOP alice 0123456789abcdef0123456789abcdef",
    b"RETR",
    b"RETR 0",
    b"RETR -1",
    b"RETR 1 1",
    b"DELE 99999999999",
    b"DELE 1_0",
    b"TOP 1",
    b"TOP 1 -1",
    b"LIST  1",
    b"STAT 1",
    b"QUIT now",
    b"UIDL \xd9\xa1",
    b"AUTH PLAIN not-base64",
    b"AUTH PLAIN AAAA=",
    b"AUTH PLAIN a b",
    b"LANG de en",
    b"UTF8 USER",
    b"NOOP NOOP",
    b"STLS\t",
    b"HELO example.test",
    b"A1 LOGIN alice wrong",
)


def _exchange_line(random: Random) -> Line:
    """Return what makes sense in the middle of an exchange, and nowhere else."""
    kind = random.randrange(6)
    if kind == 0:
        return Line(encode(RIGHT_PLAIN), Means.NOTHING, logs_in=True)
    if kind == 1:
        return Line(encode(random.choice(WRONG_PLAIN)), Means.NOTHING, is_guess=True)
    if kind == 2:
        return Line(encode(random.choice(BROKEN_PLAIN)), Means.NOTHING)
    return Line(random.choice((b"*", b"*", b"AQ==", b"A", b"=", b"!!!!")), Means.NOTHING)


_MAKERS: tuple[tuple[int, Callable[[Random], Line]], ...] = (
    (6, _fixed(Means.USER, b"USER alice", b"USER alice ")),
    (6, _fixed(Means.RIGHT_PASSWORD, b"PASS " + PASSWORD)),
    (2, _fixed(Means.WRONG_PASSWORD, b"PASS wrong", b"PASS  ", b"PASS \xff", b"PASS ")),
    (3, _auth(Means.RIGHT_AUTH, b"PLAIN", RIGHT_PLAIN)),
    (2, _auth(Means.WRONG_AUTH, b"plain", *WRONG_PLAIN)),
    (2, _auth(Means.BROKEN_AUTH, b"PLAIN", *BROKEN_PLAIN)),
    (1, _auth(Means.RIGHT_AUTH, b"OAUTHBEARER", RIGHT_TOKEN)),
    (2, _auth(Means.BAD_TOKEN, b"OAUTHBEARER", *WRONG_TOKENS)),
    (1, _auth(Means.BROKEN_AUTH, b"OAUTHBEARER", b"n,,", b"\x01" * 20, b"y")),
    (1, _auth(Means.BROKEN_AUTH, b"SCRAM-SHA-256", b"n,,", b"p=tls-exporter,,n=a,r=b", b"\xff")),
    (1, _fixed(Means.UNKNOWN_AUTH, b"AUTH LOGIN", b"AUTH EXTERNAL =", b"AUTH CRAM-MD5")),
    (4, _fixed(Means.PLAIN_BEGUN, b"AUTH PLAIN", b"AUTH PLAIN ", b"AUTH plain")),
    (5, _exchange_line),
    (1, _fixed(Means.LISTED, b"AUTH", b"AUTH ")),
    (2, _fixed(Means.CAPA, b"CAPA", b"CAPA ")),
    (1, _fixed(Means.LANG, b"LANG de", b"LANG en", b"LANG *", b"LANG de-AT")),
    (1, _fixed(Means.LANG_LIST, b"LANG")),
    (1, _fixed(Means.LANG_UNKNOWN, b"LANG tlh")),
    (2, _fixed(Means.UTF8, b"UTF8")),
    (1, _fixed(Means.STLS, b"STLS")),
    (2, _fixed(Means.QUIT, b"QUIT", b"QUIT ")),
    (2, _fixed(Means.STAT, b"STAT")),
    (2, _fixed(Means.NOOP, b"NOOP")),
    (1, _fixed(Means.RSET, b"RSET")),
    (2, _fixed(Means.LIST, b"LIST", b"UIDL")),
    (2, _of_message(Means.LIST_ONE, b"LIST %d", b"UIDL %d", b"LIST %d ")),
    (4, _of_message(Means.RETR, b"RETR %d", b"TOP %d 0", b"TOP %d 3")),
    (5, _of_message(Means.DELE, b"DELE %d")),
    (1, _fixed(Means.LAST, b"LAST")),
    (4, _nothing),
    (1, _fixed(Means.HTTP, b"GET / HTTP/1.1")),
)
"""How often, and what."""
