"""The keys of `fetch.toml`, with their defaults; `docs/fetch-settings.md` explains each.

Values are as TOML has them; what they mean is worked out in `mailkeep.fetch.settings`. There is no
key for a password: a file with one would be copied, shown and stored in places that nobody watches.
"""

from enum import Enum
from typing import Annotated, Literal

import msgspec

from mailkeep.fetch.account import DEFAULT_TIMEOUT_S
from mailkeep.fetch.job import PARALLEL
from mailkeep.fetch.policy import MESSAGE_LIMIT_OCTETS, MIB, Larger


class TlsMinimum(Enum):
    """The oldest TLS that is spoken (RFC 9325 section 3.1.1)."""

    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


class OAuthTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[accounts.NAME.oauth]`."""

    endpoint: str
    client_id: str
    client_secret_file: str | None = None
    refresh_token_file: str
    scope: str | None = None
    ca: str | None = None


class AccountTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[accounts.NAME]`."""

    url: str
    to: str | list[str]
    password_command: list[str] | None = None
    password_file: str | None = None
    credential: str | None = None
    keyring: bool | str = False
    netrc: bool | str = False
    token_command: list[str] | None = None
    oauth: OAuthTable | None = None
    keep: bool | None = None
    delete: bool = False
    delete_after: str | None = None
    keep_newest: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None
    initial: str = "all"
    larger_than: str | None = None
    larger: Larger = Larger.SKIP
    limit: str = f"{MESSAGE_LIMIT_OCTETS // MIB}M"
    every: str | None = None
    timeout: Annotated[int, msgspec.Meta(ge=1, le=3600)] = int(DEFAULT_TIMEOUT_S)
    auth: str | None = None
    ca: str | None = None
    pins: list[str] = msgspec.field(default_factory=list)
    client_certificate: str | None = None
    client_key: str | None = None
    minimum: TlsMinimum = TlsMinimum.TLS_1_2
    insecure: bool | Literal["beyond loopback"] = False
    recipient: str | None = None
    hides_read_mail: bool | None = None
    enabled: bool = True


class SettingsTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys above the first table."""

    parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = PARALLEL
    state: str | None = None
