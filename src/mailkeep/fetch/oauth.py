"""A new access token from a token endpoint, for a refresh token (RFC 6749 section 6).

Who the client is goes into the form (section 2.3.1), which every mail provider takes. Redirects are
not followed: they would carry the tokens on. What the server said reaches an error only as short
text, and not when one of our secrets is in it.

It must not know where the tokens are kept. Blocking; called in a thread.

Known limits: no proxies. The time limit is for all of request and answer once there is a
connection; a handshake has it for each of its steps, and a look-up of the name has the system's.
"""

import contextlib
import http.client
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlencode, urlsplit

import msgspec

from mailkeep.fetch.account import host_name
from mailkeep.fetch.failures import FetchFailed, NetworkFailed, TokenNeeded, WrongSettings
from mailkeep.fetch.loopback import is_loopback
from mailkeep.fetch.secret_files import problem_of
from mailkeep.values import Secret

TIMEOUT_S = 30.0
"""A token endpoint answers in a second; the mail server waits for nobody meanwhile."""
ANSWER_LIMIT_OCTETS = 1 << 18
"""Three tokens of the longest kind (an access, a refresh and an identity token) have some 20 kB."""
_TEXT_LIMIT_CHARACTERS = 200
_LIFE_LIMIT_S = 10**9
"""Thirty years; a longer life is a server's mistake and says nothing."""

_CONSENT_CODES = frozenset(
    {"invalid_grant", "interaction_required", "login_required", "consent_required"}
)
"""RFC 6749 section 5.2; OpenID Connect Core section 3.1.2.6, which Microsoft uses here too."""
_PASSING_CODES = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Whom to ask, and as whom.

    Attributes:
        endpoint: the URL of the token endpoint, `https://` or, to loopback only, `http://`.
        client_id: as the provider gave it.
        scope: None for the scope that the user consented to.
        authorities: a PEM file of authorities beside the system's.
    """

    endpoint: str
    client_id: str
    scope: str | None = None
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token for OAUTHBEARER and XOAUTH2.

    Attributes:
        expires_in_s: its life from now, if the server said so.
        new_refresh_token: replaces the old one, which may be dead already; None if that stays.
    """

    secret: Secret
    expires_in_s: int | None
    new_refresh_token: Secret | None


def check_endpoint(text: str) -> str:
    """Return the URL of a token endpoint as it was given.

    Raises:
        WrongSettings: it is none, or would send a token in clear text.
    """
    _take_apart(text)
    return text


def refresh_access_token(
    client: OAuthClient,
    refresh_token: Secret,
    client_secret: Secret | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> AccessToken:
    """Return a new access token.

    Raises:
        WrongSettings: the endpoint's URL or the file of authorities cannot be used.
        TokenNeeded: the server gives none, or is not the one that it should be.
        NetworkFailed: it cannot be reached, or has a bad time; a later try may help.
    """
    connection, target = _connection(client, timeout_s)
    secrets = [refresh_token] if client_secret is None else [refresh_token, client_secret]
    answer = _exchange(connection, target, _form(client, refresh_token, client_secret), timeout_s)
    outcome: AccessToken | FetchFailed
    if isinstance(answer, FetchFailed):
        outcome = answer
    else:
        outcome = _judge(answer, connection.host, secrets)
    if isinstance(outcome, FetchFailed):
        # Only now: an error takes along the frames that it rises through, and what they hold.
        raise outcome
    return outcome


def _take_apart(text: str) -> tuple[SplitResult, str, int]:
    """Return the parts of the endpoint's URL, its host and its port."""
    try:
        parts = urlsplit(text)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError as cause:
        raise WrongSettings("the token endpoint is no URL", hint=_EXAMPLE) from cause
    # RFC 6749 section 3.2: no fragment.
    if not re.fullmatch(r"[!-~]+", text) or parts.username is not None or parts.fragment:
        raise WrongSettings("the token endpoint is no URL that can be used", hint=_EXAMPLE)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise WrongSettings(f"the token endpoint {text} is not https://", hint=_EXAMPLE)
    host = host_name(parts.hostname)
    if parts.scheme == "http" and not is_loopback(host):
        raise WrongSettings(
            f"the token endpoint {text} would get the tokens in clear text", hint=_EXAMPLE
        )
    return parts, host, port


_EXAMPLE = "write https://HOST/PATH, as the provider's page says"


def _connection(client: OAuthClient, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection that is not open yet, and what to ask for on it."""
    parts, host, port = _take_apart(client.endpoint)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout_s), target
    context = _context(client.authorities)
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context), target


def _context(authorities: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities is not None:
        try:
            context.load_verify_locations(authorities)
        except OSError as cause:  # ssl.SSLError is one
            raise WrongSettings(f"{authorities} holds no authorities: {cause}") from cause
    return context


def _form(client: OAuthClient, refresh_token: Secret, client_secret: Secret | None) -> Secret:
    fields: dict[str, str | bytes] = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.reveal(),
        "client_id": client.client_id,
    }
    if client_secret is not None:
        fields["client_secret"] = client_secret.reveal()
    if client.scope is not None:
        fields["scope"] = client.scope
    return Secret(urlencode(fields).encode("ascii"))


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Secret


def _exchange(
    connection: http.client.HTTPConnection, target: str, form: Secret, timeout_s: float
) -> "_Answer | FetchFailed":
    host = connection.host
    is_late = False
    try:
        connection.connect()
        with _Deadline(connection.sock, timeout_s) as deadline:
            try:
                connection.request("POST", target, form.reveal(), _HEADERS)
                response = connection.getresponse()
                answer = _Answer(response.status, Secret(response.read(ANSWER_LIMIT_OCTETS + 1)))
            finally:
                is_late = deadline.is_over
    except ssl.SSLCertVerificationError as cause:
        return TokenNeeded(
            f"{host}: the certificate is not to be trusted: {cause.verify_message}",
            hint="nothing was sent; for an authority of your own set `ca` under oauth",
        )
    except (OSError, http.client.HTTPException) as cause:
        what = f"no answer in {timeout_s:g} s" if is_late else _short(str(cause))
        return NetworkFailed(f"{host}: {what or type(cause).__name__}")
    finally:
        connection.close()
    return NetworkFailed(f"{host}: no whole answer in {timeout_s:g} s") if is_late else answer


_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    "Connection": "close",
}


class _Deadline:
    """Ends a connection that takes too long in all, however often something comes."""

    def __init__(self, connected: socket.socket, limit_s: float) -> None:
        self._socket = connected
        self._timer = threading.Timer(limit_s, self._end)
        self.is_over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def _end(self) -> None:
        self.is_over = True
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown, which takes the TLS away from under the reader.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Granted(msgspec.Struct, frozen=True):
    """RFC 6749 section 5.1."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # a kind, not a token
    expires_in: float | None = None
    refresh_token: str | None = None


class _Refused(msgspec.Struct, frozen=True):
    """RFC 6749 section 5.2."""

    error: str = ""
    error_description: str = ""


def _judge(answer: _Answer, host: str, secrets: list[Secret]) -> AccessToken | FetchFailed:
    if len(answer.body.reveal()) > ANSWER_LIMIT_OCTETS:
        return TokenNeeded(f"{host}: the answer has more than {ANSWER_LIMIT_OCTETS} octets")
    if answer.status != http.client.OK:
        return _judge_refusal(answer, host, secrets)
    try:
        # Not strict: some servers write numbers as texts.
        granted = msgspec.json.decode(answer.body.reveal(), type=_Granted, strict=False)
    except (msgspec.MsgspecError, UnicodeError):
        return TokenNeeded(f"{host}: the answer holds no access token", hint=_IS_ENDPOINT)
    if granted.token_type.lower() != "bearer":
        return TokenNeeded(f"{host}: the token is of another kind than Bearer (RFC 6750)")
    return _token(granted, host, secrets[0])


def _token(granted: _Granted, host: str, refresh_token: Secret) -> AccessToken | FetchFailed:
    token = Secret(granted.access_token.encode())
    new = Secret(granted.refresh_token.encode()) if granted.refresh_token else refresh_token
    if problem := problem_of(token, is_token=True) or problem_of(new, is_token=True):
        return TokenNeeded(f"{host}: a token in the answer {problem}")
    life = granted.expires_in
    return AccessToken(
        token,
        int(life) if life is not None and 0 <= life <= _LIFE_LIMIT_S else None,
        None if new == refresh_token else new,
    )


_IS_ENDPOINT = "is this the URL of the token endpoint?"


def _judge_refusal(answer: _Answer, host: str, secrets: list[Secret]) -> FetchFailed:
    try:
        refused = msgspec.json.decode(answer.body.reveal(), type=_Refused)
    except (msgspec.MsgspecError, UnicodeError):
        refused = _Refused()
    said = f"{refused.error}: {refused.error_description}".strip(": ")
    if any(secret.reveal() in said.encode() for secret in secrets):
        said = ""
    text = f"{host} answers {answer.status}" + (f": {_short(said)}" if said else "")
    is_passing = answer.status >= http.client.INTERNAL_SERVER_ERROR
    if is_passing or answer.status == _TOO_MANY_REQUESTS or refused.error in _PASSING_CODES:
        return NetworkFailed(text, hint="a later try may help")
    if refused.error in _CONSENT_CODES:
        return TokenNeeded(
            text,
            hint="the consent ended or was taken back: consent again and store the new"
            " refresh token",
        )
    hint = "check client_id, the client's secret and scope" if refused.error else _IS_ENDPOINT
    return TokenNeeded(text, hint=hint)


def _short(text: str) -> str:
    return text[:_TEXT_LIMIT_CHARACTERS]
