"""The keys that OAuth providers sign tokens with: JWK sets (RFC 7517), in a file or behind a URL.

A key's name (`kid`) comes from whoever sends a token: it is compared with the names in the set and
used for nothing else.

Known limits: the last good key set from a URL stays in use for a day while the provider is away, so
a key that was withdrawn is trusted for as long. Certificates in a set are not looked at.
"""

import asyncio
import base64
import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from mailkeep.accounts.asking import (
    ANSWER_LIMIT_OCTETS,
    Asker,
    AskingFailed,
    Question,
    Transport,
)
from mailkeep.accounts.seam import TokenCheckUnavailable

KEYS_LIMIT = 100
"""Providers publish two to ten."""
RSA_MINIMUM_BITS = 2048
"""RFC 7518 section 3.3."""

KEYS_FRESH_S = 600
"""A key that is withdrawn is trusted no longer than this; providers let sets be kept for hours."""
KEYS_STALE_S = 86_400
"""Providers announce a new key days before they sign with it."""
KEYS_PAUSE_S = 60
"""Between two tries, so that tokens with made-up key names make no flood of questions."""
KEYS_RETRY_S = 5
"""The same while there are no keys at all and nobody can log in."""

SIGNING_TYPES = frozenset({"RSA", "EC", "OKP"})
"""`oct` is a shared secret: whoever can check such a token can make one."""
_PUBLIC_MEMBERS = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")
"""RFC 7518 section 6 without what is secret, and without certificates, which nobody checks here."""


class KeySource(Protocol):
    """Where the keys are that tokens are signed with."""

    async def find(self, kid_untrusted: str | None) -> Sequence[Key]:
        """Return the keys that are called so; without a name all of them.

        Raises:
            TokenCheckUnavailable: there are no keys at all.
        """

    def close(self) -> None:
        """Look for no more keys. Safe to call twice."""


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

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""


class UrlKeys:
    """A key set behind an https URL, asked for again after ten minutes or at an unknown key.

    It belongs to one event loop. However many logins wait for keys, one question is asked.
    """

    def __init__(
        self, url: str, transport: Transport, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._question = Question(url)
        self._asker = Asker(transport)
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
    if member.get("kty") not in SIGNING_TYPES or not is_for_signatures:
        return None
    try:
        if member["kty"] == "RSA" and _bits(member["n"]) < RSA_MINIMUM_BITS:
            return None
        return JWKRegistry.import_key({n: member[n] for n in _PUBLIC_MEMBERS if n in member})
    except (JoseError, ValueError, TypeError, LookupError, AttributeError):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(from_base64url(number), "big").bit_length()


def _named(keys: Sequence[Key], kid_untrusted: str | None, where: str) -> Sequence[Key]:
    if not keys:
        raise TokenCheckUnavailable(f"{where} has no key that signatures can be checked with")
    return [key for key in keys if kid_untrusted is None or key.kid == kid_untrusted]


def from_base64url(text: str) -> bytes:
    """Return what base64url without padding stands for (RFC 7515 section 2)."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
