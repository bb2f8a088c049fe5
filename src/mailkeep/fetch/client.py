"""A POP3 client for asyncio: what `mailkeep fetch` stands on, and of use by itself.

    async with await Client.connect(parse_url("pop3s://alice@mail.example.com")) as client:
        await client.login(Login("alice", Secret(b"correct horse battery staple")))
        for message in await client.list_messages():
            async for piece in client.retrieve(message.number):
                file.write(piece)

TLS is always verified. A message's octets are those that were sent, unstuffed, nothing decoded. One
task uses a client at a time. After an error only `close` means anything.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

from mailkeep.fetch.account import Account, Transport
from mailkeep.fetch.authenticating import authenticate
from mailkeep.fetch.connection import Connection, open_connection
from mailkeep.fetch.failures import (
    NetworkFailed,
    ProtocolBroken,
    TlsRefused,
    WrongSettings,
)
from mailkeep.fetch.listing import Listing, Overview
from mailkeep.fetch.refusals import command_failure, quote
from mailkeep.pop3 import (
    CAPABILITIES_LIMIT_OCTETS,
    LISTING_LIMIT_OCTETS,
    Answer,
    Body,
    Capabilities,
    ClientSide,
    Command,
    Greeting,
    LocalProtocolError,
    NeedData,
    RemoteProtocolError,
    Security,
    ServerChallenge,
    Status,
    UnsayableCommand,
    commands,
    parse_capabilities,
    parse_listing,
    parse_octets,
    parse_sizes,
    parse_stat,
)
from mailkeep.sasl import Login
from mailkeep.tls import (
    CertificateProblem,
    TlsError,
    client_context,
    fingerprints,
    matches_pin,
)
from mailkeep.values import MessageNumber, Secret

Event = Greeting | Answer | Body | ServerChallenge

_SECURITY = {
    Transport.TLS: Security.TLS,
    Transport.STLS: Security.STLS_FIRST,
    Transport.CLEARTEXT: Security.CLEARTEXT_ALLOWED,
}


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A message in a listing.

    Attributes:
        number: valid in this session only.
        uidl: None if the server has no unique-ids.
        octets: as announced; a hint. None if the server said nothing that is a size.
    """

    number: MessageNumber
    uidl: bytes | None
    octets: int | None


class Client:
    """One session with one server. Make one with `connect`."""

    def __init__(self, account: Account, connection: Connection, core: ClientSide) -> None:
        self.account = account
        self.capabilities: Capabilities = {}
        self.mechanism = ""
        self._connection = connection
        self._core = core

    @classmethod
    async def connect(cls, account: Account) -> Self:
        """Connect, do TLS as the account wants it, and read the greeting and the capabilities.

        Raises:
            NetworkFailed: nobody answers, or the connection broke.
            TlsRefused: no TLS, or a certificate that is not to be trusted; no password was sent.
            ServerBusy, ProtocolBroken: the greeting is no good.
        """
        connection = await open_connection(account.host, account.port, timeout_s=account.timeout_s)
        client = cls(account, connection, ClientSide(_SECURITY[account.transport]))
        try:
            await client._begin()
        except BaseException:
            client.close()
            raise
        return client

    @property
    def tls_version(self) -> str | None:
        """`TLSv1.3`, or None in clear text."""
        channel = self._connection.channel
        return None if channel is None else channel.version

    @property
    def peer_certificate(self) -> bytes | None:
        """The server's certificate (DER), or None in clear text."""
        channel = self._connection.channel
        return None if channel is None else channel.peer_certificate

    @property
    def can_pipeline(self) -> bool:
        """Whether the server says that commands may follow each other (RFC 2449 section 6.6)."""
        return "PIPELINING" in self.capabilities

    @property
    def unanswered(self) -> int:
        """How many commands wait for an answer."""
        return self._core.unanswered

    async def login(self, login: Login) -> None:
        """Log in with the best mechanism that both sides have; one try.

        Raises:
            LoginRefused, TokenNeeded, ServerBusy: the server says no.
            WrongSettings: there is no mechanism that fits, or a name that cannot be said.
            ProtocolBroken: the server broke the exchange, or did not prove itself (SCRAM).
            LocalProtocolError: the certificate was not checked: nothing secret is sent.
        """
        if self.account.tls.is_unchecked:
            raise LocalProtocolError("a connection to an unchecked server sends nothing secret")
        self.mechanism = await authenticate(self, login)

    async def read_capabilities(self) -> Capabilities:
        """Ask what the server can do; it may say more after login. Servers without CAPA: nothing.

        Raises:
            NetworkFailed, TlsRefused, ProtocolBroken.
        """
        self.send(commands.Capa())
        return await self._take_capabilities()

    async def stat(self) -> tuple[int, int | None]:
        """Return how many messages there are, and their octets."""
        self.send(commands.Stat())
        return parse_stat((await self._read_totals())[0])

    async def open_mailbox(self, *, pipelined: bool) -> Overview:
        """Return the totals and the unique-ids of the mailbox, and learn the capabilities anew.

        They tell whether anything has changed since they were last seen; only if so is
        `read_listing` worth its time. A server may take seconds before it answers: it opens the
        mailbox.

        Args:
            pipelined: ask for everything at once.

        Raises:
            ServerBusy: the server cannot list now; nothing is known of the mailbox (S-34).
            ProtocolBroken: it refuses UIDL after it listed it in CAPA.
        """
        asked = (commands.Capa(), commands.Stat(), commands.Uidl(None))
        if pipelined:
            self.send(*asked)
        else:
            self.send(asked[0])
        await self._take_capabilities()
        if not pipelined:
            self.send(asked[1])
        totals, messages = await self._read_totals()
        if not pipelined:
            self.send(asked[2])
        answer = await self.answer()
        if answer.has_body:
            return Overview(messages, totals, await self.body(LISTING_LIMIT_OCTETS))
        if "UIDL" in self.capabilities or answer.status.code_untrusted:
            raise command_failure(answer.status, "UIDL")
        return Overview(messages, totals, None)

    async def read_listing(self, overview: Overview) -> Listing:
        """Return the mailbox as UIDL and LIST tell it.

        LIST is a hint for sizes: where it says less than UIDL, sizes are unknown (S-29).

        Args:
            overview: of this session.

        Raises:
            ServerBusy: the server cannot list now.
            ProtocolBroken: it refuses LIST, or a listing is none.
        """
        self.send(commands.List(None))
        answer = await self.answer()
        if not answer.status.is_ok:
            raise command_failure(answer.status, "LIST")
        body = await self.body(LISTING_LIMIT_OCTETS)
        try:
            sizes = parse_listing(body)
            if overview.uidls is None:
                return Listing(sizes[0], None, parse_sizes(sizes[1]))
            numbers, uidls = parse_listing(overview.uidls)
        except RemoteProtocolError as cause:
            raise ProtocolBroken(str(cause)) from cause
        is_contradicted = numbers != sizes[0] and list(numbers) != list(sizes[0])
        return Listing(numbers, uidls, _sizes_of(numbers, sizes), is_contradicted)

    async def list_messages(self) -> list[ListedMessage]:
        """Return the mailbox, a value a message."""
        listing = await self.read_listing(await self.open_mailbox(pipelined=False))
        uidls: Sequence[bytes | None] = listing.uidls or [None] * len(listing.numbers)
        rows = zip(listing.numbers, uidls, listing.octets, strict=True)
        return [ListedMessage(MessageNumber(number), uidl, size) for number, uidl, size in rows]

    async def retrieve(self, number: MessageNumber) -> AsyncIterator[bytes]:
        """Yield the octets of a message, unstuffed; take all of them before the next command.

        Raises:
            ProtocolBroken: the server does not give it.
        """
        self.send(commands.Retr(number))
        async for piece in self._pieces("RETR"):
            yield piece

    async def top(self, number: MessageNumber, body_lines: int = 0) -> AsyncIterator[bytes]:
        """Yield the header of a message and some lines of its body (RFC 1939 section 7)."""
        self.send(commands.Top(number, body_lines))
        async for piece in self._pieces("TOP"):
            yield piece

    async def delete(self, number: MessageNumber) -> None:
        """Mark a message; it is gone when `quit` has returned, not before."""
        await self._ok(commands.Dele(number))

    async def noop(self) -> None:
        """Keep the session alive."""
        await self._ok(commands.Noop())

    async def reset(self) -> None:
        """Take all marks back."""
        await self._ok(commands.Rset())

    async def quit(self) -> None:
        """End the session; when this returns, what was marked is gone.

        Raises:
            NetworkFailed: no answer came: nobody knows whether the messages are gone.
            ProtocolBroken: the server says that not all of them are.
        """
        await self._ok(commands.Quit())
        self.close()

    def close(self) -> None:
        """Hang up; marks fall. Safe to call twice."""
        self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def send(self, *asked: Command) -> None:
        """Send commands at once; each has its `answer` later, in this order.

        Raises:
            NetworkFailed: the connection is over.
            WrongSettings: a name or a password cannot be said in a line.
        """
        if self._core.is_idle and (unasked := self._connection.take_waiting()):
            self._core.receive(unasked)  # it is no answer to what is sent now
        try:
            self._connection.write(b"".join(map(self._core.send, asked)))
        except UnsayableCommand as cause:
            raise WrongSettings(str(cause)) from cause

    def respond(self, response: Secret) -> None:
        """Answer a challenge of the server.

        Raises:
            NetworkFailed: the connection is over.
        """
        self._connection.write(self._core.respond(response))

    async def next_event(self) -> Event:
        """Return what the server says next.

        Raises:
            NetworkFailed, TlsRefused, ProtocolBroken.
        """
        began_s: float | None = None
        try:
            while isinstance(event := self._core.next_event(), NeedData):
                self._core.receive(await self._connection.read("an answer"))
                began_s = self._see_that_it_ends(began_s)
        except RemoteProtocolError as cause:
            raise ProtocolBroken(str(cause)) from cause
        return event

    def _see_that_it_ends(self, began_s: float | None) -> float:
        """Return when an event began to come; one that does not end keeps no session open (S-20).

        Raises:
            NetworkFailed: it began too long ago.
        """
        now_s = asyncio.get_running_loop().time()
        if began_s is not None and now_s - began_s > self.account.timeout_s:
            raise NetworkFailed(f"an answer did not end within {self.account.timeout_s:g} s")
        return now_s if began_s is None else began_s

    async def answer(self) -> Answer:
        """Return the next status line."""
        event = await self.next_event()
        if not isinstance(event, Answer):
            raise ProtocolBroken("the server sent something else than an answer")
        return event

    async def body(self, limit_octets: int) -> bytes:
        """Return a whole body.

        Raises:
            ProtocolBroken: it has more octets than it may have (S-54).
        """
        pieces: list[bytes] = []
        octets = 0
        async for piece in self.body_pieces():
            octets += len(piece)
            if octets > limit_octets:
                raise ProtocolBroken(f"the server's answer has more than {limit_octets} octets")
            pieces.append(piece)
        return b"".join(pieces)

    async def body_pieces(self) -> AsyncIterator[bytes]:
        """Yield a body as it comes.

        Raises:
            NetworkFailed: it came too slowly, or not to its end.
        """
        self._connection.begin_body()
        while True:
            event = await self.next_event()
            if not isinstance(event, Body):
                raise ProtocolBroken("the server sent something else than a message")
            if event.octets:
                yield event.octets
            if event.is_last:
                return
            self._connection.check_rate()

    async def _begin(self) -> None:
        account = self.account
        if account.transport is Transport.TLS:
            await self._start_tls()
        greeting = await self.next_event()
        if not isinstance(greeting, Greeting):
            raise ProtocolBroken("the server did not greet")
        if not greeting.status.is_ok:
            raise command_failure(greeting.status, "the connection")
        if account.transport is Transport.STLS:
            await self._stls()
        await self.read_capabilities()

    async def _stls(self) -> None:
        """Ask for TLS whatever the capabilities say: somebody in between may strip them (S-17)."""
        self.send(commands.Stls())
        status = (await self.answer()).status
        if not status.is_ok:
            raise TlsRefused(
                f"the server does not do STLS: {quote(status)}",
                hint="pop3s:// has TLS from the first octet; if it used to work, somebody between"
                " you and the server may be in the way",
            )
        await self._start_tls()
        self._core = ClientSide(Security.TLS, greeted=True)

    async def _start_tls(self) -> None:
        policy, host = self.account.tls, self.account.host
        try:
            context = client_context(
                authorities=policy.authorities if policy.verifies else None,
                minimum=policy.minimum,
                certificate=policy.certificate,
                key=policy.key,
                verify=policy.verifies,
            )
        except CertificateProblem as cause:
            raise WrongSettings(str(cause), hint=cause.hint) from cause
        try:
            await self._connection.start_tls(context, host)
        except NetworkFailed as cause:
            raise TlsRefused(f"no TLS with {host}: {cause}", hint=_NO_TLS_HINT) from cause
        except TlsError as cause:
            raise TlsRefused(f"no TLS with {host}: {cause}") from cause
        self._check_pins()

    def _check_pins(self) -> None:
        pins = self.account.tls.pins
        if not pins:
            return
        shown = self.peer_certificate or b""
        if not matches_pin(shown, pins):
            raise TlsRefused(
                f"the certificate of {self.account.host} is not the pinned one; its SHA-256 is"
                f" {fingerprints(shown)[0].hex()}",
                hint="if it was renewed, compare this value with the server's operator and pin it",
            )

    async def _take_capabilities(self) -> Capabilities:
        answer = await self.answer()
        body = await self.body(CAPABILITIES_LIMIT_OCTETS) if answer.has_body else b""
        self.capabilities = parse_capabilities(body)
        return self.capabilities

    async def _read_totals(self) -> tuple[bytes, int]:
        """Return what answers STAT, and the number of messages in it."""
        status = (await self.answer()).status
        if not status.is_ok:
            raise command_failure(status, "STAT")
        try:
            return status.text_untrusted, parse_stat(status.text_untrusted)[0]
        except RemoteProtocolError as cause:
            raise ProtocolBroken(str(cause)) from cause

    async def _ok(self, command: Command) -> Status:
        self.send(command)
        status = (await self.answer()).status
        if not status.is_ok:
            raise command_failure(status, type(command).__name__.upper())
        return status

    async def _pieces(self, command: str) -> AsyncIterator[bytes]:
        answer = await self.answer()
        if not answer.has_body:
            raise command_failure(answer.status, command)
        async for piece in self.body_pieces():
            yield piece


_NO_TLS_HINT = "is this port for TLS from the first octet? pop3:// asks for STLS on port 110"


def _sizes_of(
    numbers: Sequence[int], sizes: tuple[Sequence[int], Sequence[bytes]]
) -> Sequence[int | None]:
    """Return the announced size of each number that UIDL listed."""
    if numbers == sizes[0]:
        return parse_sizes(sizes[1])
    announced = dict(zip(*sizes, strict=True))
    return [parse_octets(announced.get(number, b"")) for number in numbers]
