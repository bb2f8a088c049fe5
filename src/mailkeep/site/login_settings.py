"""Which credentials are good: what an operator can set about passwords and tokens.

It must not know how they are checked, nor whether a file that is named is there: `doctor` looks.
"""

import enum
from pathlib import Path
from typing import Annotated

import msgspec

from mailkeep.site.errors import InvalidSetting
from mailkeep.site.urls import is_url

Days = Annotated[int, msgspec.Meta(ge=0)]

_URL_HINT = "write https://id.example.com/..."
_KEYS_HINT = f"{_URL_HINT}, or the path of a file"
"""Over plain http anybody on the way could say which tokens are good."""


class MainPassword(enum.Enum):
    """Where an account's main password is good."""

    ALLOW = "allow"
    """POP3 too."""
    DEVICES_ONLY = "devices_only"
    """Not for POP3: each program has a device's password of its own."""


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which credentials are good: `[login]`."""

    main_password: MainPassword = MainPassword.ALLOW
    """`allow` or `devices_only`, for accounts that have no policy of their own."""
    minimum_length: Annotated[int, msgspec.Meta(ge=8, le=64)] = 15
    """Of a new main password, in characters: NIST SP 800-63B-4 section 3.1.1.2 asks for 15 where
    the password is used alone, and for 64 to be taken."""
    breached_passwords: Path | None = None
    """An offline list: a password a line, or sorted SHA-1 hashes as Have I Been Pwned has them."""
    scram_main: bool = False
    """Whether a new main password can be used with SCRAM. What is kept for that is easier to guess
    from, once stolen, than argon2id."""
    scram_plus: bool = False
    """Whether SCRAM-SHA-256-PLUS is offered, with `tls-server-end-point`."""
    scram_iterations: Annotated[int, msgspec.Meta(ge=4096, le=600_000)] = 4096
    """RFC 7677 section 4. Device passwords are random and need no more; with `scram_main` set
    600000."""
    stale_after_d: Days = 90
    """Days without a login after which `doctor` names an account or a device; 0 never."""
    disable_stale_after_d: Days = 0
    """Days without a login after which the server disables them by itself; 0 never."""


class Oauth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tokens are good for OAUTHBEARER and XOAUTH2: `[oauth]`. Without it there are none."""

    issuer: str
    """What `iss` must be."""
    audience: str
    """What `aud` must be or hold."""
    keys: str = ""
    """A JWK set (RFC 7517): a file, or an https URL that is asked again now and then."""
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    """What a token may be signed with (RFC 7518 section 3.1); never `none` or a shared secret."""
    introspection: str = ""
    """An https URL that tells whether a token is good (RFC 7662), in the place of `keys`."""
    client_id: str = ""
    """Who asks there."""
    client_secret_file: Path | None = None
    """Holds the asker's secret."""
    scope: str = ""
    """What the token's scope must have; nothing unless set."""
    name_claim: str = "email"
    """Which claim holds the account's address."""
    configuration: str = ""
    """The URL that a refused client is told (`openid-configuration`, RFC 7628 section 3.2.2)."""

    def __post_init__(self) -> None:
        self._check_claims()
        self._check_algorithms()
        self._check_sources()

    def _check_claims(self) -> None:
        for key in ("issuer", "audience", "name_claim"):
            if not getattr(self, key):
                raise InvalidSetting("it is empty, and no token fits that", key=key)

    def _check_algorithms(self) -> None:
        if not self.algorithms:
            raise InvalidSetting(
                "no token could be good", key="algorithms", hint="leave it out for the usual ones"
            )
        if bad := [name for name in self.algorithms if name == "none" or name.startswith("HS")]:
            raise InvalidSetting(
                f'"{bad[0]}" does not tell who signed a token', key="algorithms", hint="remove it"
            )

    def _check_sources(self) -> None:
        if bool(self.keys) == bool(self.introspection):
            raise InvalidSetting(
                "a token is checked with `keys` or with `introspection`",
                key="keys" if self.keys else "",
                hint="set one of the two",
            )
        if "://" in self.keys and not is_url(self.keys, "https"):
            raise InvalidSetting(f'"{self.keys}" is not an https URL', key="keys", hint=_KEYS_HINT)
        for key in ("introspection", "configuration"):
            url = getattr(self, key)
            if url and not is_url(url, "https"):
                raise InvalidSetting(f'"{url}" is not an https URL', key=key, hint=_URL_HINT)
