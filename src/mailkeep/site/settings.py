"""What an operator can set, with safe defaults and what makes a value impossible.

Who may log in has a module of its own (`login_settings`), and so has whom to slow down
(`door_settings`).

It must not know where the settings come from. Whoever reads them from a file (`reading`) adds the
file, the line and the place to what is refused here.
"""

import enum
import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec.structs import force_setattr

from mailkeep.site.door_settings import DoorSettings
from mailkeep.site.endpoint import Endpoint, Networks
from mailkeep.site.errors import InvalidSetting
from mailkeep.site.login_settings import Login, Oauth
from mailkeep.values import Address, InvalidAddress

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
"""RFC 1123 section 2.1; the last label is never all digits, so an IP address is no hostname."""

_PLACEHOLDER = re.compile(r"\{(domain|local)\}")
_NOT_KEPT_APART = re.compile(r"\{domain\}[\w.-]*\{local\}|\{local\}[\w.-]*\{domain\}")
"""Between them only what a domain may have: a@b.example.com and a.b@example.com would be one."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[int, msgspec.Meta(ge=0)]


class Service(enum.Enum):
    """What a listener speaks."""

    POP3S = "pop3s"
    """TLS from the first byte (RFC 8314 section 3.2)."""
    POP3 = "pop3"
    """STLS first (RFC 2595 section 4)."""
    METRICS = "metrics"
    """Figures for Prometheus over HTTP, nothing secret; not for the outside."""


class TlsVersion(enum.Enum):
    """The oldest TLS that is spoken; older ones are forbidden by RFC 8996."""

    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One listener: `[[listen]]`."""

    service: Service
    """`pop3s`, `pop3` or `metrics`."""
    address: Endpoint
    """`"0.0.0.0:995"`, `"[::]:995"`; port 0 takes a free one."""
    allow: Networks = Networks(("0.0.0.0/0", "::/0"))
    """Who may connect at all; everybody unless set."""
    cleartext_from: Networks = Networks(())
    """Who may log in without TLS, on `pop3` only; nobody unless set."""
    proxy_from: Networks = Networks(())
    """Which proxies begin each connection with the PROXY protocol; nobody unless set."""

    def __post_init__(self) -> None:
        if not self.allow:
            raise InvalidSetting(
                "nobody could connect", key="allow", hint="leave `allow` out to let everybody in"
            )
        if self.cleartext_from and self.service is Service.POP3S:
            raise InvalidSetting(
                "there is no login without TLS on pop3s",
                key="cleartext_from",
                hint='remove it, or set it on a listener with service = "pop3"',
            )
        if self.service is Service.METRICS and (self.cleartext_from or self.proxy_from):
            raise InvalidSetting(
                "nobody logs in on metrics",
                key="cleartext_from" if self.cleartext_from else "proxy_from",
                hint="remove it",
            )


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server's certificate: `[tls]`. Relative paths start at the site's folder."""

    certificate: Path = Path("tls/server.pem")
    """The chain, the server's own certificate first."""
    key: Path = Path("tls/server.key")
    """Its private key, without a passphrase."""
    minimum: TlsVersion = TlsVersion.TLS_1_2
    """The oldest TLS that is spoken."""
    client_ca: Path | None = None
    """Authorities whose client certificates may log in with EXTERNAL; nobody's unless set."""


class Maildrops(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the mail is: `[maildrops]`."""

    path: str = "mail/{domain}/{local}"
    """One Maildir an account. Relative paths start at the site's folder."""

    def __post_init__(self) -> None:
        rest = _PLACEHOLDER.sub("", self.path)
        if "{" in rest or "}" in rest or "\0" in rest:
            raise InvalidSetting("only {domain} and {local} can be filled in", key="path")
        if "{local}" not in self.path:
            raise InvalidSetting(
                "two accounts would share one maildrop",
                key="path",
                hint='have {local} in it: "mail/{domain}/{local}"',
            )
        if _NOT_KEPT_APART.search(self.path):
            raise InvalidSetting(
                "two accounts could share one maildrop",
                key="path",
                hint="have / or @ between {domain} and {local}",
            )


class LogStyle(enum.Enum):
    """How the log on standard error looks."""

    HUMAN = "human"
    JSON = "json"


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written besides the audit trail: `[log]`."""

    style: LogStyle = LogStyle.HUMAN
    """`human`: key=value lines; `json`: one JSON object a line."""
    failed_logins: str = ""
    """A file for lines that fail2ban's stock filter `courier-auth` understands, or `syslog`."""


class Serve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How mail is served: `[serve]`."""

    workers: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """Processes that serve mail, each on a core; 0 for one a core. With 1 all is one process."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much and how long: `[limits]`. 0 switches a limit off."""

    connections: Count = 10_000
    """At a time. An idle session costs up to 48 KiB, so this many stay under 500 MiB; the server
    also keeps it under half of the process's limit of descriptors."""
    tls_handshake_s: Seconds = 10
    """Two round trips and a signature; ten seconds carry them over a satellite link with losses."""
    credentials_s: Seconds = 60
    """Until a whole name and password have arrived; bytes do not extend it, so that one byte a
    minute cannot hold a connection."""
    opening_s: Seconds = 50
    """For a maildrop, counted after the credentials: Outlook waits 60 s for an answer unless told
    otherwise, and an answer that says "try again" must reach it before."""
    idle_s: Seconds = 600
    """RFC 1939 section 3: an inactivity timer must be of at least ten minutes."""
    takeover_after_s: Seconds = 60
    """A session silent for so long gives its maildrop up to a new login with the same password: a
    telephone that changed networks does not come back for its old connection."""
    output_stall_s: Seconds = 60
    """Without progress while output waits: the peer is gone or does not read."""
    output_rate_window_s: Seconds = 300
    """Over which `output_rate_octets_per_s` is taken, so that a pause of a minute is forgiven."""
    output_rate_octets_per_s: Count = 1024
    """A tenth of what GSM data calls gave; slower is a client that holds memory on purpose."""
    dead_peer_s: Seconds = 60
    """Until TCP gives up a peer that acknowledges nothing (RFC 5482)."""
    bad_commands_before_login: Count = 10
    """In a row. A client that probes for capabilities makes three or four."""
    bad_commands_after_login: Count = 20
    """In a row. Old clients try XTND, LAST and the like on each message; strangers are gone."""
    password_checks_waiting: Count = 200
    """At 40 ms each the last one waits 8 s on one core, within a client's patience."""
    password_memory_s: Seconds = 300
    """How long a right password is remembered: most programs look every five minutes or sooner. 0
    remembers none."""
    connections_per_prefix: Count = 30
    """At a time, before and after login, from an IPv4 address or an IPv6 /64: an office behind one
    address fits, and one attacker is far from having them all."""
    connections_per_account: Count = 10
    """Logged in or about to be, at a time; one of them has the maildrop."""
    login_delay_s: Seconds = 0
    """Between two logins of an account (RFC 2449 section 6.5); 0 asks for none."""
    refusal_ms: Count = 250
    """No refused login is answered sooner: longer than any password hash takes on an idle machine,
    so that a refusal does not tell which one was computed."""
    shutdown_s: Seconds = 30
    """For a body or a commit under way at the end; the shipped unit has systemd kill after 45 s."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that `mailkeep.toml` can say."""

    hostname: str
    """The name that clients connect to, and that the site's own certificate is made for."""
    default_domain: str = ""
    """What a name without a domain belongs to; the hostname unless set."""
    utf8: bool = False
    """Whether clients may ask for internationalised messages as they are (RFC 6856); without it
    every message is sent as it is, as POP3 always did."""
    listen: tuple[Listen, ...] = (
        Listen(service=Service.POP3S, address=Endpoint("0.0.0.0", 995)),  # noqa: S104  # a server
        Listen(service=Service.POP3S, address=Endpoint("::", 995)),
    )
    tls: Tls = Tls()
    maildrops: Maildrops = Maildrops()
    serve: Serve = Serve()
    login: Login = Login()
    oauth: Oauth | None = None
    door: DoorSettings = DoorSettings()
    log: Log = Log()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        force_setattr(self, "hostname", _checked_hostname(self.hostname))
        force_setattr(self, "default_domain", _checked_domain(self.default_domain or self.hostname))
        if not self.listen:
            raise InvalidSetting(
                "nobody could connect",
                key="listen",
                hint="leave `listen` out for pop3s on every address",
            )
        taken: set[Endpoint] = set()
        for place, listener in enumerate(self.listen):
            if listener.address in taken:
                raise InvalidSetting(
                    f'"{listener.address}" is taken by an earlier [[listen]]',
                    key=f"listen[{place}].address",
                )
            if listener.address.port:
                taken.add(listener.address)

    def has_own_maildrop(self, address: Address) -> bool:
        """Tell whether no other address can have the maildrop of this one.

        Without `{domain}` in the path alice@one and alice@two would read each other's mail, so
        such a site has accounts of its default domain only.
        """
        return "{domain}" in self.maildrops.path or address.domain == self.default_domain


def _checked_hostname(text: str) -> str:
    name = text.lower().removesuffix(".")
    if not _HOSTNAME.fullmatch(name):
        raise InvalidSetting(
            f'"{text}" is not a hostname',
            key="hostname",
            hint='write a name such as "mail.example.com"; an international one as "xn--..."',
        )
    return name


def _checked_domain(text: str) -> str:
    try:
        return Address.parse(f"postmaster@{text}", default_domain="").domain
    except InvalidAddress:
        raise InvalidSetting(
            f'"{text}" is not a domain',
            key="default_domain",
            hint='write a name such as "example.com", or leave it out to use the hostname',
        ) from None
