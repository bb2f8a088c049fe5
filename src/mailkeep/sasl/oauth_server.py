"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's and Microsoft's) from the server's side.

Both bring a token in one response. A bad one gets a challenge that says why in JSON, which the
client answers with something empty of meaning, and then -ERR. XOAUTH2 has no RFC; it is what
https://developers.google.com/gmail/imap/xoauth2-protocol says.
What a token is worth, and whose it is, is not known here; host and port are what the client
believes, and prove nothing.
Known limit: no channel binding, which RFC 7628 does not have either.
"""

import json
import re
from abc import ABC, abstractmethod
from enum import Enum, auto

from mailkeep.sasl.mechanism import Challenge, OutOfOrder, SaslFailed, TokenCredentials
from mailkeep.values import Secret

RESPONSE_LIMIT_OCTETS = 9216
"""The largest that fits into a line of 12 KiB in base64; tokens with the groups of a large
organisation have some KiB."""

PAIRS_LIMIT = 8
"""RFC 7628 section 3.1 and its registry know seven: host, port, auth, and four that no bearer token
needs."""

_SEPARATOR = b"\x01"
_PAIR = re.compile(rb"([A-Za-z]+)=([\t\n\r -~]*)")
"""RFC 7628 section 3.1, key and value."""
_AUTHZID = re.compile(rb"a=((?:[^=,\x00-\x1f\x7f]|=2C|=3D)+)|")
"""RFC 5801 section 4, gs2-authzid, and no control characters."""
_USER = re.compile(rb"user=([^\x00-\x1f\x7f]+)")
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+)|")
"""A scheme is of any case (RFC 9110 section 11.1). Wider than the token of RFC 6750 section 2.1,
because issuers are; nothing at all asks for the scope (RFC 7628 section 4.3)."""


class _Stage(Enum):
    WAITING = auto()
    TOKEN_GIVEN = auto()
    OVER = auto()


class OauthServer(ABC):
    """One response with a token, and one more after it was refused."""

    name: str

    __slots__ = ("_stage",)

    def __init__(self) -> None:
        self._stage = _Stage.WAITING

    def step(self, response: Secret | None) -> Challenge | TokenCredentials:
        """Ask with an empty challenge, or take the response apart.

        Raises:
            SaslFailed: it is not in the mechanism's form, or the exchange is over: after `refuse`
                whatever the client says is the end.
        """
        if self._stage is not _Stage.WAITING:
            self._stage = _Stage.OVER
            raise SaslFailed(f"{self.name}: the exchange is over")
        if response is None:
            return Challenge(b"")
        self._stage = _Stage.OVER
        credentials = self._judge(response)
        if isinstance(credentials, SaslFailed):
            raise credentials
        self._stage = _Stage.TOKEN_GIVEN
        return credentials

    def refuse(self, configuration: str, scope: str) -> Challenge:
        """Say that the token is bad; see `TokenMechanism`.

        Raises:
            OutOfOrder: no token has come.
        """
        if self._stage is not _Stage.TOKEN_GIVEN:
            raise OutOfOrder(f"{self.name}: there is no token to refuse")
        self._stage = _Stage.OVER
        error = self._error(configuration, scope)
        return Challenge(json.dumps(error, separators=(",", ":")).encode())

    def _judge(self, response: Secret) -> TokenCredentials | SaslFailed:
        if len(response.reveal()) > RESPONSE_LIMIT_OCTETS:
            return SaslFailed(f"{self.name}: the response is longer than any token")
        return self._take_apart(response)

    @abstractmethod
    def _take_apart(self, response: Secret) -> TokenCredentials | SaslFailed:
        """Return what is wrong instead of raising it.

        An error that rises from there would take along a frame that holds the token.
        """

    @abstractmethod
    def _error(self, configuration: str, scope: str) -> dict[str, str]:
        """Return what the client is told about a bad token."""


class OauthBearerServer(OauthServer):
    """OAUTHBEARER from the server's side; see `TokenMechanism`."""

    name = "OAUTHBEARER"

    __slots__ = ()

    def _take_apart(self, response: Secret) -> TokenCredentials | SaslFailed:
        """Read client-resp of RFC 7628 section 3.1."""
        header, *pairs = response.reveal().split(_SEPARATOR)
        name = _named(header)
        if isinstance(name, SaslFailed):
            return name
        if pairs[-2:] != [b"", b""]:
            return SaslFailed("OAUTHBEARER: the response has no end")
        fields = _fields(pairs[:-2])
        if isinstance(fields, SaslFailed):
            return fields
        if b"auth" not in fields:
            return SaslFailed("OAUTHBEARER: the response has no auth")
        return _credentials(self.name, name, fields[b"auth"])

    def _error(self, configuration: str, scope: str) -> dict[str, str]:
        """Return the error of RFC 7628 section 3.2.2."""
        error = {"status": "invalid_token"}
        if scope:
            error["scope"] = scope
        if configuration:
            error["openid-configuration"] = configuration
        return error


class Xoauth2Server(OauthServer):
    """XOAUTH2 from the server's side; see `TokenMechanism`."""

    name = "XOAUTH2"

    __slots__ = ()

    def _take_apart(self, response: Secret) -> TokenCredentials | SaslFailed:
        match response.reveal().split(_SEPARATOR):
            case [user, auth, b"", b""] if auth.startswith(b"auth="):
                if named := _USER.fullmatch(user):
                    return _credentials(self.name, named[1], auth.removeprefix(b"auth="))
                return SaslFailed("XOAUTH2: there is no name, or a control character in it")
            case _:
                return SaslFailed("XOAUTH2: the response is not user and auth and an end")

    def _error(self, configuration: str, scope: str) -> dict[str, str]:  # noqa: ARG002  # it has no place for one
        """Return the error that Google's page shows."""
        return {"status": "400", "schemes": "Bearer", "scope": scope}


def _named(header: bytes) -> bytes | SaslFailed:
    """Return the name in a gs2-header (RFC 5801 section 4), b"" when there is none."""
    match header.split(b","):
        case [b"n" | b"y", authzid, b""] if named := _AUTHZID.fullmatch(authzid):
            return (named[1] or b"").replace(b"=2C", b",").replace(b"=3D", b"=")
        case _:
            return SaslFailed("OAUTHBEARER: there is no gs2 header, or one that binds")


def _fields(pairs: list[bytes]) -> dict[bytes, bytes] | SaslFailed:
    """Return the values by their keys; those that nobody knows are in it and are not looked at."""
    if len(pairs) > PAIRS_LIMIT:
        return SaslFailed("OAUTHBEARER: the response has more pairs than there are keys")
    matches = [_PAIR.fullmatch(pair) for pair in pairs]
    if None in matches:
        return SaslFailed("OAUTHBEARER: something in the response is no key and value")
    fields = {match[1].lower(): match[2] for match in matches if match}
    if len(fields) < len(pairs):
        return SaslFailed("OAUTHBEARER: a key comes twice")
    return fields


def _credentials(mechanism: str, name: bytes, auth: bytes) -> TokenCredentials | SaslFailed:
    bearer = _BEARER.fullmatch(auth)
    if bearer is None:
        return SaslFailed(f"{mechanism}: what the client sends is no bearer token")
    return TokenCredentials(name, Secret(bearer[1] or b""))
