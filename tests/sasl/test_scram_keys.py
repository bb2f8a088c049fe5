"""SCRAM for an account with several passwords: all are tried, and which one it was is told."""

import base64

import pytest
import scramp  # type: ignore[import-untyped]  # an independent peer that ships no types
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.scram import (
    BINDING,
    CLIENT_FINAL,
    CLIENT_FIRST,
    KEYS,
    NONCE,
    SALT,
    SERVER_FINAL,
    SERVER_FIRST,
    SERVER_NONCE,
    first_message,
    scram_client,
)

from mailkeep.sasl import (
    Challenge,
    ChannelBinding,
    ClientMechanism,
    KeysWanted,
    OutOfOrder,
    SaslFailed,
    ScramKeys,
    ScramMechanism,
    ScramProof,
)
from mailkeep.sasl import scram_server as room
from mailkeep.sasl.scram import sign
from mailkeep.values import Secret

PASSWORDS = [b"office printer", b"pencil", b"phone", b"ticket system"]
PAIRS = [
    (keys.stored_key, keys.server_key)
    for keys in (ScramKeys.derive(Secret(password), SALT, 4096) for password in PASSWORDS)
]


def mechanism(binding: ChannelBinding | None = None, *, plus: bool = False) -> ScramMechanism:
    return ScramMechanism(SERVER_NONCE, binding, plus=plus)


def waiting_for_proof() -> ScramMechanism:
    server = mechanism()
    server.step(Secret(CLIENT_FIRST))
    server.use_keys(SALT, 4096, PAIRS)
    return server


def prove(client: ClientMechanism, server: ScramMechanism) -> ScramProof:
    wanted = server.step(Secret(first_message(client)))
    assert isinstance(wanted, KeysWanted)
    challenge = server.use_keys(SALT, 4096, PAIRS)
    proof = server.step(client.step(challenge.data))
    assert isinstance(proof, ScramProof)
    return proof


def test_the_server_says_what_the_rfc_prints() -> None:
    """RFC 7677 section 3: the example exchange, in the steps that a driver takes."""
    server = mechanism()
    assert server.step(None) == Challenge(b"")
    assert server.step(Secret(CLIENT_FIRST)) == KeysWanted(b"user")
    pairs = [(KEYS.stored_key, KEYS.server_key)]
    assert server.use_keys(KEYS.salt, KEYS.iterations, pairs) == Challenge(SERVER_FIRST)
    assert server.step(Secret(CLIENT_FINAL)) == ScramProof(b"user", 0, SERVER_FINAL)


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("place", range(len(PASSWORDS)))
def test_the_password_that_was_proved_is_told_by_its_place(place: int, plus: bool) -> None:
    """RFC 5802 section 3: under one salt the client's proof fits one stored key; both are proved.

    The client takes the server's signature, so it is made with the server key of that place.
    """
    binding = BINDING if plus else None
    client = scram_client("user", Secret(PASSWORDS[place]), binding=binding, plus=plus)
    proof = prove(client, mechanism(binding, plus=plus))
    assert proof.proved == place
    assert client.step(proof.final) == Secret(b"")
    client.finish()


def test_a_proof_that_fits_none_has_no_answer() -> None:
    """RFC 5802 section 7: no server-final-message for whoever does not know a password."""
    proof = prove(scram_client("user", Secret(b"another")), mechanism())
    assert proof == ScramProof(b"user", None, b"")


@pytest.mark.parametrize("place", [None, *range(len(PASSWORDS))])
def test_whichever_key_fits_the_work_is_the_same(
    monkeypatch: pytest.MonkeyPatch, place: int | None
) -> None:
    """RFC 5802 section 3: one HMAC a key and one for the signature; no key is left out."""
    keys_used: list[Secret] = []

    def count(key: Secret, message: bytes) -> bytes:
        keys_used.append(key)
        return sign(key, message)

    monkeypatch.setattr(room, "sign", count)
    password = b"another" if place is None else PASSWORDS[place]
    assert prove(scram_client("user", Secret(password)), mechanism()).proved == place
    assert keys_used[:-1] == [stored for stored, _ in PAIRS]
    assert keys_used[-1] == PAIRS[place or 0][1]


def test_only_the_first_step_asks_for_keys_and_only_once() -> None:
    """RFC 5802 section 3: keys between the two messages of the client, or a bug of ours is told."""
    server = mechanism()
    with pytest.raises(OutOfOrder):
        server.use_keys(SALT, 4096, PAIRS)
    server.step(Secret(CLIENT_FIRST))
    with pytest.raises(ValueError, match="at least one key"):
        server.use_keys(SALT, 4096, [])
    server.use_keys(SALT, 4096, PAIRS)
    with pytest.raises(OutOfOrder):
        server.use_keys(SALT, 4096, PAIRS)
    server.step(Secret(CLIENT_FINAL))
    with pytest.raises(OutOfOrder):
        server.use_keys(SALT, 4096, PAIRS)


def test_a_proof_without_keys_is_no_login() -> None:
    """RFC 5802 section 3: a driver that forgets the keys lets nobody in."""
    server = mechanism()
    server.step(Secret(CLIENT_FIRST))
    with pytest.raises(SaslFailed, match="over"):
        server.step(Secret(CLIENT_FINAL))


@pytest.mark.parametrize("response", [None, Secret(b""), Secret(CLIENT_FINAL)])
def test_nothing_is_said_after_the_proof(response: Secret | None) -> None:
    """RFC 5802 section 3: one exchange, one proof, right or wrong."""
    server = waiting_for_proof()
    server.step(Secret(CLIENT_FINAL))
    with pytest.raises(SaslFailed, match="over"):
        server.step(response)


def test_a_proof_that_is_missing_is_not_asked_for_again() -> None:
    """RFC 5034 section 4: None stands for no initial response, and only at the beginning."""
    server = waiting_for_proof()
    with pytest.raises(SaslFailed, match="over"):
        server.step(None)
    with pytest.raises(SaslFailed, match="over"):
        server.step(Secret(CLIENT_FINAL))


@pytest.mark.parametrize(
    "proof",
    [
        base64.b64encode(bytes(31)),
        base64.b64encode(bytes(33)),
        b"",
        base64.b64encode(base64.b64decode(CLIENT_FINAL[-44:]) + b"\0"),
        CLIENT_FINAL[-44:-2] + b"R=",
    ],
)
def test_a_proof_is_one_hash_in_one_spelling(proof: bytes) -> None:
    """RFC 5802 section 3, RFC 4648 section 3.5: anything else is no guess but a broken message."""
    message = CLIENT_FINAL.rpartition(b"p=")[0] + b"p=" + proof
    with pytest.raises(SaslFailed):
        waiting_for_proof().step(Secret(message))


def test_what_was_proved_shows_no_signature() -> None:
    """The signature says that the password was right; it is in no log of a refused login."""
    proof = ScramProof(b"user", 0, SERVER_FINAL)
    assert SERVER_FINAL[2:-2].decode() not in repr(proof)


# -- an independent peer


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("place", range(len(PASSWORDS)))
@pytest.mark.parametrize("name", ["user", "a,b=c", "тим"])
def test_another_client_proves_one_of_several_passwords(name: str, place: int, plus: bool) -> None:
    """RFC 5802 section 3: `scramp` is a client that somebody else wrote; it checks our answer."""
    client = scramp.ScramClient(
        ["SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"],
        name,
        PASSWORDS[place].decode(),
        channel_binding=(BINDING.kind, BINDING.data) if plus else None,
    )
    server = mechanism(BINDING if plus else None, plus=plus)
    assert server.step(Secret(client.get_client_first().encode())) == KeysWanted(name.encode())
    client.set_server_first(server.use_keys(SALT, 4096, PAIRS).data.decode())
    proof = server.step(Secret(client.get_client_final().encode()))
    assert isinstance(proof, ScramProof)
    assert (proof.name_untrusted, proof.proved) == (name.encode(), place)
    client.set_server_final(proof.final.decode())


def test_another_client_that_could_bind_is_welcome_where_nobody_binds() -> None:
    """RFC 5802 section 6: `scramp` says `y` when it can bind and PLUS is not on the list."""
    client = scramp.ScramClient(
        ["SCRAM-SHA-256"], "user", "pencil", channel_binding=(BINDING.kind, BINDING.data)
    )
    first = client.get_client_first().encode()
    assert first.startswith(b"y,,")
    assert mechanism().step(Secret(first)) == KeysWanted(b"user")
    with pytest.raises(SaslFailed, match="bind"):
        mechanism(BINDING).step(Secret(first))


# -- any client

FIRST_PIECES = [
    b"n", b"y", b"p=tls-server-end-point", b",", b",,", b"a=user", b"n=user", b"n=", b"r=abc",
    b"r=", b"=2C", b"=3D", b"m=x", b"x=y", b"\0", b"\xff", b" ",
]  # fmt: skip
FINAL_PIECES = [
    b"c=biws", b"c=", b",", b"r=" + NONCE.encode() + SERVER_NONCE.encode(), b"r=", b",p=", b"p=",
    b"AAAA", b"=", CLIENT_FINAL[-44:], b"x=y", b"\0", b"\xff",
]  # fmt: skip


def _messages(pieces: list[bytes]) -> st.SearchStrategy[bytes]:
    mixed = st.lists(st.sampled_from(pieces), max_size=12).map(b"".join)
    return st.one_of(st.binary(max_size=80), mixed)


def _mutated(message: bytes) -> st.SearchStrategy[bytes]:
    """The message with some octets cut out and others put in."""
    at = st.integers(0, len(message))
    return st.tuples(at, at, st.binary(max_size=3)).map(
        lambda cut: message[: min(cut[:2])] + cut[2] + message[max(cut[:2]) :]
    )


@settings(max_examples=300)
@given(
    st.one_of(_messages(FIRST_PIECES), _mutated(CLIENT_FIRST)),
    st.none() | st.just(BINDING),
    st.booleans(),
)
def test_any_first_message_names_somebody_or_fails(
    message: bytes, binding: ChannelBinding | None, plus: bool
) -> None:
    """RFC 5802 section 7: nothing else comes out, and after a failure it is over."""
    server = mechanism(binding, plus=plus and binding is not None)
    try:
        wanted = server.step(Secret(message))
    except SaslFailed:
        with pytest.raises(SaslFailed):
            server.step(Secret(CLIENT_FIRST))
        return
    assert isinstance(wanted, KeysWanted)
    assert wanted.name_untrusted
    assert b"\0" not in wanted.name_untrusted


@settings(max_examples=300)
@given(st.one_of(_messages(FINAL_PIECES), _mutated(CLIENT_FINAL)))
def test_any_last_message_is_a_proof_or_fails(message: bytes) -> None:
    """RFC 5802 section 7: only the octets of the right proof prove anything."""
    try:
        proof = waiting_for_proof().step(Secret(message))
    except SaslFailed:
        return
    assert isinstance(proof, ScramProof)
    assert (proof.proved is not None) is (message == CLIENT_FINAL)
    assert bool(proof.final) is (proof.proved is not None)


@pytest.mark.parametrize(
    "first",
    [
        CLIENT_FIRST.replace(b"user", b"hunter2\0"),
        b"n,a=hunter2" + CLIENT_FIRST[2:],
        CLIENT_FIRST + b",m=hunter2",
        b"hunter2" + CLIENT_FIRST,
        b"\0user\0hunter2",
    ],
)
def test_a_failure_repeats_nothing_of_the_first_message(first: bytes) -> None:
    """A client that mixes up mechanisms sends its password here; it goes into no log."""
    with pytest.raises(SaslFailed) as caught:
        mechanism().step(Secret(first))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "final",
    [
        b"hunter2",
        CLIENT_FINAL.replace(b"p=", b"p=hunter2"),
        CLIENT_FINAL.replace(b"r=", b"r=hunter2"),
        CLIENT_FINAL.replace(b"biws", b"hunter2"),
        CLIENT_FINAL + b",hunter2",
    ],
)
def test_a_failure_repeats_nothing_of_the_last_message(final: bytes) -> None:
    """What was proved wrongly may be a password too; it goes into no log."""
    with pytest.raises(SaslFailed) as caught:
        waiting_for_proof().step(Secret(final))
    assert "hunter2" not in str(caught.value)
