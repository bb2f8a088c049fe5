"""Logging in over a connection that is ready for it: one mechanism, one try.

It reads and writes through the client alone and must not know connections.
"""

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from mailkeep.fetch.failures import LoginRefused, ProtocolBroken, WrongSettings
from mailkeep.fetch.refusals import login_failure
from mailkeep.pop3 import (
    INITIAL_RESPONSE_LIMIT_OCTETS,
    Answer,
    ServerChallenge,
    Status,
    commands,
)
from mailkeep.sasl import (
    USER_PASS,
    ChannelBinding,
    ClientMechanism,
    CredentialsRefused,
    Login,
    NoMechanism,
    SaslFailed,
    UnusableLogin,
    choose_mechanism,
    client_mechanism,
)
from mailkeep.tls import server_end_point
from mailkeep.values import Secret

if TYPE_CHECKING:
    from mailkeep.fetch.client import Client

_SCRAM = "SCRAM-SHA-256"
_PLUS = "SCRAM-SHA-256-PLUS"
_BINDING = "tls-server-end-point"

_NONCE_OCTETS = 24
"""192 random bits; RFC 5802 section 5.1 asks for enough that none is met twice."""


async def authenticate(client: "Client", login: Login) -> str:
    """Log in with the best mechanism that both sides have, and return its name.

    Raises:
        LoginRefused, TokenNeeded, ServerBusy: the server says no.
        WrongSettings: there is no mechanism that fits, or a name that cannot be said.
        ProtocolBroken: the server broke the exchange, or did not prove itself (SCRAM).
    """
    offered = client.capabilities.get("SASL", ())
    may_bind = _SCRAM in offered or _PLUS in offered  # also to say that PLUS is not offered
    binding = _binding(client) if may_bind and not login.is_token else None
    try:
        name = choose_mechanism(
            offered,
            is_token=login.is_token,
            can_bind=binding is not None,
            user_pass=True,  # RFC 1939 servers do not list it
            forced=client.account.mechanism,
        )
    except NoMechanism as cause:
        raise WrongSettings(str(cause)) from cause
    if name == USER_PASS:
        await _user_pass(client, login)
        return name
    mechanism = client_mechanism(
        name,
        login,
        nonce=secrets.token_urlsafe(_NONCE_OCTETS),
        binding=binding,
        offers_plus=_PLUS in offered,
        host=client.account.host,
        port=client.account.port,
    )
    await _authenticate(client, mechanism, login)
    return name


def _binding(client: "Client") -> ChannelBinding | None:
    certificate = client.peer_certificate
    data = None if certificate is None else server_end_point(certificate)
    return None if data is None else ChannelBinding(_BINDING, data)


async def _user_pass(client: "Client", login: Login) -> None:
    client.send(commands.User(login.name.encode()))
    status = (await client.answer()).status
    if status.is_ok:
        client.send(commands.Pass(login.secret))
        status = (await client.answer()).status
    if not status.is_ok:
        raise login_failure(_without(status, login.secret), is_token=False)


async def _authenticate(client: "Client", mechanism: ClientMechanism, login: Login) -> None:
    """Run one exchange; +OK counts only when the mechanism is content with it (S-59)."""
    try:
        status = await _exchange(client, mechanism)
        if not status.is_ok:
            status = _without(status, login.secret)
            raise login_failure(status, is_token=login.is_token, detail=mechanism.refusal)
        mechanism.finish()
    except UnusableLogin as cause:
        raise WrongSettings(str(cause)) from cause
    except CredentialsRefused as cause:
        raise LoginRefused(f"the server refuses the login: {cause}") from cause
    except SaslFailed as cause:
        raise ProtocolBroken(f"the login with {mechanism.name} failed: {cause}") from cause


async def _exchange(client: "Client", mechanism: ClientMechanism) -> Status:
    """Answer challenges until the server says +OK or -ERR."""
    waiting = mechanism.start()
    if waiting is not None and _fits_a_line(mechanism.name, waiting):
        client.send(commands.Auth(mechanism.name, waiting))
        waiting = None
    else:
        client.send(commands.Auth(mechanism.name, None))
    while isinstance(event := await client.next_event(), ServerChallenge):
        if waiting is not None and not event.data_untrusted:
            response, waiting = waiting, None
        else:  # off the loop: what a server asks for may take a second of computing
            response = await asyncio.to_thread(mechanism.step, event.data_untrusted)
        client.respond(response)
    if not isinstance(event, Answer):
        raise ProtocolBroken("the server sent something else than an answer")
    return event.status


def _without(status: Status, secret: Secret) -> Status:
    """Return a refusal that can be shown: a server may repeat what it was told."""
    octets = secret.reveal()
    if octets and octets in status.text_untrusted:
        return replace(status, text_untrusted=b"(it repeats the password)")
    return status


def _fits_a_line(mechanism: str, initial: Secret) -> bool:
    encoded = (len(initial.reveal()) + 2) // 3 * 4
    return len("AUTH ") + len(mechanism) + 1 + encoded + 2 <= INITIAL_RESPONSE_LIMIT_OCTETS
