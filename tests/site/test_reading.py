"""What is wrong with a settings file is said in one line: file, line, place, and a next step."""

from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.site import (
    Answer,
    DoorSettings,
    Endpoint,
    Log,
    Login,
    LogStyle,
    MainPassword,
    Networks,
    Oauth,
    PolicyServerFails,
    Service,
    SettingsError,
    TlsVersion,
    parse_settings,
)

HOST = 'hostname = "mail.example.com"\n'
POP3S = '[[listen]]\nservice = "pop3s"\naddress = "127.0.0.1:9950"\n'
METRICS = '[[listen]]\nservice = "metrics"\naddress = "127.0.0.1:9110"\n'
POP3 = '[[listen]]\nservice = "pop3"\naddress = "127.0.0.1:1110"\n'


def refusal(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, source="mailkeep.toml")
    return caught.value


def test_every_key_of_the_design_is_read() -> None:
    """The example of the documentation means what it says."""
    settings = parse_settings(
        HOST
        + 'default_domain = "Example.COM"\n'
        + POP3S
        + POP3
        + 'allow = ["10.0.0.0/8", "192.0.2.7"]\ncleartext_from = ["10.1.0.0/16"]\n'
        + '[tls]\ncertificate = "/etc/x.pem"\nkey = "tls/x.key"\nminimum = "TLSv1.3"\n'
        + '[maildrops]\npath = "/srv/mail/{domain}/{local}/Maildir"\n'
        + "[limits]\nconnections = 7\nidle_s = 0\n",
        source="mailkeep.toml",
    )
    pop3s, pop3 = settings.listen
    assert settings.hostname == "mail.example.com"
    assert settings.default_domain == "example.com"
    assert (pop3s.service, pop3s.address) == (Service.POP3S, Endpoint("127.0.0.1", 9950))
    assert ip_address("198.51.100.1") in pop3s.allow
    assert ip_address("192.0.2.7") in pop3.allow
    assert ip_address("192.0.2.8") not in pop3.allow
    assert ip_address("10.1.2.3") in pop3.cleartext_from
    assert settings.tls.certificate == Path("/etc/x.pem")
    assert settings.tls.minimum is TlsVersion.TLS_1_3
    assert settings.maildrops.path == "/srv/mail/{domain}/{local}/Maildir"
    assert (settings.limits.connections, settings.limits.idle_s) == (7, 0)


def test_every_key_of_the_door_and_its_record_is_read() -> None:
    """No key is taken and not understood."""
    settings = parse_settings(
        HOST
        + "utf8 = true\n"
        + POP3S
        + 'proxy_from = ["192.0.2.1", "2001:db8::/64"]\n'
        + METRICS
        + '[tls]\nclient_ca = "ca.pem"\n'
        + '[login]\nmain_password = "devices_only"\nminimum_length = 8\n'
        + 'breached_passwords = "/srv/breached"\nscram_main = true\nscram_plus = true\n'
        + "scram_iterations = 600000\nstale_after_d = 0\ndisable_stale_after_d = 365\n"
        + '[oauth]\nissuer = "https://id.example.com"\naudience = "mail"\n'
        + 'introspection = "https://id.example.com/ask"\nalgorithms = ["PS256"]\n'
        + 'client_id = "mx"\nclient_secret_file = "secret"\nscope = "pop"\n'
        + 'name_claim = "upn"\nconfiguration = "https://id.example.com/.well-known/x"\n'
        + '[door]\nallow = ["10.1.0.0/16"]\nbans_file = "bans"\nplaces = "p.mmdb"\n'
        + 'new_country = "refuse"\nfast_travel = "off"\npolicy_server = "http://127.0.0.1:8084/"\n'
        + 'policy_server_key = "key"\npolicy_server_fails = "closed"\n'
        + '[log]\nstyle = "json"\nfailed_logins = "syslog"\n'
        + "[limits]\nconnections_per_prefix = 1\nconnections_per_account = 2\n"
        + "login_delay_s = 3\nrefusal_ms = 4\n",
        source="mailkeep.toml",
    )
    pop3s, metrics = settings.listen
    assert settings.utf8
    assert ip_address("2001:db8::5") in pop3s.proxy_from
    assert ip_address("192.0.2.2") not in pop3s.proxy_from
    assert metrics.service is Service.METRICS
    assert settings.tls.client_ca == Path("ca.pem")
    assert settings.login == Login(
        main_password=MainPassword.DEVICES_ONLY,
        minimum_length=8,
        breached_passwords=Path("/srv/breached"),
        scram_main=True,
        scram_plus=True,
        scram_iterations=600_000,
        stale_after_d=0,
        disable_stale_after_d=365,
    )
    assert settings.oauth == Oauth(
        issuer="https://id.example.com",
        audience="mail",
        introspection="https://id.example.com/ask",
        algorithms=("PS256",),
        client_id="mx",
        client_secret_file=Path("secret"),
        scope="pop",
        name_claim="upn",
        configuration="https://id.example.com/.well-known/x",
    )
    assert settings.door == DoorSettings(
        allow=Networks(["10.1.0.0/16"]),
        bans_file=Path("bans"),
        places=Path("p.mmdb"),
        new_country=Answer.REFUSE,
        fast_travel=Answer.OFF,
        policy_server="http://127.0.0.1:8084/",
        policy_server_key=Path("key"),
        policy_server_fails=PolicyServerFails.CLOSED,
    )
    assert settings.log == Log(style=LogStyle.JSON, failed_logins="syslog")
    limits = settings.limits
    assert (limits.connections_per_prefix, limits.connections_per_account) == (1, 2)
    assert (limits.login_delay_s, limits.refusal_ms) == (3, 4)


def test_a_hostname_is_enough() -> None:
    """Everything else has a safe default: TLS from the first byte, nobody in clear text."""
    settings = parse_settings(HOST, source="mailkeep.toml")
    assert settings.default_domain == "mail.example.com"
    assert {listen.service for listen in settings.listen} == {Service.POP3S}
    assert {str(listen.address) for listen in settings.listen} == {"0.0.0.0:995", "[::]:995"}
    assert not any(len(listen.cleartext_from) for listen in settings.listen)
    assert settings.tls.minimum is TlsVersion.TLS_1_2
    assert settings.oauth is None
    assert settings.tls.client_ca is None
    assert not any(len(listen.proxy_from) for listen in settings.listen)
    assert len(settings.door.allow) == 0


def test_an_ipv4_client_that_came_over_ipv6_is_known_by_its_ipv4_address() -> None:
    """RFC 4291 section 2.5.5.2: ::ffff:10.0.0.1 is 10.0.0.1."""
    settings = parse_settings(HOST + POP3 + 'allow = ["10.0.0.0/8"]\n', source="x")
    assert ip_address("::ffff:10.0.0.1") in settings.listen[0].allow
    assert ip_address("::ffff:11.0.0.1") not in settings.listen[0].allow


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ('hostname = "a\n', "mailkeep.toml:1: not TOML: Illegal character", "toml.io"),
        (
            HOST + '[[listen]]\nservce = "pop3s"\naddress = "127.0.0.1:0"\n',
            "mailkeep.toml:3: listen[0].servce: unknown key",
            "did you mean `service`?",
        ),
        (
            HOST + POP3S + POP3 + 'alow = ["10.0.0.0/8"]\n',
            "mailkeep.toml:8: listen[1].alow: unknown key",
            "did you mean `allow`?",
        ),
        (HOST + "[limit]\nidle_s = 3\n", "mailkeep.toml:2: limit: unknown key", "`limits`"),
        (HOST + "idle_s = 3\n", "mailkeep.toml:2: idle_s: unknown key", "under [limits]"),
        (HOST + "[tls]\nhostname = 3\n", "mailkeep.toml:3: tls.hostname: unknown", "first table"),
        (HOST + "[tls]\nzzz = 3\n", "tls.zzz: unknown key", "certificate, key, minimum"),
        ("", "mailkeep.toml: hostname: this key is missing", 'add hostname = "mail.example.com"'),
        (HOST + '[[listen]]\nservice = "pop3"\n', ":2: listen[0].address: this key", "0.0.0.0:995"),
        (
            HOST + '[[listen]]\nservice = "imap"\naddress = "127.0.0.1:0"\n',
            'mailkeep.toml:3: listen[0].service: unknown choice "imap"',
            '"pop3s", "pop3"',
        ),
        (HOST + '[tls]\nminimum = "TLSv1.1"\n', ':3: tls.minimum: unknown choice "TLSv1.1"', "1.2"),
        (HOST + "[limits]\nidle_s = -1\n", ":3: limits.idle_s: expected a whole number >= 0", ""),
        (HOST + '[limits]\nidle_s = "9"\n', ":3: limits.idle_s: expected a whole number, got", ""),
        (HOST + "[limits]\nidle_s = true\n", ":3: limits.idle_s: expected a whole number", ""),
        (HOST + "listen = 3\n", ":2: listen: expected a list, got a whole number", ""),
        (HOST + "listen = []\n", ":2: listen: nobody could connect", "leave `listen` out"),
        (HOST + POP3 + "allow = []\n", ":5: listen[0].allow: nobody could connect", "leave"),
        (HOST + POP3 + "allow = 3\n", ":5: listen[0].allow: expected a list of texts", ""),
        (HOST + POP3 + "allow = [3]\n", ":5: listen[0].allow: expected a list of texts", ""),
        (
            HOST + POP3 + 'allow = ["10.0.0.1/8"]\n',
            'mailkeep.toml:5: listen[0].allow: "10.0.0.1/8" is not a network',
            '"10.0.0.0/8" is the whole network, "10.0.0.1" the one computer',
        ),
        (HOST + POP3 + 'allow = ["lan"]\n', '"lan" is not a network', '"10.0.0.0/8"'),
        (
            HOST + POP3S + 'cleartext_from = ["10.0.0.0/8"]\n',
            "mailkeep.toml:5: listen[0].cleartext_from: there is no login without TLS on pop3s",
            'service = "pop3"',
        ),
        (HOST + POP3S + POP3S, ':7: listen[1].address: "127.0.0.1:9950" is taken', ""),
        (HOST + '[maildrops]\npath = "mail/{user}"\n', ":3: maildrops.path: only {domain}", ""),
        (HOST + '[maildrops]\npath = "mail/{local"\n', ":3: maildrops.path: only {domain}", ""),
        (HOST + '[maildrops]\npath = "m/{domain}"\n', "would share one maildrop", "{local}"),
        (HOST + '[maildrops]\npath = "{local}.{domain}"\n', "could share one maildrop", "/ or @"),
        (HOST + '[maildrops]\npath = "m/{domain}{local}"\n', "could share one maildrop", "/ or @"),
        (HOST + '[maildrops]\npath = "{domain}é-{local}"\n', "could share one maildrop", "/ or @"),
        ('hostname = "192.0.2.1"\n', ':1: hostname: "192.0.2.1" is not a hostname', "mail.example"),
        ('hostname = "münchen.example"\n', ":1: hostname: ", "xn--"),
        ('hostname = ""\n', ":1: hostname: ", "mail.example.com"),
        (HOST + 'default_domain = "a b"\n', ':2: default_domain: "a b" is not a domain', "leave"),
        (HOST + "[tls]\nkey = 3\n", ":3: tls.key: expected a text in quotes", ""),
        (HOST + '[tls]\nkey = ""\n', ':3: tls.key: "" is not a path', ""),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_next_step(
    text: str, line: str, hint: str
) -> None:
    """A typo in the settings: one line, the place, a hint."""
    error = refusal(text)
    assert line in str(error)
    assert "\n" not in str(error)
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("[oauth]\n", ":2: oauth.issuer: this key is missing", 'add issuer = "https://'),
        ('[oauth]\nissuer = "https://a"\n', ":2: oauth.audience: this key is", "add audience = "),
        ('[oauth]\nissuer = ""\naudience = "m"\nkeys = "k"\n', ":3: oauth.issuer: it is", ""),
        ("oauth = 3\n", ":2: oauth: expected a table, got a whole number", "a line [oauth]"),
        ('[[oauth]]\nissuer = "x"\n', ":2: oauth: expected a table, got a list", "line [oauth]"),
        ('[listen]\nservice = "pop3s"\n', ":2: listen: expected a list, got a table", "[[listen]]"),
        ('log = "json"\n', ":2: log: expected a table, got a text in quotes", "a line [log]"),
        ("[login]\nminimum_length = 7\n", ":3: login.minimum_length: expected a whole", ""),
        ("[login]\nminimum_length = 65\n", "expected a whole number <= 64", ""),
        (
            '[login]\nmain_password = "devices-only"\n',
            ':3: login.main_password: unknown choice "devices-only"',
            'one of "allow", "devices_only"',
        ),
        ('[login]\nmain_pasword = "allow"\n', "login.main_pasword: unknown", "`main_password`?"),
        ('main_password = "allow"\n', ":2: main_password: unknown key", "belongs under [login]"),
        ('[login]\nscram_main = "yes"\n', ":3: login.scram_main: expected true or false", ""),
        ("[login]\nscram_plus = 1\n", ":3: login.scram_plus: expected true or false", ""),
        ("[login]\nscram_iterations = 4095\n", ":3: login.scram_iterations: expected a whole", ""),
        ("[login]\nscram_iterations = 600001\n", "expected a whole number <= 600000", ""),
        ("[login]\nstale_after_d = -1\n", ":3: login.stale_after_d: expected a whole number", ""),
        ('[login]\ndisable_stale_after_d = "90d"\n', ":3: login.disable_stale_after_d: ", ""),
        ("[login]\nbreached_passwords = 3\n", ":3: login.breached_passwords: expected a", ""),
        ('[login]\nbreached_passwords = ""\n', '"" is not a path', ""),
        ('[door]\nallow = ["10.0.0.1/8"]\n', ':3: door.allow: "10.0.0.1/8" is not', "the whole"),
        ('[door]\nallow = "10.0.0.0/8"\n', ":3: door.allow: expected a list of texts", ""),
        ('[door]\nnew_country = "warn"\n', ":3: door.new_country: unknown choice", '"alert", "ref'),
        (
            '[door]\nfast_travel = "Refuse"\n',
            ":3: door.fast_travel: unknown",
            'one of "off", "log"',
        ),
        ('[door]\npolicy_server_fails = "close"\n', ":3: door.policy_server_fails: ", '"closed"'),
        ('[door]\nban_file = "bans"\n', ":3: door.ban_file: unknown", "did you mean `bans_file`?"),
        ("[door]\nbans_file = true\n", ":3: door.bans_file: expected a text in quotes", ""),
        ('[door]\nplaces = ""\n', ':3: door.places: "" is not a path', ""),
        ("[door]\npolicy_server_key = 3\n", ":3: door.policy_server_key: expected a text", ""),
        ('[log]\nstyle = "text"\n', ':3: log.style: unknown choice "text"', '"human", "json"'),
        ("[log]\nfailed_logins = true\n", ":3: log.failed_logins: expected a text in quotes", ""),
        ('[log]\nlevel = "debug"\n', ":3: log.level: unknown key", "style, failed_logins"),
        ("[tls]\nclient_ca = 3\n", ":3: tls.client_ca: expected a text in quotes", ""),
        ('utf8 = "yes"\n', ":2: utf8: expected true or false, got a text in quotes", ""),
        ("[limits]\nrefusal_ms = -1\n", ":3: limits.refusal_ms: expected a whole number", ""),
        (
            "[limits]\nlogin_delay = 3\n",
            "login_delay: unknown key",
            "did you mean `login_delay_s`?",
        ),
        ("[limits]\nconnections_per_account = 1.5\n", "expected a whole number, got a number", ""),
        (
            METRICS + 'cleartext_from = ["127.0.0.1"]\n',
            ":5: listen[0].cleartext_from: nobody logs in on metrics",
            "remove it",
        ),
        (METRICS + 'proxy_from = ["127.0.0.1"]\n', ":5: listen[0].proxy_from: nobody", "remove it"),
        (METRICS.replace("metrics", "metric"), ":3: listen[0].service: unknown", '"metrics"'),
        (POP3S + 'proxy_from = ["proxy"]\n', ':5: listen[0].proxy_from: "proxy" is not', "10.0"),
        ('proxy_from = ["10.0.0.1"]\n', ":2: proxy_from: unknown key", "belongs under [[listen]]"),
    ],
)
def test_a_mistake_about_the_door_is_named_with_its_place_and_the_next_step(
    text: str, line: str, hint: str
) -> None:
    """Who may log in, and what is recorded of it, never depends on a word that was misread."""
    error = refusal(HOST + text)
    assert line in str(error)
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    "address",
    [
        *("", ":", "995", ":995", "localhost:995", "*:995", "127.0.0.1", "127.0.0.1:", "::1:995"),
        *("[::1]", "[127.0.0.1]:995", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+5"),
        *("127.0.0.1:9 ", "127.0.0.01:995", "127.0.0.1:٩", "127.0.0.1:000995"),
    ],
)
def test_what_is_no_address_and_port_is_refused(address: str) -> None:
    """A listener never stands anywhere but where its address says."""
    text = HOST + f'[[listen]]\nservice = "pop3"\naddress = "{address}"\n'
    error = refusal(text)
    assert "mailkeep.toml:4: listen[0].address: " in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("192.0.2.1:995", Endpoint("192.0.2.1", 995)),
        ("[::]:0", Endpoint("::", 0)),
        ("[2001:DB8::1]:110", Endpoint("2001:db8::1", 110)),
    ],
)
def test_an_address_is_read_and_written_alike(address: str, endpoint: Endpoint) -> None:
    """What `listening ...` prints can be put into the settings."""
    assert Endpoint.parse(address) == endpoint
    assert Endpoint.parse(str(endpoint)) == endpoint


def test_port_0_may_be_taken_twice() -> None:
    """Each takes a free port of its own."""
    twice = (HOST + POP3S + POP3S).replace("9950", "0")
    assert len(parse_settings(twice, source="x").listen) == 2


def test_a_line_break_in_a_key_does_not_hide_the_place() -> None:
    """A quoted key may hold anything; the place is still told."""
    assert "unknown key" in str(refusal(HOST + '"a\\nb" = 1\n'))


@given(st.text())
def test_any_text_is_settings_or_a_settings_error(text: str) -> None:
    """Whatever the file holds, nothing but `SettingsError` comes out."""
    with suppress(SettingsError):
        parse_settings(text, source="x")


NEW_TABLES = ["[login]\n", "[oauth]\n", "[[oauth]]\n", "[door]\n", "[log]\n"]
NEW_KEYS = ["main_password", "scram_main", "keys", "algorithms", "places", "policy_server", "style"]
_VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(max_size=5).map(lambda t: t.encode().hex())),
    lambda children: st.lists(children, max_size=3),
)


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@given(
    table=st.sampled_from(
        ["", "[[listen]]\n", "[tls]\n", "[maildrops]\n", "[limits]\n", *NEW_TABLES]
    ),
    key=st.sampled_from(
        [
            "address",
            "allow",
            "cleartext_from",
            "key",
            "path",
            "idle_s",
            "listen",
            "oauth",
            *NEW_KEYS,
        ]
    ),
    value=_VALUES,
)
def test_a_value_of_any_type_is_taken_or_refused(table: str, key: str, value: object) -> None:
    """A wrong type in any place is a `SettingsError`, not a trace."""
    with suppress(SettingsError):
        parse_settings(f"{HOST}{table}{key} = {_toml(value)}\n", source="x")


@pytest.mark.parametrize("path", ["{domain}/{local}", "m/{local}@{domain}/Maildir", "{local}"])
def test_paths_that_keep_accounts_apart_are_taken(path: str) -> None:
    """A domain has neither `/` nor `@`, so every path names one address."""
    settings = parse_settings(HOST + f'[maildrops]\npath = "{path}"\n', source="x")
    assert settings.maildrops.path == path
