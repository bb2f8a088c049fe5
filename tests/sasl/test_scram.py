"""SCRAM-SHA-256(-PLUS) from the client's side (RFC 5802, RFC 7677)."""

import base64
import time
from collections.abc import Callable

import pytest
from tests.harness.scram import (
    BINDING,
    CLIENT_FINAL,
    CLIENT_FIRST,
    KEYS,
    NONCE,
    PENCIL,
    SALT,
    SERVER_FINAL,
    SERVER_FIRST,
    SERVER_NONCE,
    first_message,
    log_in,
    scram_client,
)
from tests.harness.shown import variables_shown

from mailkeep.sasl import (
    CHALLENGE_LIMIT_OCTETS,
    ITERATIONS_LIMIT,
    ITERATIONS_MINIMUM,
    STEPS_LIMIT,
    ChannelBinding,
    ClientMechanism,
    CredentialsRefused,
    KeysWanted,
    Login,
    SaslFailed,
    ScramKeys,
    ScramMechanism,
    ScramServer,
    UnusableLogin,
)
from mailkeep.values import Secret


def test_the_client_says_what_the_rfc_prints() -> None:
    """RFC 7677 section 3: the example exchange, octet for octet."""
    client = scram_client()
    assert first_message(client) == CLIENT_FIRST
    assert client.step(SERVER_FIRST) == Secret(CLIENT_FINAL)
    assert client.step(SERVER_FINAL) == Secret(b"")
    client.finish()


R = b"r=rOprNGfwEbeRWgbNEkqO%hv"
S = b"s=W22ZaJ0SNY7soEsUEjb6gQ=="


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b",",
        R,
        R + b"," + S,
        R + b"," + S + b",",
        R + b"," + S + b",i=",
        S + b"," + R + b",i=4096",
        R + b",i=4096," + S,
        b"i=4096," + R + b"," + S,
        b"m=x," + R + b"," + S + b",i=4096",
        R + b"," + S + b",i=4096,m=x",
        R + b"," + S + b",i=4096,i=4096",
        R + b"," + S + b",i=4096,r=x",
        R + b"," + S + b",i=4096,",
        R + b"," + S + b",i=4096,x",
        R + b"," + S + b",i=4096,x=",
        R + b"," + S + b",i=4096,1=x",
        R + b"," + S + b",i=4096,x=\0",
        b" " + R + b"," + S + b",i=4096",
        R.upper() + b"," + S + b",i=4096",
        R + b"\r\n," + S + b",i=4096",
        R + b" ," + S + b",i=4096",
        R + b"\xc3\xa9," + S + b",i=4096",
        R + b"\x7f," + S + b",i=4096",
        b"r=rOprNGfwEbeRWgbNEkqO," + S + b",i=4096",
        b"r=rOprNGfwEbeRWgbNEkq," + S + b",i=4096",
        b"r=rOprNGfwEbeRWgbNEkqo%hv," + S + b",i=4096",
        b"r=%hvrOprNGfwEbeRWgbNEkqO," + S + b",i=4096",
        b"r=," + S + b",i=4096",
        R + b",s=,i=4096",
        R + b",s====,i=4096",
        R + b",s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096",
        R + b",s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096",
        R + b",s=W22Z aJ0S,i=4096",
        R + b",s=W22Z\n,i=4096",
        R + b",s=W2-_,i=4096",
        R + b"," + S + b",i=4096,x=" + b"x" * CHALLENGE_LIMIT_OCTETS,
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ],
)
def test_a_broken_first_message_of_the_server_is_not_answered(challenge: bytes) -> None:
    """RFC 5802 section 5.1: order, nonce, salt and count; `m` is refused; nothing comes twice."""
    client = scram_client()
    client.start()
    with pytest.raises(SaslFailed):
        client.step(challenge)
    _nothing_more(client)


def test_what_is_broken_in_those_messages_is_what_makes_them_fail() -> None:
    """RFC 5802 section 5: the same message unbroken is answered; extensions are ignored."""
    for good in (R + b"," + S + b",i=4096", R + b"," + S + b",i=4096,x=y,Z=a=b"):
        client = scram_client()
        client.start()
        assert client.step(good).reveal().startswith(b"c=biws," + R + b",p=")


@pytest.mark.parametrize(
    "count",
    [
        b"0",
        b"1",
        b"-4096",
        b"+4096",
        b" 4096",
        b"04096",
        b"4096.0",
        b"4_096",
        b"0x1000",
        b"4095",
        b"\xef\xbc\x94096",
        str(ITERATIONS_LIMIT + 1).encode(),
        b"9999999999",
        b"1" + b"0" * 30,
        b"9" * 3000,
    ],
)
def test_a_count_that_is_too_cheap_or_endless_is_not_answered(count: bytes) -> None:
    """S-59, RFC 7677 section 4: 4096 at least, and nobody keeps us busy."""
    client = scram_client()
    client.start()
    before = time.process_time()
    with pytest.raises(SaslFailed, match="iteration"):
        client.step(R + b"," + S + b",i=" + count)
    assert time.process_time() - before < 0.5


def test_the_counts_at_both_ends_are_answered() -> None:
    """S-59: the limits themselves are allowed."""
    for count in (ITERATIONS_MINIMUM, ITERATIONS_LIMIT):
        client = scram_client()
        client.start()
        assert client.step(R + b"," + S + b",i=%d" % count).reveal().startswith(b"c=biws,")


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"v=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
        b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        b"v=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=" + base64.b64encode(bytes(32)),
        SERVER_FINAL + b"\r\n",
        SERVER_FINAL + b",v=x",
        SERVER_FINAL + b",m=x",
        SERVER_FINAL + b",",
        b"m=x," + SERVER_FINAL,
        b" " + SERVER_FINAL,
        SERVER_FIRST,
        SERVER_FINAL + b",x=" + b"x" * CHALLENGE_LIMIT_OCTETS,
    ],
)
def test_a_server_without_the_right_signature_is_not_trusted(challenge: bytes) -> None:
    """RFC 5802 section 5.1, `v`: the client MUST check it."""
    client = scram_client()
    client.start()
    client.step(SERVER_FIRST)
    with pytest.raises(SaslFailed):
        client.step(challenge)
    _nothing_more(client)


@pytest.mark.parametrize("octet", range(len(b"v="), len(SERVER_FINAL)))
def test_every_octet_of_the_signature_counts(octet: int) -> None:
    """RFC 5802 section 5.1, `v`: one other octet anywhere is another signature."""
    wrong = bytearray(SERVER_FINAL)
    wrong[octet] = ord("A") if wrong[octet] != ord("A") else ord("B")
    client = scram_client()
    client.start()
    client.step(SERVER_FIRST)
    with pytest.raises(SaslFailed, match="signature"):
        client.step(bytes(wrong))


def test_ok_without_the_signature_is_no_login() -> None:
    """S-59: a server that says +OK at any earlier point has proved nothing."""
    client = scram_client()
    with pytest.raises(SaslFailed):
        client.finish()
    client.start()
    with pytest.raises(SaslFailed):
        client.finish()
    client.step(SERVER_FIRST)
    with pytest.raises(SaslFailed):
        client.finish()
    client.step(SERVER_FINAL)
    client.finish()


def test_there_are_two_challenges_and_no_third() -> None:
    """S-59: no server asks for ever; STEPS_LIMIT has these two and the empty one before."""
    client = scram_client()
    client.start()
    for challenge in (SERVER_FIRST, SERVER_FINAL):
        client.step(challenge)
    with pytest.raises(SaslFailed):
        client.step(SERVER_FINAL)
    _nothing_more(client)
    assert len((b"", SERVER_FIRST, SERVER_FINAL)) == STEPS_LIMIT


def _nothing_more(client: ClientMechanism) -> None:
    """After a failure neither a right message nor +OK mends it."""
    for challenge in (SERVER_FIRST, SERVER_FINAL, b""):
        with pytest.raises(SaslFailed):
            client.step(challenge)
    with pytest.raises(SaslFailed):
        client.finish()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (b"e=invalid-proof", CredentialsRefused),
        (b"e=unknown-user", CredentialsRefused),
        (b"e=invalid-proof,x=y", CredentialsRefused),
        (b"e=channel-bindings-dont-match", SaslFailed),
        (b"e=server-does-support-channel-binding", SaslFailed),
        (b"e=other-error", SaslFailed),
        (b"e=", SaslFailed),
        (b"e=\x1b[2Jgone\r\n\xff" + b"x" * 500, SaslFailed),
    ],
)
def test_an_error_of_the_server_is_told_in_printable_words(
    error: bytes, kind: type[SaslFailed]
) -> None:
    """RFC 5802 section 7, server-error: its class tells whose fault; its words are cut (S-56)."""
    client = scram_client()
    client.start()
    client.step(SERVER_FIRST)
    with pytest.raises(SaslFailed) as caught:
        client.step(error)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 120
    _nothing_more(client)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a,b=c", b"a=2Cb=3Dc"),
        ("=2C", b"=3D2C"),
        ("тим@example.com", "тим@example.com".encode()),
        ("DOMAIN\\tim", b"DOMAIN\\tim"),
    ],
)
def test_a_name_is_escaped_and_found_again(name: str, sent: bytes) -> None:
    """RFC 5802 section 5.1, `n`: comma is =2C and `=` is =3D; nothing else changes."""
    first = first_message(scram_client(name))
    assert first == b"n,,n=" + sent + b",r=" + NONCE.encode()
    server = ScramMechanism(SERVER_NONCE, plus=False)
    assert server.step(Secret(first)) == KeysWanted(name.encode())


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("", b"pencil"),
        ("user", b""),
        ("us\0er", b"pencil"),
        ("us\rer", b"pencil"),
        ("us\ner", b"pencil"),
        ("\ud800", b"pencil"),
        ("user", b"pen\0cil"),
        ("user", b"pencil\r"),
        ("user", b"pencil\n"),
    ],
)
def test_a_login_with_line_breaks_is_not_begun(name: str, password: bytes) -> None:
    """S-58: refused before anything is sent."""
    with pytest.raises(UnusableLogin):
        scram_client(name, Secret(password)).start()


# -- channel binding


@pytest.mark.parametrize(
    ("binding", "plus", "offers_plus", "header"),
    [
        (None, False, False, b"n,,"),
        (None, False, True, b"n,,"),
        (BINDING, False, False, b"y,,"),
        (BINDING, False, True, b"n,,"),
        (BINDING, True, True, b"p=tls-server-end-point,,"),
    ],
)
def test_the_header_says_whether_we_could_bind(
    binding: ChannelBinding | None, plus: bool, offers_plus: bool, header: bytes
) -> None:
    """RFC 5802 section 6: n, y or p; `y` only when the server's list has no PLUS."""
    client = scram_client(binding=binding, plus=plus, offers_plus=offers_plus)
    assert first_message(client) == header + b"n=user,r=" + NONCE.encode()
    bound = header + (BINDING.data if plus else b"")
    final = client.step(SERVER_FIRST).reveal()
    assert final.startswith(b"c=" + base64.b64encode(bound) + b",r=")


def test_plus_goes_from_end_to_end() -> None:
    """RFC 5802 section 6: both see one connection."""
    client = scram_client(binding=BINDING, plus=True)
    assert client.name == "SCRAM-SHA-256-PLUS"
    log_in(client, ScramServer(KEYS, SERVER_NONCE, BINDING, plus=True))


@pytest.mark.parametrize(
    ("client", "binding", "plus"),
    [
        (scram_client(binding=BINDING), BINDING, False),
        (scram_client(), BINDING, True),
        (scram_client(binding=BINDING), BINDING, True),
        (scram_client(binding=BINDING, plus=True), BINDING, False),
        (scram_client(binding=BINDING, plus=True), None, False),
        (
            scram_client(binding=BINDING, plus=True),
            ChannelBinding("tls-exporter", BINDING.data),
            True,
        ),
        (scram_client(binding=BINDING, plus=True), ChannelBinding(BINDING.kind, bytes(32)), True),
    ],
)
def test_two_ends_that_see_different_connections_do_not_meet(
    client: ClientMechanism, binding: ChannelBinding | None, plus: bool
) -> None:
    """RFC 5802 section 6: somebody shortened the list, or sits between two TLS connections."""
    with pytest.raises(SaslFailed, match=r"bind|bound"):
        log_in(client, ScramServer(KEYS, SERVER_NONCE, binding, plus=plus))


@pytest.mark.parametrize(
    "call",
    [
        lambda: scram_client(plus=True),
        lambda: ScramServer(KEYS, SERVER_NONCE, plus=True),
        lambda: ScramServer(KEYS, "a,b", plus=False),
        lambda: ScramServer(KEYS, "", plus=False),
        lambda: ChannelBinding("tls,unique", b"x"),
        lambda: ChannelBinding("tls-unique", b""),
        lambda: ScramKeys.derive(Secret(b""), SALT, 4096),
        lambda: ScramKeys.derive(PENCIL, b"", 4096),
        lambda: ScramKeys.derive(PENCIL, SALT, ITERATIONS_MINIMUM - 1),
        lambda: ScramKeys.derive(PENCIL, SALT, ITERATIONS_LIMIT + 1),
    ],
)
def test_what_the_caller_gets_wrong_is_no_exchange(call: Callable[[], object]) -> None:
    """RFC 5802: PLUS needs a binding, a nonce its characters, keys a password and a sane count."""
    with pytest.raises(ValueError, match=r"SCRAM|channel binding"):
        call()


# -- nothing is shown


@pytest.mark.parametrize(
    ("before", "challenge"),
    [
        ([], b"r=x"),
        ([], SERVER_FIRST + b",m=x"),
        ([], b"e=unknown-user"),
        ([SERVER_FIRST], b"v=x"),
        ([SERVER_FIRST], b"e=invalid-proof"),
    ],
)
def test_a_failure_shows_nothing_of_the_password(before: list[bytes], challenge: bytes) -> None:
    """Not in the text, not in a traceback with its variables; nor what can be guessed from."""
    client = scram_client(password=Secret(b"hunter2"))
    client.start()
    for message in before:
        client.step(message)
    with pytest.raises(SaslFailed) as caught:
        client.step(challenge)
    assert "hunter2" not in variables_shown(caught.value)


@pytest.mark.parametrize("name", ["", "us\ner", "\ud800", "user"])
def test_a_login_that_is_not_begun_shows_no_password(name: str) -> None:
    """The checks look at the password; the error does not take them along."""
    with pytest.raises(UnusableLogin) as caught:
        scram_client(name, Secret(b"hunter2\n")).start()
    assert "hunter2" not in variables_shown(caught.value)


def test_keys_and_logins_print_as_stars() -> None:
    """A stored key can be guessed from, a server key plays the server."""
    login = Login("user", Secret(b"hunter2"))
    assert repr(KEYS).count("***") == 2
    assert "hunter2" not in repr(login)
    assert "***" in repr(login)
