"""SCRAM-SHA-256(-PLUS) from the server's side, and with peers (RFC 5802, RFC 7677)."""

import unicodedata

import pytest
import scramp  # type: ignore[import-untyped]  # an independent peer that ships no types
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.scram import (
    BINDING,
    CLIENT_FINAL,
    CLIENT_FIRST,
    KEYS,
    PENCIL,
    SALT,
    SERVER_FINAL,
    SERVER_FIRST,
    SERVER_NONCE,
    first_message,
    log_in,
    scram_client,
)

from mailkeep.sasl import (
    ITERATIONS_MINIMUM,
    CredentialsRefused,
    SaslFailed,
    ScramKeys,
    ScramServer,
)
from mailkeep.sasl.scram import (
    client_key,
    encode,
    exclusive_or,
    salted_password,
    sign,
    stored_key,
)
from mailkeep.values import Secret


def test_the_server_says_what_the_rfc_prints() -> None:
    """RFC 7677 section 3: the example exchange from the other side."""
    server = ScramServer(KEYS, SERVER_NONCE, plus=False)
    assert server.step(CLIENT_FIRST) == SERVER_FIRST
    assert server.step(CLIENT_FINAL) == SERVER_FINAL


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,,n=user",
        b"n,,n=user,r=",
        b"n,,n=,r=abc",
        b"n,,r=abc,n=user",
        b"n,,m=x,n=user,r=abc",
        b"n,,n=user,r=abc,m=x",
        b"n,,n=user,r=abc,r=abc",
        b"n,,n=us=er,r=abc",
        b"n,,n=user=2,r=abc",
        b"n,,n==2C3D=,r=abc",
        b"n,,n==3d,r=abc",
        b"n,,n=us\0er,r=abc",
        b"n,,n=user,r=a bc",
        b"n,,n=user,r=abc\r\n",
        b"n,a=root,n=user,r=abc",
        b"n,user,n=user,r=abc",
        b"n,n=user,r=abc",
        b"x,,n=user,r=abc",
        b"N,,n=user,r=abc",
        b"p=,,n=user,r=abc",
        b"p=tls-unique,,n=user,r=abc",
        CLIENT_FINAL,
    ],
)
def test_our_server_refuses_a_broken_first_message(message: bytes) -> None:
    """RFC 5802 section 7, client-first-message; nobody acts for somebody else."""
    server = ScramServer(KEYS, SERVER_NONCE, plus=False)
    with pytest.raises(SaslFailed):
        server.step(message)
    with pytest.raises(SaslFailed):
        server.step(CLIENT_FIRST)


@pytest.mark.parametrize("first", [CLIENT_FIRST, b"y,,n=user,r=abc", b"n,a=user,n=user,r=abc,x=y"])
def test_our_server_answers_a_good_first_message(first: bytes) -> None:
    """RFC 5802 section 7: acting for oneself and extensions are allowed."""
    assert ScramServer(KEYS, SERVER_NONCE, plus=False).step(first).startswith(b"r=")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        CLIENT_FINAL.partition(b",p=")[0],
        CLIENT_FINAL.replace(b"p=d", b"p=e"),
        CLIENT_FINAL.replace(b"p=dHzb", b"p="),
        CLIENT_FINAL.replace(b"p=dHzb", b"p=dHzbdHzb"),
        CLIENT_FINAL.rpartition(b"p=")[0] + b"p=",
        CLIENT_FINAL.replace(b"VQ=", b"VQ"),
        CLIENT_FINAL + b",x=y",
        CLIENT_FINAL.replace(b"$k0", b"$k1"),
        CLIENT_FINAL.replace(b"$k0", b""),
        CLIENT_FINAL.replace(b"biws", b"eSws"),
        CLIENT_FINAL.replace(b"biws", b"biwsAAAA"),
        CLIENT_FINAL.replace(b"biws", b""),
        CLIENT_FINAL.replace(b",p=", b",m=x,p="),
        CLIENT_FINAL.replace(b",p=", b",x=y,p="),
        b"m=x," + CLIENT_FINAL,
        CLIENT_FIRST,
    ],
)
def test_our_server_refuses_a_broken_proof(message: bytes) -> None:
    """RFC 5802 section 3: any octet changed, any attribute out of place, and it is no login."""
    server = ScramServer(KEYS, SERVER_NONCE, plus=False)
    server.step(CLIENT_FIRST)
    with pytest.raises(SaslFailed):
        server.step(message)
    with pytest.raises(SaslFailed):
        server.step(CLIENT_FINAL)


@pytest.mark.parametrize(
    ("without_proof", "why"),
    [
        (b"c=biws,r=rOprNGfwEbeRWgbNEkqO", "nonce"),
        (CLIENT_FINAL.partition(b",p=")[0].replace(b"biws", b"eSws"), "bound"),
    ],
)
def test_a_right_proof_over_something_else_is_no_login(without_proof: bytes, why: str) -> None:
    """RFC 5802 section 5.1, `c` and `r`: the server MUST check them, not only the proof."""
    signed = b",".join((CLIENT_FIRST.removeprefix(b"n,,"), SERVER_FIRST, without_proof))
    key = client_key(salted_password(PENCIL, SALT, 4096))
    proof = encode(exclusive_or(key.reveal(), sign(stored_key(key), signed)))
    server = ScramServer(KEYS, SERVER_NONCE, plus=False)
    server.step(CLIENT_FIRST)
    with pytest.raises(SaslFailed, match=why):
        server.step(without_proof + b",p=" + proof)


def test_our_server_ends_after_its_last_message() -> None:
    """RFC 5802 section 3: one exchange, one login."""
    server = ScramServer(KEYS, SERVER_NONCE, plus=False)
    server.step(CLIENT_FIRST)
    server.step(CLIENT_FINAL)
    with pytest.raises(SaslFailed):
        server.step(CLIENT_FINAL)


NAMES = st.text(min_size=1, max_size=20).filter(
    lambda name: not set("\0\r\n") & set(name) and name.encode(errors="replace").decode() == name
)
PASSWORDS = st.one_of(
    st.binary(min_size=1, max_size=100),
    st.text(min_size=1, max_size=40).map(lambda text: text.encode(errors="replace")),
    st.text("=,\t ", min_size=1, max_size=8).map(str.encode),
    st.just(b"x" * 3000),
).filter(lambda password: not set(b"\0\r\n") & set(password))


@settings(max_examples=60, deadline=None)
@given(NAMES, PASSWORDS, st.booleans())
def test_client_and_server_meet_with_any_password(name: str, password: bytes, plus: bool) -> None:
    """RFC 5802 section 3: with the same password both are proved, whatever its octets are."""
    keys = ScramKeys.derive(Secret(password), SALT, ITERATIONS_MINIMUM)
    client = scram_client(name, Secret(password), binding=BINDING if plus else None, plus=plus)
    log_in(client, ScramServer(keys, SERVER_NONCE, BINDING if plus else None, plus=plus))


@settings(max_examples=30, deadline=None)
@given(PASSWORDS)
def test_client_and_server_do_not_meet_with_another_password(password: bytes) -> None:
    """RFC 5802 section 3: the server sees that the proof is wrong and does not sign."""
    keys = ScramKeys.derive(Secret(b"!" + password), SALT, ITERATIONS_MINIMUM)
    with pytest.raises(SaslFailed, match="proof"):
        log_in(scram_client("user", Secret(password)), ScramServer(keys, SERVER_NONCE, plus=False))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_two_ways_to_type_a_password_are_one(form: str) -> None:
    """RFC 8265 section 4.2: composed or not, narrow or no-break space; the key is the same."""
    typed = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "pässwörd\u00a0x")
    keys = ScramKeys.derive(Secret(typed.replace("\u00a0", " ").encode()), SALT, 4096)
    password = unicodedata.normalize("NFC" if form == "NFC" else "NFD", "pässwörd\u00a0x")
    log_in(
        scram_client("user", Secret(password.encode())), ScramServer(keys, SERVER_NONCE, plus=False)
    )


# -- an independent peer

PEERS = [("user", "pencil"), ("a,b=c", "=,=2C "), ("тим", "pässwörd"), ("user", "пароль\u00a0x")]


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize(("name", "password"), PEERS)
def test_our_client_logs_in_to_another_server(name: str, password: str, plus: bool) -> None:
    """RFC 5802 section 3: `scramp` is a server that somebody else wrote."""
    client = scram_client(
        name, Secret(password.encode()), binding=BINDING if plus else None, plus=plus
    )
    mechanism = scramp.ScramMechanism(client.name)
    keys = mechanism.make_auth_info(password, iteration_count=5000)
    server = mechanism.make_server(
        {name: keys}.get,
        channel_binding=(BINDING.kind, BINDING.data) if plus else None,
    )
    server.set_client_first(first_message(client).decode())
    server.set_client_final(client.step(server.get_server_first().encode()).reveal().decode())
    client.step(server.get_server_final().encode())
    client.finish()


def test_our_client_is_refused_by_another_server() -> None:
    """RFC 5802 section 7: a wrong password gets `e=invalid-proof` from `scramp`."""
    client = scram_client("user", Secret(b"pen"))
    mechanism = scramp.ScramMechanism(client.name)
    keys = mechanism.make_auth_info("pencil", iteration_count=5000)
    server = mechanism.make_server(lambda _: keys)
    server.set_client_first(first_message(client).decode())
    final = client.step(server.get_server_first().encode()).reveal().decode()
    with pytest.raises(scramp.ScramException):
        server.set_client_final(final)
    with pytest.raises(CredentialsRefused):
        client.step(server.get_server_final().encode())


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize(("name", "password"), PEERS)
def test_another_client_logs_in_to_our_server(name: str, password: str, plus: bool) -> None:
    """RFC 5802 section 3: `scramp` is a client that somebody else wrote."""
    mechanism = "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"
    client = scramp.ScramClient(
        [mechanism],
        name,
        password,
        channel_binding=(BINDING.kind, BINDING.data) if plus else None,
    )
    keys = ScramKeys.derive(Secret(password.encode()), SALT, 4096)
    server = ScramServer(keys, SERVER_NONCE, BINDING if plus else None, plus=plus)
    first = client.get_client_first().encode()
    client.set_server_first(server.step(first).decode())
    client.set_server_final(server.step(client.get_client_final().encode()).decode())
