"""Where a fuzzer starts: well-formed octets for each target, so that it need not invent them."""

import base64
from collections.abc import Mapping, Sequence

_PLAIN = base64.b64encode(b"\0alice\0correct horse battery staple")

SEEDS: Mapping[str, Sequence[bytes]] = {
    "commands": (
        b"USER alice",
        b"PASS correct horse battery staple",
        b"AUTH PLAIN " + _PLAIN,
        b"AUTH SCRAM-SHA-256 =",
        b"TOP 1 10",
        b"RETR 12",
        b"UIDL",
        b"LANG de-AT",
        b"LAST",
        b"GET / HTTP/1.1",
    ),
    "server_side": (
        b"\0\0\0\0USER alice\r\nPASS secret\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n",
        b"\0\0\0\1CAPA\r\nAUTH PLAIN\r\n" + _PLAIN + b"\r\nLIST\r\nUIDL 1\r\nRSET\r\nNOOP\r\n",
        b"\0\0\0\2STLS\r\n\x16\x03\x01",
        b"\0\0\0\3AUTH\r\nAUTH PLAIN\r\n*\r\nLANG de\r\nUTF8\r\n",
    ),
    "mechanisms": (
        b"\0\0\0\0alice",
        b"\1\0\0\0p=tls-server-end-point,,n=user,r=rOprNGfwEbeRWgbNEkqO\0\0\0c=biws,r=x,p=AA==",
        b"\2\0\0\0n,,n=user,r=rOprNGfwEbeRWgbNEkqO\0\0\0c=biws,r=rOprNGfwEbeRWgbNEkqO,p=AA==",
        b"\3\0\0\0n,a=alice,\1host=mail.example.test\1port=995\1auth=Bearer token\1\1\0\0\0\1",
        b"\4\0\0\0user=alice\1auth=Bearer token\1\1\0\0\0",
        b"\5\0\0\0\0alice\0secret",
    ),
    "proxy_header": (
        b"\0\0\0\0PROXY TCP4 192.0.2.7 198.51.100.1 40000 995\r\nUSER alice\r\n",
        b"\0\0\0\0PROXY TCP6 2001:db8::7 2001:db8::1 40000 995\r\n\x16\x03\x01",
        b"\0\0\0\0PROXY UNKNOWN\r\n",
        b"\0\0\0\0\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x9c\x40\3\xe3rest",
        b"\0\0\0\0\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        b"\0\0\0\0\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" + bytes(36),
    ),
    "client_hello": (
        b"\0\0\0\0\x16\3\1\0\x2d\1\0\0\x29\3\3" + bytes(33) + b"\0\2\x13\1\1\0\0\0",
        b"\0\0\0\0\x16\3\1\0\x3a\1\0\0\x36\3\3"
        + bytes(33)
        + b"\0\2\x13\1\1\0\0\x0b\0\x10\0\x07\0\5\4pop3",
    ),
    "torn_tls": (b"NOOP\r\n", b"STAT\r\n" * 50),
}
"""By target."""
