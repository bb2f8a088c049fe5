"""Tokens that OAUTHBEARER and XOAUTH2 bring (RFC 7628): whose name is in them, if they are good.

Either a signed token (JWT, RFC 7519) is checked here against the provider's keys (RFC 7517, in a
file or behind a URL), or the provider is asked about each token (introspection, RFC 7662). The
outcome is the text of one claim; which account that is, others decide.

A token is checked before anything in it is believed: its algorithm must be one that was set and fit
the key, and its `kid` is compared with the keys of the set and used for nothing else.

Known limits: no encrypted tokens (JWE), no proxies. An answer to introspection without `iss` or
`aud` is taken as the provider gives it. The last good key set from a URL stays in use for a day
while the provider is away, so a key that was withdrawn is trusted for as long.
"""

import asyncio
import base64
import contextlib
import hashlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import quote, urlencode, urljoin, urlsplit

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import JWKRegistry, Key

from mailkeep.accounts.seam import TokenCheckUnavailable, TokenRefused
from mailkeep.values import Secret

TOKEN_LIMIT_OCTETS = 32_768
"""Tokens with hundreds of groups have some 10 kB."""
ANSWER_LIMIT_OCTETS = 1 << 18
"""A key set with certificate chains has some 20 kB."""
KEYS_LIMIT = 100
"""Providers publish two to ten."""
RSA_MINIMUM_BITS = 2048
"""RFC 7518 section 3.3."""

ASKING_S = 2.0
"""For all of a question to a provider; a client waits for its login meanwhile."""
ASKING_THREADS = 4
"""At 50 ms a question that is 80 logins a second, and a provider that hangs holds no more."""
REDIRECTS_LIMIT = 3
"""A key set that was moved is behind one."""

LEEWAY_S = 60
"""For clocks that differ; RFC 7519 section 4.1.4 thinks of a few minutes at most."""

KEYS_FRESH_S = 600
"""A key that is withdrawn is trusted no longer than this; providers let sets be kept for hours."""
KEYS_STALE_S = 86_400
"""Providers announce a new key days before they sign with it."""
KEYS_PAUSE_S = 60
"""Between two tries, so that tokens with made-up key names make no flood of questions."""
KEYS_RETRY_S = 5
"""The same while there are no keys at all and nobody can log in."""

POSITIVE_S = 60
"""A token that is taken back is good for so long at most."""
NEGATIVE_S = 10
"""A program tries a bad token again and again; one that turns good must not wait."""
REMEMBERED_LIMIT = 10_000
"""About 3 MB."""

_MOVED = frozenset({301, 302, 303, 307, 308})
"""RFC 9110 section 15.4."""

_URL = re.compile(r"[!-~]+")
"""RFC 3986 has no other characters; a space or a line break would end the request's first line."""

_BEARER = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1, `b64token`."""
_SIGNED = re.compile(rb"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""RFC 7515 section 7.1: three parts and one signature, which is not empty. A JWE has five."""

_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""RFC 7519 section 5.1, RFC 9068 section 2.1; other types are made for other ends (RFC 8725)."""

_PUBLIC_MEMBERS = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")
"""RFC 7518 section 6 without what is secret, and without certificates, which nobody checks here."""
_SIGNING_TYPES = frozenset({"RSA", "EC", "OKP"})
"""`oct` is a shared secret: whoever can check such a token can make one."""


class AskingFailed(Exception):
    """A provider gave no answer that can be used."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a good token says.

    Attributes:
        issuer: what `iss` is.
        audience: what `aud` is or has.
        scope: what its scope has, separated by spaces; nothing for any.
        name_claim: which claim holds the name.
    """

    issuer: str
    audience: str
    scope: str = ""
    name_claim: str = "email"


@dataclass(frozen=True, slots=True)
class Question:
    """A request to a provider: a GET, or a POST if there is a form."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Secret | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a provider answered."""

    status: int
    body: bytes = field(repr=False)


class Transport(Protocol):
    """A way to ask providers. It blocks, and is called in a thread."""

    def ask(self, question: Question) -> Answered:
        """Return the answer.

        Raises:
            AskingFailed: there is none, or it is too long or too late.
        """


class HttpsTransport:
    """Asks over HTTPS with certificates that verify; see `Transport`.

    Only a GET follows redirects, and to https only.
    """

    def __init__(self, *, ca: Path | None = None, timeout_s: float = ASKING_S) -> None:
        """Make ready.

        Args:
            ca: a PEM file of authorities beside the system's.
            timeout_s: for one question in all.

        Raises:
            OSError: the file cannot be read, or holds no authorities.
        """
        self._context = ssl.create_default_context()
        if ca is not None:
            self._context.load_verify_locations(cafile=ca)
        self._timeout_s = timeout_s

    def ask(self, question: Question) -> Answered:
        """Return the answer; see `Transport`."""
        url = question.url
        ends_s = time.monotonic() + self._timeout_s
        for _ in range(REDIRECTS_LIMIT + 1):
            answered, location = self._exchange(url, question, ends_s)
            if location is None:
                return answered
            url = urljoin(url, location)
        raise AskingFailed("it sends from one place to the next")

    def _exchange(self, url: str, question: Question, ends_s: float) -> tuple[Answered, str | None]:
        """Return an answer, and where it sends to if it does."""
        host, port, target = _take_apart(url)
        left_s = max(ends_s - time.monotonic(), 0.001)
        connection = http.client.HTTPSConnection(host, port, timeout=left_s, context=self._context)
        outcome = _attempt(connection, target, question, ends_s)
        if isinstance(outcome, str):
            # Only now: an error takes along the frames that it rises through, and the form in them.
            raise AskingFailed(f"{host}: {outcome}")
        response, body = outcome
        if len(body) > ANSWER_LIMIT_OCTETS:
            raise AskingFailed(f"{host}: the answer has more than {ANSWER_LIMIT_OCTETS} octets")
        is_moved = response.status in _MOVED and question.form is None
        return Answered(response.status, body), response.headers["Location"] if is_moved else None


def _attempt(
    connection: http.client.HTTPSConnection, target: str, question: Question, ends_s: float
) -> tuple[http.client.HTTPResponse, bytes] | str:
    """Return the response and its body, or why there is none."""
    try:
        connection.connect()
        with _Deadline(connection.sock, ends_s) as deadline:
            outcome = _talk(connection, target, question)
    except (OSError, ValueError) as cause:
        return str(cause) or type(cause).__name__
    finally:
        connection.close()
    return "no whole answer in time" if deadline.is_over else outcome


def _talk(
    connection: http.client.HTTPSConnection, target: str, question: Question
) -> tuple[http.client.HTTPResponse, bytes] | str:
    try:
        with _request(connection, target, question) as response:
            return response, response.read(ANSWER_LIMIT_OCTETS + 1)
    except (OSError, ValueError) as cause:
        return str(cause) or type(cause).__name__
    except http.client.HTTPException as cause:
        return f"the answer is no HTTP ({type(cause).__name__})"


def _request(
    connection: http.client.HTTPSConnection, target: str, question: Question
) -> http.client.HTTPResponse:
    headers = {"Accept": "application/json", "Connection": "close", **question.headers}
    if question.form is None:
        connection.request("GET", target, headers=headers)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST", target, question.form.reveal(), headers)
    return connection.getresponse()


def _take_apart(url: str) -> tuple[str, int, str]:
    """Return host, port and target of an https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError as cause:
        raise AskingFailed("it is asked at something that is no URL") from cause
    is_safe = _URL.fullmatch(url) is not None and parts.username is None
    if parts.scheme != "https" or not parts.hostname or not is_safe:
        raise AskingFailed("only https URLs without a user are asked")
    return parts.hostname, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class _Deadline:
    """Cuts a connection when its time is over, however often an octet comes."""

    def __init__(self, connected: socket.socket, ends_s: float) -> None:
        self._connected = connected
        self._timer = threading.Timer(max(ends_s - time.monotonic(), 0), self._cut)
        self._timer.daemon = True
        self.is_over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def _cut(self) -> None:
        self.is_over = True
        with contextlib.suppress(OSError):
            # The plain socket's: that of TLS would take the reader's state away meanwhile.
            socket.socket.shutdown(self._connected, socket.SHUT_RDWR)


class _Asker:
    """Asks in threads of its own, so that a provider that hangs holds up nothing else."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._threads = ThreadPoolExecutor(ASKING_THREADS, thread_name_prefix="asking")

    async def ask(self, question: Question) -> Answered:
        """Return the answer, or raise AskingFailed when the time is over."""
        asked = self._threads.submit(self._transport.ask, question)
        try:
            # A look-up of the name, or the wait for a thread, has no deadline of its own.
            return await asyncio.wait_for(asyncio.wrap_future(asked), ASKING_S)
        except TimeoutError:
            raise AskingFailed(f"no answer in {ASKING_S:g} s") from None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class KeySource(Protocol):
    """Where the keys are that tokens are signed with."""

    async def find(self, kid_untrusted: str | None) -> Sequence[Key]:
        """Return the keys that are called so; without a name all of them.

        Raises:
            TokenCheckUnavailable: there are no keys at all.
        """


class FileKeys:
    """A key set in a file, read again when the file was changed.

    A set that cannot be read lets nobody in: its keys may have been taken away on purpose.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    async def find(self, kid_untrusted: str | None) -> Sequence[Key]:
        """Return keys out of the file as it is now; see `KeySource`."""
        try:
            found = self._path.stat()
            seen = found.st_ino, found.st_size, found.st_mtime_ns
            if seen != self._seen:
                with self._path.open("rb") as file:
                    self._keys = read_key_set(file.read(ANSWER_LIMIT_OCTETS + 1))
                self._seen = seen
        except OSError as cause:
            raise TokenCheckUnavailable(f"{self._path}: {cause.strerror}") from cause
        except ValueError as cause:
            raise TokenCheckUnavailable(f"{self._path}: {cause}") from cause
        return _named(self._keys, kid_untrusted, str(self._path))


class UrlKeys:
    """A key set behind an https URL, asked for again after ten minutes or at an unknown key.

    It belongs to one event loop. However many logins wait for keys, one question is asked.
    """

    def __init__(
        self, url: str, transport: Transport, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._question = Question(url)
        self._asker = _Asker(transport)
        self._monotonic_s = monotonic_s
        self._keys: tuple[Key, ...] | None = None
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")
        self._failure = ""
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid_untrusted: str | None) -> Sequence[Key]:
        """Return keys that are not too old; see `KeySource`."""
        if self._monotonic_s() - self._fetched_s >= KEYS_FRESH_S:
            await self._fetch_unless_just_tried()
        keys = self._keys
        if keys is not None and kid_untrusted not in {None, *(key.kid for key in keys)}:
            await self._fetch_unless_just_tried()
            keys = self._keys
        if keys is None or self._monotonic_s() - self._fetched_s >= KEYS_STALE_S:
            raise TokenCheckUnavailable(f"no keys from {self._question.url}: {self._failure}")
        return _named(keys, kid_untrusted, self._question.url)

    def close(self) -> None:
        """Ask no more."""
        self._asker.close()

    async def _fetch_unless_just_tried(self) -> None:
        pause_s = KEYS_RETRY_S if self._keys is None else KEYS_PAUSE_S
        if self._fetching is None and self._monotonic_s() - self._tried_s >= pause_s:
            self._tried_s = self._monotonic_s()
            self._fetching = asyncio.create_task(self._fetch())
        if self._fetching is not None:
            # Shielded: the login that began it may be cancelled, and others wait for it too.
            await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            answered = await self._asker.ask(self._question)
            if answered.status != http.client.OK:
                raise AskingFailed(f"it answers {answered.status}")  # noqa: TRY301  # one way out
            self._keys = read_key_set(answered.body)
            self._fetched_s = self._monotonic_s()
        except (AskingFailed, ValueError) as cause:
            self._failure = str(cause)
        finally:
            self._fetching = None


class _KeySet(msgspec.Struct):
    """RFC 7517 section 5."""

    keys: list[dict[str, Any]]


def read_key_set(octets: bytes) -> tuple[Key, ...]:
    """Return the keys of a JWK set that can check signatures; others are passed over.

    Source: RFC 7517 section 5, which has unknown and incomplete keys ignored.

    Raises:
        ValueError: it is no JWK set.
    """
    if len(octets) > ANSWER_LIMIT_OCTETS:
        raise ValueError(f"the key set has more than {ANSWER_LIMIT_OCTETS} octets")
    try:
        members = msgspec.json.decode(octets, type=_KeySet).keys
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as cause:
        raise ValueError("it is no JWK set (RFC 7517)") from cause
    return tuple(key for member in members[:KEYS_LIMIT] if (key := _key_of(member)) is not None)


def _key_of(member: Mapping[str, Any]) -> Key | None:
    """Return the public key that a member of a set is, if it can check a signature."""
    operations = member.get("key_ops", ["verify"])
    is_for_signatures = member.get("use", "sig") == "sig" and "verify" in operations
    if member.get("kty") not in _SIGNING_TYPES or not is_for_signatures:
        return None
    try:
        if member["kty"] == "RSA" and _bits(member["n"]) < RSA_MINIMUM_BITS:
            return None
        return JWKRegistry.import_key({n: member[n] for n in _PUBLIC_MEMBERS if n in member})
    except (JoseError, ValueError, TypeError, LookupError, AttributeError):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(_from_base64url(number), "big").bit_length()


def _named(keys: Sequence[Key], kid_untrusted: str | None, where: str) -> Sequence[Key]:
    if not keys:
        raise TokenCheckUnavailable(f"{where} has no key that signatures can be checked with")
    return [key for key in keys if kid_untrusted is None or key.kid == kid_untrusted]


class _Registry(jws.JWSRegistry):
    """The algorithms that were set, and a token's header as RFC 7515 section 4 reads it.

    The library would warn of `EdDSA`, whose name alone is deprecated (RFC 9864).
    """

    max_header_length = 4096
    max_payload_length = TOKEN_LIMIT_OCTETS

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return an algorithm if it was set."""
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


class JwtCheck:
    """Checks signed tokens here, without asking anybody about one."""

    def __init__(
        self,
        rules: TokenRules,
        keys: KeySource,
        *,
        algorithms: Sequence[str],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Make ready.

        Args:
            rules: what a good token says.
            keys: whose signatures are good.
            algorithms: of RFC 7518 section 3.1 and RFC 8037, those with a public key.
            now_s: seconds since 1970.

        Raises:
            ValueError: an algorithm is not known, or shares a secret.
        """
        for name in algorithms:
            known = jws.JWSRegistry.algorithms.get(name)
            if known is None or known.key_type not in _SIGNING_TYPES:
                raise ValueError(f"tokens signed with {name} cannot be checked")
        self._rules = rules
        self._keys = keys
        self._algorithms = tuple(algorithms)
        self._registry = _Registry(algorithms=self._algorithms, strict_check_header=False)
        self._now_s = now_s

    async def name_of(self, token: Secret) -> str:
        """Return the name in a good token.

        Args:
            token: as the client sent it.

        Raises:
            TokenRefused: it is not good.
            TokenCheckUnavailable: there are no keys to check it with.
        """
        header = _header_of(token, self._algorithms)
        if isinstance(header, TokenRefused):
            raise header
        keys = await self._keys.find(header.kid)
        outcome = self._judge(token, keys)
        if isinstance(outcome, TokenRefused):
            # Only now: an error takes along the frames that it rises through, and what they hold.
            raise outcome
        return outcome

    def _judge(self, token: Secret, keys: Sequence[Key]) -> str | TokenRefused:
        if not keys:
            return TokenRefused("it is signed with a key that the key set has not")
        payload = _signed_payload(token, keys, self._registry)
        if payload is None:
            return TokenRefused("its signature is wrong, or made with another kind of key")
        try:
            claims = msgspec.json.decode(payload, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return TokenRefused("it holds no claims")
        return judge_claims(claims, self._rules, self._now_s(), is_signed=True)


class _Header(msgspec.Struct):
    """RFC 7515 section 4.1."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: Any = None
    b64: Any = None


def _header_of(token: Secret, algorithms: Sequence[str]) -> _Header | TokenRefused:
    """Return what a token says about itself; none of it is believed yet."""
    octets = token.reveal()
    if len(octets) > TOKEN_LIMIT_OCTETS:
        return TokenRefused(f"it is longer than {TOKEN_LIMIT_OCTETS} octets")
    match = _SIGNED.fullmatch(octets)
    if match is None:
        return TokenRefused("it is no JWT with one signature")
    try:
        header = msgspec.json.decode(_from_base64url(match[1].decode()), type=_Header)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return TokenRefused("its header cannot be read")
    reason = _wrong_header(header, algorithms)
    return header if reason is None else TokenRefused(reason)


def _wrong_header(header: _Header, algorithms: Sequence[str]) -> str | None:
    if header.alg not in algorithms:
        return "it is signed with an algorithm that is not allowed"
    if header.crit is not None or header.b64 is not None:
        return "it asks for an extension that is not known (crit)"
    if header.typ is not None and header.typ.lower() not in _TYPES:
        return "it is a token of another kind (typ)"
    return None


def _signed_payload(token: Secret, keys: Sequence[Key], registry: _Registry) -> bytes | None:
    """Return what one of the keys has signed."""
    for key in keys:
        try:
            return jws.deserialize_compact(token.reveal(), key, registry=registry).payload
        except (JoseError, ValueError, TypeError, LookupError, RecursionError):
            continue
    return None


def _from_base64url(text: str) -> bytes:
    """Return what base64url without padding stands for (RFC 7515 section 2)."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


class _Claims(msgspec.Struct):
    """RFC 7519 section 4.1, RFC 8693 section 4.2; `scp` is what Microsoft and Okta write."""

    iss: str | None = None
    aud: str | list[str] | None = None
    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None
    scope: str | list[str] = ""
    scp: str | list[str] = ""
    email_verified: Any = None


def judge_claims(
    claims_untrusted: Mapping[str, Any], rules: TokenRules, now_s: float, *, is_signed: bool
) -> str | TokenRefused:
    """Return the name that claims are good for, or why they are not.

    Args:
        claims_untrusted: their issuer is not known to be the right one yet.
        rules: what they have to be.
        now_s: seconds since 1970.
        is_signed: whether `iss`, `aud` and `exp` must be there (RFC 9068 section 4); where a
            provider was asked they may be missing (RFC 7662 section 2.2).
    """
    try:
        claims = msgspec.convert(claims_untrusted, _Claims)
    except (msgspec.MsgspecError, OverflowError):
        return TokenRefused("a claim is not of its kind")
    reason = _wrong_sender(claims, rules, is_signed=is_signed) or _wrong_time(
        claims, now_s, is_signed=is_signed
    )
    if reason is not None:
        return TokenRefused(reason)
    if not set(rules.scope.split()) <= {*_words(claims.scope), *_words(claims.scp)}:
        return TokenRefused("its scope is not enough")
    return _name_in(claims_untrusted, claims, rules.name_claim)


def _wrong_sender(claims: _Claims, rules: TokenRules, *, is_signed: bool) -> str | None:
    if claims.iss != rules.issuer and (is_signed or claims.iss is not None):
        return "it is from another issuer (iss)"
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if rules.audience not in (audiences or ()) and (is_signed or audiences is not None):
        return "it is for somebody else (aud)"
    return None


def _wrong_time(claims: _Claims, now_s: float, *, is_signed: bool) -> str | None:
    if claims.exp is None and is_signed:
        return "it has no end (exp)"
    if claims.exp is not None and now_s >= claims.exp + LEEWAY_S:
        return "it has expired (exp)"
    if claims.nbf is not None and now_s < claims.nbf - LEEWAY_S:
        return "it is not good yet (nbf)"
    if claims.iat is not None and now_s < claims.iat - LEEWAY_S:
        return "it was made in the future (iat): does the clock go right?"
    return None


def _words(scope: str | list[str]) -> list[str]:
    return scope.split() if isinstance(scope, str) else scope


def _name_in(
    claims_untrusted: Mapping[str, Any], claims: _Claims, name_claim: str
) -> str | TokenRefused:
    name = claims_untrusted.get(name_claim)
    if not isinstance(name, str) or not name:
        return TokenRefused(f"it has no name ({name_claim})")
    # OpenID Connect Core section 5.1: what users may write themselves names nobody.
    if name_claim == "email" and claims.email_verified in (False, "false"):
        return TokenRefused("its provider has not verified the address (email_verified)")
    return name


@dataclass(frozen=True, slots=True)
class _Remembered:
    outcome: str | TokenRefused
    until_s: float


class IntrospectionCheck:
    """Asks the provider about each token and remembers the answer for a while (RFC 7662).

    It belongs to one event loop. Tokens are remembered by their SHA-256.
    """

    def __init__(
        self,
        url: str,
        rules: TokenRules,
        transport: Transport,
        *,
        client_id: str,
        client_secret: Secret,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Make ready.

        Args:
            url: of the provider's introspection endpoint, https.
            rules: what a good token says.
            transport: how to ask.
            client_id: as whom.
            client_secret: and how that is proved.
            now_s: seconds since 1970.
        """
        self._url = url
        self._rules = rules
        self._asker = _Asker(transport)
        self._basic = _basic(client_id, client_secret)
        self._now_s = now_s
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def name_of(self, token: Secret) -> str:
        """Return the name in a good token.

        Raises:
            TokenRefused: it is not good.
            TokenCheckUnavailable: the provider did not answer.
        """
        if not _is_bearer(token):
            raise TokenRefused("it has something in it that no token has, or is too long")
        place = hashlib.sha256(token.reveal()).digest()
        remembered = self._remembered.get(place)
        if remembered is None or self._now_s() >= remembered.until_s:
            remembered = await self._ask(token)
            self._remember(place, remembered)
        if isinstance(remembered.outcome, TokenRefused):
            raise TokenRefused(*remembered.outcome.args)
        return remembered.outcome

    def close(self) -> None:
        """Ask no more."""
        self._asker.close()

    async def _ask(self, token: Secret) -> _Remembered:
        try:
            claims = _introspected(await self._asker.ask(self._question(token)))
        except AskingFailed as cause:
            raise TokenCheckUnavailable(f"{self._url}: {cause}") from cause
        return self._judge(claims)

    def _question(self, token: Secret) -> Question:
        form = urlencode({"token": token.reveal(), "token_type_hint": "access_token"})
        headers = {"Authorization": self._basic.reveal().decode()}
        return Question(self._url, headers, Secret(form.encode()))

    def _judge(self, claims: dict[str, Any]) -> _Remembered:
        now_s = self._now_s()
        if claims.get("active") is not True:
            return _Remembered(
                TokenRefused("its provider says that it is not good"), now_s + NEGATIVE_S
            )
        outcome = judge_claims(claims, self._rules, now_s, is_signed=False)
        if isinstance(outcome, TokenRefused):
            return _Remembered(outcome, now_s + NEGATIVE_S)
        return _Remembered(
            outcome, min(now_s + POSITIVE_S, claims.get("exp") or now_s + POSITIVE_S)
        )

    def _remember(self, place: bytes, remembered: _Remembered) -> None:
        self._remembered[place] = remembered
        self._remembered.move_to_end(place)
        while len(self._remembered) > REMEMBERED_LIMIT:
            self._remembered.popitem(last=False)


def _is_bearer(token: Secret) -> bool:
    octets = token.reveal()
    return len(octets) <= TOKEN_LIMIT_OCTETS and _BEARER.fullmatch(octets) is not None


def _introspected(answered: Answered) -> dict[str, Any]:
    """Return what a provider says about a token (RFC 7662 section 2.2)."""
    if answered.status == http.client.UNAUTHORIZED:
        raise AskingFailed("it does not take our client_id and secret")
    if answered.status != http.client.OK:
        raise AskingFailed(f"it answers {answered.status}")
    try:
        return msgspec.json.decode(answered.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise AskingFailed("the answer is no JSON object") from None


def _basic(client_id: str, client_secret: Secret) -> Secret:
    """Return who asks, for the header Authorization (RFC 6749 section 2.3.1)."""
    pair = f"{quote(client_id, safe='')}:{quote(client_secret.reveal(), safe='')}"
    return Secret(b"Basic " + base64.b64encode(pair.encode()))
