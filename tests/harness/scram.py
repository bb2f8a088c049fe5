"""The exchange that RFC 7677 prints, and a client that has begun it."""

import base64

from mailkeep.sasl import (
    ChannelBinding,
    ClientMechanism,
    Login,
    ScramKeys,
    ScramServer,
    client_mechanism,
)
from mailkeep.values import Secret

# RFC 7677 section 3, literally.
NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
SALT = base64.b64decode(b"W22ZaJ0SNY7soEsUEjb6gQ==")
PENCIL = Secret(b"pencil")
KEYS = ScramKeys.derive(PENCIL, SALT, 4096)
BINDING = ChannelBinding("tls-server-end-point", bytes(range(32)))


def scram_client(
    name: str = "user",
    password: Secret = PENCIL,
    *,
    binding: ChannelBinding | None = None,
    plus: bool = False,
    offers_plus: bool = False,
) -> ClientMechanism:
    return client_mechanism(
        "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256",
        Login(name, password),
        nonce=NONCE,
        binding=binding,
        offers_plus=offers_plus or plus,
        host="pop.example.com",
        port=995,
    )


def first_message(client: ClientMechanism) -> bytes:
    response = client.start()
    assert response is not None
    return response.reveal()


def log_in(client: ClientMechanism, server: ScramServer) -> None:
    server_first = server.step(first_message(client))
    server_final = server.step(client.step(server_first).reveal())
    assert client.step(server_final).reveal() == b""
    client.finish()
