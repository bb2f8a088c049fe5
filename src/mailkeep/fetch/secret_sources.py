"""Where the password or the token of an account comes from, and reading it there.

A source says only where a secret is; it may be printed, compared and kept. Reading blocks (on a
person, a command, a server), so it is done in a thread. Every secret that leaves here is one line
without NUL (S-58: what would end a command early never reaches a server).

Known limits: standard input is read once; whoever needs its password again keeps it. A refresh of a
token is made at every reading. A keyring that asks its user to unlock it is waited for.
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from mailkeep.fetch.account import Account
from mailkeep.fetch.failures import TokenNeeded, WrongSettings
from mailkeep.fetch.secret_commands import read_command
from mailkeep.fetch.secret_files import (
    CREDENTIAL_FORBIDDEN,
    SECRET_LIMIT_OCTETS,
    first_line,
    problem_of,
    read_netrc,
    read_secret_file,
)
from mailkeep.values import Secret

if TYPE_CHECKING:
    from mailkeep.fetch.oauth import AccessToken


@dataclass(frozen=True, slots=True)
class Prompt:
    """A person types it."""


@dataclass(frozen=True, slots=True)
class StandardInput:
    """The next line of standard input."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """The first line of a file that only its owner can read."""

    path: Path


@dataclass(frozen=True, slots=True)
class SecretCommand:
    """The first line that a command prints; a program and its arguments."""

    argv: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_command(self.argv)


@dataclass(frozen=True, slots=True)
class SystemdCredential:
    """A credential that systemd gave this service (systemd.exec(5), `LoadCredential=`)."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(?!\.{1,2}$)[A-Za-z0-9._@-]{1,255}", self.name):
            raise WrongSettings(
                f'"{self.name}" is no name of a credential',
                hint="it has letters, digits, hyphens, dots, @ and _",
            )


@dataclass(frozen=True, slots=True)
class Keyring:
    """The desktop's keyring: the password of the account's user under this service."""

    service: str

    def __post_init__(self) -> None:
        if not self.service:
            raise WrongSettings("the keyring knows no service without a name")


@dataclass(frozen=True, slots=True)
class Netrc:
    """A netrc file, or `~/.netrc`: the password for the account's host and user."""

    path: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenCommand:
    """As `SecretCommand`, but what it prints is an OAuth access token."""

    argv: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_command(self.argv)


@dataclass(frozen=True, slots=True)
class OAuthRefresh:
    """An access token from a token endpoint, for a refresh token (RFC 6749 section 6).

    Attributes:
        authorities: a PEM file of authorities for the endpoint, beside the system's.
    """

    endpoint: str
    client_id: str
    client_secret: "SecretSource | None"
    refresh_token: "SecretSource"
    scope: str | None = None
    authorities: Path | None = None


SecretSource = (
    Prompt
    | StandardInput
    | SecretFile
    | SecretCommand
    | SystemdCredential
    | Keyring
    | Netrc
    | TokenCommand
    | OAuthRefresh
)

Ask = Callable[[str], Secret]
"""Asks a person, on the terminal, with this text."""
Warn = Callable[[str], None]
"""Tells a person something that ends nothing."""


def is_token(source: SecretSource) -> bool:
    """Tell whether what is read there is an access token and no password."""
    return isinstance(source, TokenCommand | OAuthRefresh)


def read_secret(
    source: SecretSource, account: Account, *, ask: Ask | None, warn: Warn | None = None
) -> Secret:
    """Return the password or the token of an account. Blocks.

    Args:
        source: where it is.
        account: whose.
        ask: None without a terminal.
        warn: hears of a new refresh token that could not be kept.

    Raises:
        WrongSettings: it cannot be read there, or can be no secret.
        TokenNeeded: there is no token, and none could be had.
        NetworkFailed: the token endpoint cannot be reached now.
    """
    secret = _read(source, account, ask, warn)
    if problem := problem_of(secret, is_token=is_token(source)):
        raise _failure(source)(f"what {_described(source)} {problem}")
    return secret


def read_access_token(
    source: OAuthRefresh, account: Account, *, ask: Ask | None, warn: Warn | None = None
) -> "AccessToken":
    """Return a fresh access token and how long it lives, and keep a new refresh token.

    Raises:
        WrongSettings: the refresh token or the client's secret cannot be read.
        TokenNeeded: the endpoint gives no token.
        NetworkFailed: the endpoint cannot be reached now.
    """
    from mailkeep.fetch.oauth import OAuthClient, refresh_access_token  # an HTTP client

    client = OAuthClient(source.endpoint, source.client_id, source.scope, source.authorities)
    client_secret = None
    if source.client_secret is not None:
        client_secret = read_secret(source.client_secret, account, ask=ask, warn=warn)
    refresh_token = read_secret(source.refresh_token, account, ask=ask, warn=warn)
    token = refresh_access_token(client, refresh_token, client_secret)
    if token.new_refresh_token is not None:
        warning = keep_refresh_token(source.refresh_token, token.new_refresh_token)
        if warning is not None and warn is not None:
            warn(warning)
    return token


def keep_refresh_token(source: SecretSource, token: Secret) -> str | None:
    """Put a new refresh token where the old one was read, if that is a file.

    A reader, or a power cut, meets the old one or the new one. A link stays and leads to the new.

    Returns:
        a warning for people if it could not be kept; None if it is safe.
    """
    if not isinstance(source, SecretFile):
        return f"the server gave a new refresh token: {_CANNOT_KEEP}"
    from mailkeep.tls.errors import CertificateProblem
    from mailkeep.tls.pem_files import KEY_MODE, write_durably  # imports cryptography

    try:
        write_durably(source.path.resolve(), token.reveal() + b"\n", mode=KEY_MODE)
    except CertificateProblem as problem:
        return f"the server gave a new refresh token, but {problem}; the old one may end soon"
    return None


_CANNOT_KEEP = "only one that was read from a file can be kept; the old one may end soon"


def _read(source: SecretSource, account: Account, ask: Ask | None, warn: Warn | None) -> Secret:
    match source:
        case Prompt():
            secret = _prompt(account, ask)
        case StandardInput():
            secret = _standard_input()
        case SecretFile(path):
            secret = read_secret_file(path)
        case SecretCommand(argv) | TokenCommand(argv):
            secret = read_command(argv, _failure(source))
        case SystemdCredential(name):
            secret = _credential(name)
        case Keyring(service):
            secret = _keyring(service, account)
        case Netrc(path):
            secret = read_netrc(path or Path.home() / ".netrc", account)
        case OAuthRefresh():
            secret = read_access_token(source, account, ask=ask, warn=warn).secret
        case _:
            assert_never(source)
    return secret


def _failure(source: SecretSource) -> type[WrongSettings] | type[TokenNeeded]:
    return TokenNeeded if is_token(source) else WrongSettings


def _check_command(argv: tuple[str, ...]) -> None:
    if not argv or not argv[0]:
        raise WrongSettings(
            "a command is a program and its arguments", hint='write ["pass", "mail/alice"]'
        )


def _described(source: SecretSource) -> str:
    match source:
        case Prompt():
            return "was typed"
        case StandardInput():
            return "came from standard input"
        case SecretFile(path):
            return f"the first line of {path} holds"
        case SecretCommand(argv) | TokenCommand(argv):
            return f"the command {Path(argv[0]).name} printed"
        case _:
            return "was found as the secret"


def _prompt(account: Account, ask: Ask | None) -> Secret:
    if ask is None:
        raise WrongSettings(
            f"there is no terminal to ask for the password of {account.name}",
            hint="use --password-stdin or --password-command, or password_command in the settings",
        )
    return ask(f"Password of {account.name}: ")


def _standard_input() -> Secret:
    if sys.stdin is None:
        raise WrongSettings("standard input is closed, and the password was to come from there")
    return first_line(sys.stdin.buffer.readline(SECRET_LIMIT_OCTETS + 3))


def _credential(name: str) -> Secret:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise WrongSettings(
            f'systemd gave no credentials, and "{name}" was to be one',
            hint=f"add LoadCredential={name}:FILE to the service",
        )
    return read_secret_file(Path(folder) / name, forbidden=CREDENTIAL_FORBIDDEN)


def _keyring(service: str, account: Account) -> Secret:
    import importlib

    try:
        keyring = importlib.import_module("keyring")
        errors = importlib.import_module("keyring.errors")
    except ImportError as cause:
        raise WrongSettings(
            "the keyring of the desktop needs a package that is not installed",
            hint="pip install 'mailkeep[keyring]', or use password_command or password_file",
        ) from cause
    try:
        password = keyring.get_password(service, account.user)
    except (errors.KeyringError, RuntimeError, OSError) as cause:
        raise WrongSettings(
            f"the keyring cannot be used: {cause}",
            hint="without a desktop's session (cron, systemd) use password_file or credential",
        ) from cause
    if password is None:
        raise WrongSettings(
            f'the keyring has no password for {account.user} under "{service}"',
            hint=f"keyring set {service} {account.user}",
        )
    return Secret(password.encode())
