"""From one account's table in the settings to its job; every error names the key that is wrong.

It must not know where the file is. It reads the home folder's name and nothing else of the world.
"""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mailkeep.fetch.account import Account, TlsPolicy, Transport, parse_url
from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.job import Job
from mailkeep.fetch.loopback import is_loopback
from mailkeep.fetch.oauth import check_endpoint
from mailkeep.fetch.pins import parse_pin
from mailkeep.fetch.policy import Larger, Policy, parse_duration, parse_initial, parse_size
from mailkeep.fetch.secret_sources import (
    Keyring,
    Netrc,
    OAuthRefresh,
    Prompt,
    SecretCommand,
    SecretFile,
    SecretSource,
    SystemdCredential,
    TokenCommand,
    is_token,
)
from mailkeep.fetch.settings_tables import AccountTable, OAuthTable, TlsMinimum
from mailkeep.fetch.settings_text import SettingsText
from mailkeep.sasl.choosing import TOKEN_MECHANISMS

Parsed = TypeVar("Parsed")

_SECRET_KEYS = (
    "password_command",
    "password_file",
    "credential",
    "keyring",
    "netrc",
    "token_command",
    "oauth",
)
_KEEPING_KEYS = ("keep", "delete", "delete_after", "keep_newest")
_TLS_KEYS = ("ca", "pins", "client_certificate", "client_key")
_VERSIONS = {
    TlsMinimum.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    TlsMinimum.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}


def make_job(text: SettingsText, label: str, table: AccountTable) -> Job:
    """Return the job of `[accounts.LABEL]`.

    Raises:
        WrongSettings: a value cannot be used, or two contradict each other.
    """
    section = _Section(text, label, table)
    account = _account(section)
    secret = _secret(section, account)
    if account.mechanism and (account.mechanism in TOKEN_MECHANISMS) != is_token(secret):
        raise section.wrong(
            "auth",
            f"{account.mechanism} does not go with this kind of secret",
            f"{' and '.join(TOKEN_MECHANISMS)} take a token: token_command or oauth",
        )
    return Job(
        label=label,
        account=account,
        policy=_policy(section),
        destinations=_destinations(section),
        secret=secret,
        recipient=section.parse_if_said("recipient", table.recipient, _recipient),
        every_s=section.parse_if_said("every", table.every, _interval),
    )


def absolute_path(text: str) -> Path:
    """Return a path with `~` expanded.

    Raises:
        WrongSettings: it is relative, or no path.
    """
    path = Path(_expanded(text))
    if "\0" in text or not path.is_absolute():
        raise WrongSettings(f'"{text}" is not an absolute path', hint="begin with / or ~/")
    return path


@dataclass(frozen=True, slots=True)
class _Section:
    """An account's table, and where it stands."""

    text: SettingsText
    label: str
    table: AccountTable

    def wrong(self, key: str, what: str, hint: str | None = None) -> WrongSettings:
        return self.text.wrong(("accounts", self.label, key), what, hint)

    def parse(self, key: str, value: str, parse: Callable[[str], Parsed]) -> Parsed:
        """Return what a text stands for; an error says at which key it is."""
        with self.text.at(("accounts", self.label, *key.split("."))):
            return parse(value)

    def parse_if_said(
        self, key: str, value: str | None, parse: Callable[[str], Parsed]
    ) -> Parsed | None:
        return None if value is None else self.parse(key, value, parse)

    def said(self, keys: tuple[str, ...]) -> list[str]:
        """Return which of these keys say something."""
        values = {key: getattr(self.table, key) for key in keys}
        return [key for key, value in values.items() if value or value == ""]


def _account(section: _Section) -> Account:
    table = section.table
    account = _secured(section, section.parse("url", table.url, parse_url))
    hides = account.hides_read_mail if table.hides_read_mail is None else table.hides_read_mail
    return replace(
        account,
        tls=_tls(section),
        mechanism=section.parse_if_said("auth", table.auth, _mechanism),
        timeout_s=float(table.timeout),
        hides_read_mail=hides,
    )


def _secured(section: _Section, account: Account) -> Account:
    """Return the account with clear text if that was asked for and makes sense."""
    said = section.table.insecure
    if said is False:
        return account
    if account.transport is not Transport.STLS:
        raise section.wrong(
            "insecure",
            "clear text is spoken to pop3:// only",
            "leave it out: TLS works with this URL",
        )
    if useless := section.said(_TLS_KEYS):
        raise section.wrong(useless[0], "this says nothing without TLS, and `insecure` is set")
    may_be_clear = said is not True
    if not may_be_clear and not is_loopback(account.host):
        raise section.wrong(
            "insecure",
            f"password and mail could be read on the way to {account.host}",
            'leave it out; or insecure = "beyond loopback" if you vouch for the network',
        )
    return replace(account, transport=Transport.CLEARTEXT, may_be_clear=may_be_clear)


def _tls(section: _Section) -> TlsPolicy:
    table = section.table
    if table.client_key is not None and table.client_certificate is None:
        raise section.wrong("client_key", "there is no client_certificate for it")
    return TlsPolicy(
        authorities=section.parse_if_said("ca", table.ca, absolute_path),
        pins=tuple(section.parse("pins", pin, parse_pin) for pin in table.pins),
        certificate=section.parse_if_said(
            "client_certificate", table.client_certificate, absolute_path
        ),
        key=section.parse_if_said("client_key", table.client_key, absolute_path),
        minimum=_VERSIONS[table.minimum],
    )


def _secret(section: _Section, account: Account) -> SecretSource:
    said = section.said(_SECRET_KEYS)
    if len(said) > 1:
        raise section.wrong(said[1], f"`{said[0]}` is there already; choose one of them")
    if section.table.oauth is not None:
        return _oauth(section, section.table.oauth)
    with section.text.at(("accounts", section.label, *said)):
        return _simple_secret(section.table, account)


def _simple_secret(table: AccountTable, account: Account) -> SecretSource:
    source: SecretSource = Prompt()
    if table.password_command is not None:
        source = SecretCommand(tuple(table.password_command))
    elif table.token_command is not None:
        source = TokenCommand(tuple(table.token_command))
    elif table.password_file is not None:
        source = SecretFile(absolute_path(table.password_file))
    elif table.credential is not None:
        source = SystemdCredential(table.credential)
    elif table.keyring is not False:
        source = Keyring(account.host if table.keyring is True else table.keyring)
    elif table.netrc is not False:
        source = Netrc(None if table.netrc is True else absolute_path(table.netrc))
    return source


def _oauth(section: _Section, table: OAuthTable) -> OAuthRefresh:
    client_secret = section.parse_if_said(
        "oauth.client_secret_file", table.client_secret_file, absolute_path
    )
    refresh_token = section.parse(
        "oauth.refresh_token_file", table.refresh_token_file, absolute_path
    )
    return OAuthRefresh(
        endpoint=section.parse("oauth.endpoint", table.endpoint, check_endpoint),
        client_id=table.client_id,
        client_secret=None if client_secret is None else SecretFile(client_secret),
        refresh_token=SecretFile(refresh_token),
        scope=table.scope,
        authorities=section.parse_if_said("oauth.ca", table.ca, absolute_path),
    )


def _policy(section: _Section) -> Policy:
    table = section.table
    said = section.said(_KEEPING_KEYS)
    if len(said) > 1:
        raise section.wrong(said[1], f"`{said[0]}` says otherwise; choose one of them")
    if table.keep is False and not said:
        raise section.wrong(
            "keep", "when is mail to be deleted?", "set delete, delete_after or keep_newest instead"
        )
    if table.larger is Larger.HEADERS and table.larger_than is None:
        raise section.wrong("larger", "larger than what?", 'add larger_than = "20M"')
    initial, initial_amount = section.parse("initial", table.initial, parse_initial)
    return Policy(
        delete=table.delete,
        delete_after_s=section.parse_if_said("delete_after", table.delete_after, parse_duration),
        keep_newest=table.keep_newest,
        initial=initial,
        initial_amount=initial_amount,
        larger_than=section.parse_if_said("larger_than", table.larger_than, parse_size),
        larger=table.larger,
        limit_octets=section.parse("limit", table.limit, _limit),
    )


def _destinations(section: _Section) -> tuple[str, ...]:
    said = section.table.to
    texts = [said] if isinstance(said, str) else said
    if not texts:
        raise section.wrong("to", "an account needs a destination", _A_DESTINATION)
    found = tuple(section.parse("to", text, _destination) for text in texts)
    if len(set(found)) < len(found):
        raise section.wrong("to", "the same destination is there twice")
    return found


_A_DESTINATION = 'write "maildir:~/Mail/alice", or mbox:, dir:, pipe: or lmtp:'


def _destination(text: str) -> str:
    kind, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[a-z]+", kind) or not rest:
        raise WrongSettings(f'"{text}" is no destination', hint=_A_DESTINATION)
    rest = _expanded(rest)
    if kind in {"maildir", "mbox", "dir"}:
        absolute_path(rest)
    return f"{kind}:{rest}"


def _expanded(text: str) -> str:
    return f"{Path.home()}{text[1:]}" if text == "~" or text.startswith("~/") else text


def _mechanism(text: str) -> str:
    """RFC 4422 section 3.1 says what a mechanism's name is."""
    if not re.fullmatch(r"[A-Z0-9_-]{1,20}", text.upper()):
        raise WrongSettings(f'"{text}" is no name of a mechanism', hint='as in "SCRAM-SHA-256"')
    return text.upper()


def _limit(text: str) -> int:
    octets = parse_size(text)
    if not octets:
        raise WrongSettings("a limit of nothing lets no message in")
    return octets


def _interval(text: str) -> int:
    seconds = parse_duration(text)
    if not seconds:
        raise WrongSettings("no server stands being asked all the time", hint="write 5m")
    return seconds


def _recipient(text: str) -> str:
    """Return an address for LMTP; what could end the command early is none (S-58)."""
    if not re.fullmatch(r"[^\s<>\x00-\x1f\x7f]+", text):
        raise WrongSettings(f'"{text}" is no address', hint="write alice@example.com")
    return text
