"""What is wrong with `fetch.toml` is said in one line: file, line, place, and a next step."""

import base64
import contextlib
import os
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.account import Transport
from mailkeep.fetch.failures import FetchExit, WrongSettings
from mailkeep.fetch.job import Job
from mailkeep.fetch.policy import Initial, Larger, Policy
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
)
from mailkeep.fetch.settings import (
    SUBCOMMANDS,
    FetchSettings,
    parse_pin,
    parse_settings,
    read_settings,
    settings_path,
    state_folder,
)

URL = 'url = "pop3s://alice@mail.example.com"\n'
LEAST = URL + 'to = "maildir:/m"\n'
CLEAR = 'url = "pop3://alice@{}"\nto = "maildir:/m"\n'
OAUTH = (
    '[accounts.x.oauth]\nendpoint = "https://login.example.net/token"\n'
    'client_id = "id"\nrefresh_token_file = "/t"\n'
)


def read(account: str) -> Job:
    return parse_settings("[accounts.x]\n" + account, source="fetch.toml").jobs[0]


def refusal(text: str) -> WrongSettings:
    with pytest.raises(WrongSettings) as caught:
        parse_settings(text, source="fetch.toml")
    assert caught.value.code is FetchExit.WRONG
    return caught.value


def refusal_of(account: str) -> str:
    """Return what is said of an account, with its hint."""
    refused = refusal("[accounts.x]\n" + account)
    return f"{refused} | {refused.hint}"


def test_url_and_destination_are_enough() -> None:
    """Everything else has a safe default: TLS verified, all fetched, nothing deleted."""
    job = read(LEAST)
    assert (job.label, job.account.name) == ("x", "alice@mail.example.com")
    assert (job.account.transport, job.account.port) == (Transport.TLS, 995)
    assert job.account.tls.minimum is ssl.TLSVersion.TLSv1_2
    assert (job.account.mechanism, job.account.timeout_s) == (None, 60.0)
    assert job.policy == Policy()
    assert job.secret == Prompt()
    assert (job.destinations, job.recipient, job.every_s) == (("maildir:/m",), None, None)


def test_every_key_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of the documentation mean what it says."""
    monkeypatch.setenv("HOME", "/home/alice")
    pin = "5a:" * 31 + "5a"
    settings = parse_settings(
        'parallel = 7\nstate = "~/state"\n[accounts.private]\n'
        + URL
        + 'to = ["maildir:~/Mail/alice", "lmtp:localhost:24"]\n'
        'password_command = ["pass", "mail/alice"]\ndelete_after = "14d"\ninitial = "last:5"\n'
        'larger_than = "20M"\nlarger = "headers"\nlimit = "100M"\nevery = "5m"\ntimeout = 9\n'
        'auth = "scram-sha-256"\nca = "/ca.pem"\nminimum = "TLSv1.3"\nrecipient = "a@example.com"\n'
        f'pins = ["{pin}"]\nclient_certificate = "~/c.pem"\nclient_key = "/k.pem"\n'
        "hides_read_mail = true\nenabled = true\n",
        source="fetch.toml",
    )
    job = settings.jobs[0]
    assert (settings.parallel, settings.state) == (7, Path("/home/alice/state"))
    assert job.destinations == ("maildir:/home/alice/Mail/alice", "lmtp:localhost:24")
    assert job.secret == SecretCommand(("pass", "mail/alice"))
    assert job.policy == Policy(
        delete_after_s=14 * 86_400,
        initial=Initial.LAST,
        initial_amount=5,
        larger_than=20 << 20,
        larger=Larger.HEADERS,
        limit_octets=100 << 20,
    )
    tls = job.account.tls
    assert (tls.authorities, tls.pins, tls.minimum) == (
        Path("/ca.pem"),
        (b"\x5a" * 32,),
        ssl.TLSVersion.TLSv1_3,
    )
    assert (tls.certificate, tls.key) == (Path("/home/alice/c.pem"), Path("/k.pem"))
    assert (job.account.mechanism, job.account.timeout_s) == ("SCRAM-SHA-256", 9.0)
    assert (job.account.hides_read_mail, job.recipient, job.every_s) == (
        True,
        "a@example.com",
        300,
    )


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ('password_command = ["pass", "x"]', SecretCommand(("pass", "x"))),
        ('password_file = "/p"', SecretFile(Path("/p"))),
        ('credential = "private"', SystemdCredential("private")),
        ("keyring = true", Keyring("mail.example.com")),
        ('keyring = "mail"', Keyring("mail")),
        ("keyring = false", Prompt()),
        ("netrc = true", Netrc(None)),
        ('netrc = "/n"', Netrc(Path("/n"))),
        ('token_command = ["oama", "access"]', TokenCommand(("oama", "access"))),
        (
            OAUTH + 'client_secret_file = "/s"\nscope = "pop"\nca = "/c"\n',
            OAuthRefresh(
                "https://login.example.net/token",
                "id",
                SecretFile(Path("/s")),
                SecretFile(Path("/t")),
                "pop",
                Path("/c"),
            ),
        ),
        (
            OAUTH,
            OAuthRefresh(
                "https://login.example.net/token", "id", None, SecretFile(Path("/t")), None
            ),
        ),
    ],
)
def test_every_source_of_a_secret_can_be_set(line: str, source: SecretSource) -> None:
    """One key says where the secret is."""
    assert read(LEAST + line).secret == source


@pytest.mark.parametrize(
    ("line", "policy"),
    [
        ("keep = true", Policy()),
        ("delete = true", Policy(delete=True)),
        ("keep = false\ndelete = true", Policy(delete=True)),
        ('delete_after = "2w"', Policy(delete_after_s=14 * 86_400)),
        ("keep_newest = 100", Policy(keep_newest=100)),
        ('initial = "30d"', Policy(initial=Initial.NEWER, initial_amount=30 * 86_400)),
    ],
)
def test_every_policy_can_be_set(line: str, policy: Policy) -> None:
    """One key says what becomes of the mail on the server."""
    assert read(LEAST + line).policy == policy


def test_gmail_hides_what_was_read_unless_the_settings_know_better() -> None:
    """S-37: Gmail lists a part of the mailbox in each session."""
    gmail = 'url = "pop3s://a@pop.gmail.com"\nto = "maildir:/m"\n'
    assert read(gmail).account.hides_read_mail
    assert not read(gmail + "hides_read_mail = false").account.hides_read_mail


@pytest.mark.parametrize("key", ["password", "passwd", "secret", "token"])
def test_a_password_in_the_file_is_refused_and_not_repeated(key: str) -> None:
    """A file with a password is copied and shown where nobody watches; the hint says what to do."""
    said = refusal_of(LEAST + f'{key} = "hunter2"\n')
    assert said.startswith(f"fetch.toml:4: accounts.x.{key}: unknown key")
    assert "password_command or password_file" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("key", ["client_secret", "refresh_token"])
def test_a_secret_in_the_oauth_table_is_refused_and_not_repeated(key: str) -> None:
    """The same for what a token is had with."""
    said = refusal_of(LEAST + OAUTH + f'{key} = "hunter2"\n')
    assert said.startswith(f"fetch.toml:8: accounts.x.oauth.{key}: unknown key")
    assert "refresh_token_file" in said
    assert "hunter2" not in said


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    """The same for a URL."""
    said = refusal_of('url = "pop3s://alice:hunter2@mail.example.com"\nto = "maildir:/m"\n')
    assert said.startswith("fetch.toml:2: accounts.x.url: a password in a URL")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (LEAST + "delte = true", "fetch.toml:4: accounts.x.delte: unknown key | did you mean"),
        (LEAST + "parallel = 2", "`parallel` belongs above the first table"),
        (LEAST + "colour = 1", "known here: url, to, password_command"),
        (LEAST + 'endpoint = "x"', "`endpoint` belongs under [accounts.NAME.oauth]"),
        (URL, "accounts.x.to: this key is missing | add to ="),
        ('to = "maildir:/m"\n', "accounts.x.url: this key is missing | add url ="),
        (LEAST + "timeout = 0.5", ":4: accounts.x.timeout: expected a whole number, got"),
        (LEAST + "timeout = 0", ":4: accounts.x.timeout: expected a whole number >= 1"),
        (LEAST + 'password_command = "pass x"', "expected a list, got a text in quotes"),
        (LEAST + "password_command = []", "a command is a program and its arguments"),
        (LEAST + 'larger = "keep"', ':4: accounts.x.larger: unknown choice "keep" | one of "skip"'),
        (LEAST + 'larger = "headers"', "accounts.x.larger: larger than what?"),
        (LEAST + 'minimum = "TLSv1.1"', 'unknown choice "TLSv1.1" | one of "TLSv1.2", "TLSv1.3"'),
        (LEAST + 'insecure = "yes"', 'unknown choice "yes" | true, false or "beyond loopback"'),
        (LEAST + 'limit = "much"', ":4: accounts.x.limit: much is not a size | write 500k"),
        (LEAST + 'limit = "0"', "a limit of nothing"),
        (LEAST + 'every = "0s"', "accounts.x.every: no server stands"),
        (LEAST + 'initial = "some"', "write all, none, 30d or last:100"),
        (LEAST + "keep_newest = 0", "expected a whole number >= 1"),
        (LEAST + "keep = false", "accounts.x.keep: when is mail to be deleted?"),
        (LEAST + "keep = true\ndelete = true", ":5: accounts.x.delete: `keep` says otherwise"),
        (LEAST + 'delete = true\ndelete_after = "1d"', "`delete` says otherwise"),
        (LEAST + 'netrc = true\npassword_file = "/p"', "accounts.x.netrc: `password_file` is"),
        (LEAST + "keyring = true\n" + OAUTH, "accounts.x.oauth: `keyring` is there already"),
        (LEAST + 'keyring = ""', "the keyring knows no service"),
        (LEAST + 'credential = "../x"', 'accounts.x.credential: "../x" is no name'),
        (LEAST + 'password_file = "p"', '"p" is not an absolute path | begin with / or ~/'),
        (LEAST + 'auth = "XOAUTH2"', "XOAUTH2 does not go with this kind of secret"),
        (LEAST + 'auth = "PLAIN"\n' + OAUTH, "PLAIN does not go with this kind of secret"),
        (LEAST + 'auth = "PLAIN\\r\\nQUIT"', "is no name of a mechanism"),
        (LEAST + 'pins = ["abc"]', ":4: accounts.x.pins: abc is no SHA-256"),
        (LEAST + 'client_key = "/k"', "there is no client_certificate for it"),
        (LEAST + 'recipient = "a@b>\\r\\nRCPT TO:<c@d"', "is no address"),
        (URL + "to = []", "an account needs a destination"),
        (URL + 'to = "/m"', '"/m" is no destination | write "maildir:'),
        (URL + 'to = "maildir:Mail"', '"Mail" is not an absolute path'),
        (URL + 'to = ["dir:/m", "dir:/m"]', "the same destination is there twice"),
        ('url = "imap://a@b"\nto = "dir:/m"', ":2: accounts.x.url: imap://a@b is no POP3 URL"),
        (LEAST + OAUTH.replace("https", "http"), ":5: accounts.x.oauth.endpoint: the token"),
        (LEAST + OAUTH.replace('"id"', "1"), ":6: accounts.x.oauth.client_id: expected a text"),
        (LEAST + '[accounts.x.oauth]\nclient_id = "i"', "oauth.endpoint: this key is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_its_place(account: str, words: str) -> None:
    """File, line, place, and what to do: nobody has to look for it."""
    assert words in refusal_of(account)


def test_what_is_wrong_in_an_account_with_an_odd_name_has_its_line() -> None:
    """TOML wants quotes around a name with a dot."""
    text = f'[accounts.a]\n{LEAST}[accounts."b.c@d"]\n{LEAST}delte = true\n'
    assert str(refusal(text)) == "fetch.toml:7: accounts.b.c@d.delte: unknown key"


def test_a_file_that_is_not_toml_says_where() -> None:
    """The parser's line."""
    assert str(refusal("parallel = 4\nstate = \n")).startswith("fetch.toml:2: not TOML: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parallel = 0", "fetch.toml:1: parallel: expected a whole number >= 1"),
        ("paralel = 2", "fetch.toml:1: paralel: unknown key"),
        ('state = "here"', 'fetch.toml:1: state: "here" is not an absolute path'),
        ("accounts = 1", "fetch.toml:1: accounts: expected a table"),
        ("[accounts]\nx = 1", "fetch.toml:2: accounts.x: expected a table, got a whole number"),
    ],
)
def test_what_is_wrong_at_the_top_is_said_too(text: str, words: str) -> None:
    """The same for the keys above the accounts."""
    assert str(refusal(text)).startswith(words)


@pytest.mark.parametrize("name", sorted(SUBCOMMANDS))
def test_an_account_is_not_called_like_a_command(name: str) -> None:
    """`mailkeep fetch status` has one meaning."""
    assert f"fetch.toml:1: accounts.{name}: " in str(refusal(f"[accounts.{name}]\n{LEAST}"))


@pytest.mark.parametrize("name", ["a b", "", "ä", "../x", "-x", "a/b", "x" * 65, r"a\nb"])
def test_an_account_has_a_name_that_can_be_typed(name: str) -> None:
    """Letters, digits and `-_.@`, and nothing that looks like an option."""
    assert "letters, digits" in str(refusal(f'[accounts."{name}"]\n{LEAST}'))


@pytest.mark.parametrize("name", ["private", "a-b_c.d@e", "alice@mail.example.com", "7"])
def test_an_account_may_be_called_like_an_address(name: str) -> None:
    """What people call their accounts."""
    text = f'[accounts."{name}"]\n{LEAST}'
    assert [job.label for job in parse_settings(text, source="f").jobs] == [name]


def test_two_accounts_are_never_one_mailbox() -> None:
    """They would share a journal: one would think that the other's mail is its own."""
    twin = 'url = "pop3://alice@MAIL.example.com."\nto = "dir:/n"\n'
    text = f"[accounts.one]\n{LEAST}[accounts.two]\n{twin}"
    assert str(refusal(text)) == (
        "fetch.toml:5: accounts.two.url: alice@mail.example.com is fetched as `one` already"
    )


def test_an_account_that_is_switched_off_is_checked_and_named() -> None:
    """Its mistakes are told before somebody switches it on."""
    off = f"[accounts.off]\n{LEAST}enabled = false\n"
    settings = parse_settings(off, source="f")
    assert (settings.jobs, settings.disabled) == ((), ("off",))
    assert "not a time" in str(refusal(off + 'every = "x"\n'))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_clear_text_goes_to_loopback_only(host: str) -> None:
    """`insecure = true`: nobody can listen there."""
    account = read(CLEAR.format(host) + "insecure = true").account
    assert (account.transport, account.may_be_clear) == (Transport.CLEARTEXT, False)


def test_clear_text_to_another_host_needs_more_words() -> None:
    """One word is not enough to send a password over a network."""
    clear = CLEAR.format("mail.example.com")
    assert "could be read on the way to mail.example.com" in refusal_of(clear + "insecure = true")
    account = read(clear + 'insecure = "beyond loopback"').account
    assert (account.transport, account.may_be_clear) == (Transport.CLEARTEXT, True)


def test_pop3_without_more_words_is_stls() -> None:
    """`pop3://` means STLS or nothing."""
    assert read(CLEAR.format("127.0.0.1")).account.transport is Transport.STLS
    assert read(CLEAR.format("h.example") + "insecure = false").account.transport is Transport.STLS


def test_insecure_contradicts_tls() -> None:
    """Who writes pins or pop3s:// believes that there is TLS."""
    assert "pop3:// only" in refusal_of(LEAST + "insecure = true")
    clear = CLEAR.format("127.0.0.1") + "insecure = true\n"
    assert "accounts.x.ca: this says nothing without TLS" in refusal_of(clear + 'ca = "/c"')


OCTETS = bytes(range(32))


@pytest.mark.parametrize(
    "text",
    [
        OCTETS.hex(),
        OCTETS.hex(":").upper(),
        "SHA256:" + OCTETS.hex(),
        base64.b64encode(OCTETS).decode(),
        base64.b64encode(OCTETS).decode().rstrip("="),
        "sha256//" + base64.b64encode(OCTETS).decode(),
        "sha256=" + OCTETS.hex(":"),
    ],
)
def test_pins_are_read_as_tools_print_them(text: str) -> None:
    """Openssl, browsers and curl each write a SHA-256 in their way."""
    assert parse_pin(text) == OCTETS


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "AAAA", "a:b", "ä" * 43])
def test_what_is_no_sha256_is_no_pin(text: str) -> None:
    """A pin cut short would match nothing, or too much."""
    with pytest.raises(WrongSettings, match="no SHA-256"):
        parse_pin(text)


@given(st.binary(min_size=32, max_size=32))
def test_every_sha256_is_a_pin(octets: bytes) -> None:
    """Whatever the octets, in every form: base64 of some looks nearly like hexadecimal digits."""
    assert parse_pin(octets.hex()) == octets
    assert parse_pin(octets.hex(":")) == octets
    assert parse_pin(base64.b64encode(octets).decode()) == octets


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Either settings or one line, whatever somebody typed."""
    for whole in (text, f"[accounts.x]\n{LEAST}{text}", f'[accounts.x]\nurl = "{text}"\nto = "x"'):
        with contextlib.suppress(WrongSettings):
            assert isinstance(parse_settings(whole, source="f"), FetchSettings)


class TestTheFile:
    """`fetch.toml` names commands that are run, so nobody else may write it."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "fetch.toml"
        path.write_text("[accounts.x]\n" + LEAST)
        path.chmod(0o644)
        return path

    def test_everybody_may_read_it(self, path: Path) -> None:
        """It holds no secret."""
        assert [job.label for job in read_settings(path).jobs] == ["x"]

    @pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o622])
    def test_it_is_refused_if_others_can_change_it(self, path: Path, mode: int) -> None:
        """Who can write a command here runs it as us."""
        path.chmod(mode)
        with pytest.raises(WrongSettings, match=rf"can be changed by others \(mode {mode:04o}\)"):
            read_settings(path)

    def test_what_a_link_leads_to_is_checked(self, path: Path) -> None:
        """A link has no mode that says anything (dotfiles are often links)."""
        link = path.with_name("link.toml")
        link.symlink_to(path)
        assert read_settings(link).jobs
        path.chmod(0o666)
        with pytest.raises(WrongSettings, match="changed by others"):
            read_settings(link)

    @pytest.mark.root
    def test_it_is_refused_if_it_is_somebody_elses(self, path: Path) -> None:
        """Its owner can change it at any time."""
        os.chown(path, 65534, -1)
        with pytest.raises(WrongSettings, match="belongs to somebody else"):
            read_settings(path)

    def test_a_missing_one_says_how_to_go_on(self, tmp_path: Path) -> None:
        """The first thing that a new user meets."""
        with pytest.raises(WrongSettings, match="does not exist") as caught:
            read_settings(tmp_path / "none.toml")
        assert caught.value.hint is not None
        assert "--to maildir:" in caught.value.hint

    def test_octets_that_are_no_text_say_their_line(self, path: Path) -> None:
        """TOML is UTF-8."""
        path.write_bytes(b"parallel = 4\n# gr\xfc\xdfe\n")
        with pytest.raises(WrongSettings, match=r"fetch\.toml:2: this is not UTF-8"):
            read_settings(path)

    def test_a_huge_one_is_refused(self, path: Path) -> None:
        """It is read into memory."""
        path.write_bytes(b"#" * ((1 << 20) + 1))
        with pytest.raises(WrongSettings, match="larger than 1048576 octets"):
            read_settings(path)

    def test_line_ends_of_windows_are_fine(self, path: Path) -> None:
        """TOML allows CRLF."""
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert read_settings(path).jobs


@pytest.mark.parametrize(
    ("environment", "config", "state"),
    [
        ({"HOME": "/h"}, "/h/.config", "/h/.local/state"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}, "/c", "/s"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "s"}, "/h/.config", None),
    ],
)
def test_places_are_those_of_the_desktop(
    environment: dict[str, str], config: str, state: str | None
) -> None:
    """XDG Base Directory Specification: an empty or relative variable counts as not set."""
    assert settings_path(environment) == Path(config, "mailkeep", "fetch.toml")
    assert state_folder(environment, None) == Path(state or "/h/.local/state", "mailkeep/fetch")
    assert state_folder(environment, Path("/said")) == Path("/said")
