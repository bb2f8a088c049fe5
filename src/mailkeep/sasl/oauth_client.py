"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's and Microsoft's) from the client's side.

Both send a token in one response. A server that refuses it says why in a challenge, which must be
answered before it says -ERR: the answer is empty of meaning, and the reason is kept in `refusal`.
XOAUTH2 has no RFC; it is what https://developers.google.com/gmail/imap/xoauth2-protocol says.
Where the token comes from, and whether it is still good, is not known here.
"""

import json
import re
from abc import ABC, abstractmethod

from mailkeep.sasl.client import Login, UnusableLogin, refuse_oversized, unsendable
from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.sasl.scram import escape_name
from mailkeep.values import Secret

_SEPARATOR = b"\x01"
_TOKEN = re.compile(rb"[!-~]+")
"""Wider than RFC 6750 section 2.1, because issuers are; but nothing that ends a field or a line."""
_NAMED = re.compile(rb"[^\x00-\x1f\x7f]+")
_HOST = re.compile(r"[!-~]+")
_STATUS = re.compile(r"[A-Za-z0-9_ .-]{1,40}")
"""`invalid_token` and its kind (RFC 6750 section 3.1), or `401`. A server that puts something else
there, an escape code or the token itself, is not repeated."""

_UNREADABLE = "for a reason that cannot be read"


class _BearerClient(ABC):
    """One response, and at most one challenge, which is an error."""

    name: str
    _acknowledgement: bytes

    def __init__(self, login: Login) -> None:
        self._login = login
        self._refusal: str | None = None

    @property
    def refusal(self) -> str | None:
        """Say why the server refuses the token, or None."""
        return self._refusal

    def start(self) -> Secret:
        """Return the response with the token.

        Raises:
            UnusableLogin: the name or the token is empty, or has what would end a field.
        """
        if wrong := unsendable(self._login) or _unfit(self._login):
            raise wrong
        token = self._login.secret
        return Secret(self._before() + b"auth=Bearer " + token.reveal() + _SEPARATOR * 2)

    def step(self, challenge: bytes) -> Secret:
        """Keep why the server refuses, and let it say so in its protocol.

        Raises:
            SaslFailed: this is the second challenge, or it is endless.
        """
        if self._refusal is not None:
            raise SaslFailed(f"{self.name}: the server asks for more after its error")
        refuse_oversized(challenge)
        self._refusal = _status(challenge, self._login.secret) or _UNREADABLE
        return Secret(self._acknowledgement)

    def finish(self) -> None:
        """Take +OK as it is, unless the server has refused the token before.

        Raises:
            SaslFailed: it has.
        """
        if self._refusal is not None:
            raise SaslFailed(f"{self.name}: the server says +OK after it refused the token")

    @abstractmethod
    def _before(self) -> bytes:
        """Return what comes before the token."""


class OauthBearerClient(_BearerClient):
    """OAUTHBEARER from the client's side (RFC 7628 section 3.1); see `ClientMechanism`.

    Args:
        host: as the user names it, in ASCII.
        port: that the client is connected to.

    Raises:
        ValueError: the host is empty or not printable ASCII.
    """

    name = "OAUTHBEARER"
    _acknowledgement = _SEPARATOR
    """RFC 7628 section 3.2.3."""

    def __init__(self, login: Login, host: str, port: int) -> None:
        super().__init__(login)
        if not _HOST.fullmatch(host):
            raise ValueError("a host is printable ASCII")
        self._host = host
        self._port = port

    def _before(self) -> bytes:
        header = b"n,a=" + escape_name(self._login.name.encode()) + b","
        host, port = b"host=" + self._host.encode(), b"port=%d" % self._port
        return _SEPARATOR.join((header, host, port, b""))


class Xoauth2Client(_BearerClient):
    """XOAUTH2 from the client's side; see `ClientMechanism`."""

    name = "XOAUTH2"
    _acknowledgement = b""

    def _before(self) -> bytes:
        return b"user=" + self._login.name.encode() + _SEPARATOR


def _unfit(login: Login) -> UnusableLogin | None:
    """Return what cannot stand in a field, instead of raising it: this frame sees the token."""
    if not _NAMED.fullmatch(login.name.encode()):
        return UnusableLogin("the user name has a control character")
    if not _TOKEN.fullmatch(login.secret.reveal()):
        return UnusableLogin("the token has a space, a control character or is not ASCII")
    return None


def _status(challenge: bytes, token: Secret) -> str | None:
    """Return the status in an error (RFC 7628 section 3.2.2), if it is one and not the token."""
    try:
        error = json.loads(challenge)
    except (ValueError, RecursionError):
        return None
    status = error.get("status") if isinstance(error, dict) else None
    if not isinstance(status, str) or not _STATUS.fullmatch(status):
        return None
    return None if token.reveal() in status.encode() else status
