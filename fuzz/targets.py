"""What is fuzzed: one function a target, from any octets to nothing, or to an exception.

Every target is a part without sockets, clocks or files, driven as the server drives it. What may be
raised is caught where it is said to be; everything else is a find, and so is `Find`, which says
that a rule was broken that no exception stands for.
"""

import functools
import ssl
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from fuzz.torn_tls import torn_stream
from mailkeep.pop3 import (
    CapabilityOffers,
    Command,
    Err,
    HangUp,
    NeedData,
    Ok,
    OkLines,
    Refused,
    Reply,
    SaslResponse,
    Security,
    ServerSide,
    UnsayableCommand,
    commands,
)
from mailkeep.pop3.command_lines import command_line
from mailkeep.pop3.commands import BadCommand, NotPop3, ObsoleteCommand, parse_command
from mailkeep.sasl import (
    Challenge,
    ChannelBinding,
    KeyedMechanism,
    KeysWanted,
    MechanismOffers,
    SaslFailed,
    ScramKeys,
    TokenCredentials,
    TokenMechanism,
    server_mechanisms,
)
from mailkeep.server.proxy_header import BadProxyHeader, ProxyHeader, ProxyHeaderReader
from mailkeep.tls import BadHello, NotTls, server_context
from mailkeep.tls.authority import create_authority, issue
from mailkeep.tls.client_hello import ClientHello, HelloReader
from mailkeep.values import Secret

RESPONSES = 3
"""Of a client in one exchange: SCRAM takes two and an empty one."""

_OFFERS = CapabilityOffers(mechanisms=("PLAIN",), utf8=True, login_delay_s=5)
_KEYS = ScramKeys.derive(Secret(b"pencil"), b"0123456789abcdef", 4096)
_MECHANISMS = server_mechanisms(
    MechanismOffers(
        nonce=lambda: "3rfcNHYJY1ZVvWVs7j",
        scram=True,
        binding=ChannelBinding("tls-server-end-point", bytes(32)),
        tokens=True,
        certificate=True,
    )
)


class Find(AssertionError):
    """A rule was broken."""


def fuzz_commands(octets: bytes) -> None:
    """A line is a command or it is not; what a command says again means the same."""
    line = octets.partition(b"\n")[0].removesuffix(b"\r")
    try:
        command = parse_command(line)
        again = command_line(command)
    except (BadCommand, ObsoleteCommand, NotPop3, UnsayableCommand):
        return
    if parse_command(again.removesuffix(b"\r\n")) != command:
        raise Find(f"{line!r} is said again as {again!r}")


def fuzz_server_side(octets: bytes) -> None:
    """Each command gets one reply, and nothing is read behind STLS, QUIT or a refusal for good.

    The first octets decide how the rest is cut and answered.
    """
    choices, stream = Random(octets[:4]), octets[4:]  # to be repeated
    core = ServerSide(choices.choice([*Security]), bad_before_login=10, bad_after_login=20)
    over = False
    for piece in _pieces(choices, stream):
        core.receive(piece)
        while not isinstance(event := core.next_event(), NeedData):
            if over:
                raise Find(f"{event} comes when all is over")
            over = _answer(core, event, choices)


def _answer(
    core: ServerSide, event: Command | SaslResponse | Refused | HangUp, choices: Random
) -> bool:
    """Answer at random, and return whether nothing may be read any more."""
    over = False
    match event:
        case HangUp():
            return True
        case Refused(reply, over):
            octets = reply.wire()
        case commands.Auth() | SaslResponse() if choices.random() < 0.5:
            octets = core.challenge(choices.randbytes(choices.randrange(40)))
        case commands.Capa():
            octets = core.answer(OkLines(b"capabilities", core.list_capabilities(_OFFERS)))
        case _:
            answers: tuple[Reply, ...] = (Ok(b"done"), Err(b"not done"))
            answer = choices.choice(answers)
            octets = core.answer(answer)
            said_so = isinstance(event, commands.Stls) and isinstance(answer, Ok)
            over = said_so or isinstance(event, commands.Quit)
    if not octets.endswith(b"\r\n"):
        raise Find(f"{octets!r} has no end")
    return over


def fuzz_mechanisms(octets: bytes) -> None:
    """Whatever a client answers, an exchange fails by the rules or goes on, and comes to an end."""
    which, _, rest = octets.partition(b"\0\0\0")
    names = [*_MECHANISMS]
    name = names[(which[0] if which else 0) % len(names)]
    mechanism = _MECHANISMS[name]()
    for response in rest.split(b"\0\0\0")[:RESPONSES]:
        try:
            outcome = mechanism.step(Secret(response))
        except SaslFailed as failed:
            if len(response) > 8 and response.decode(errors="replace") in str(failed):
                raise Find("an error repeats what the client sent") from failed
            return
        if isinstance(outcome, KeysWanted) and isinstance(mechanism, KeyedMechanism):
            pair = (_KEYS.stored_key, _KEYS.server_key)
            mechanism.use_keys(_KEYS.salt, _KEYS.iterations, [pair])
        elif isinstance(outcome, TokenCredentials) and isinstance(mechanism, TokenMechanism):
            mechanism.refuse("https://issuer.example.test", "mail")
        elif not isinstance(outcome, Challenge):
            return


def fuzz_proxy_header(octets: bytes) -> None:
    """A header means the same however it is cut, and what follows it is handed back whole."""
    choices, stream = Random(octets[:4]), octets[4:]  # to be repeated
    whole, cut = _read_header([stream]), _read_header(_pieces(choices, stream))
    if whole != cut:
        raise Find(f"whole it is {whole}, in pieces {cut}")
    if isinstance(whole, ProxyHeader) and whole.rest != stream[_header_octets(stream) :]:
        raise Find(f"{whole.rest!r} is not what follows the header")


def _header_octets(stream: bytes) -> int:
    """Return how long a good header is: version 1 is a line, version 2 tells its length."""
    if stream.startswith(b"PROXY"):
        return stream.index(b"\r\n") + 2
    return 16 + int.from_bytes(stream[14:16])


def _read_header(pieces: list[bytes]) -> ProxyHeader | str | None:
    """Return what pieces say; behind the header they are handed back like the reader's rest."""
    reader = ProxyHeaderReader()
    for place, piece in enumerate(pieces):
        try:
            header = reader.feed(piece)
        except BadProxyHeader:
            return "bad"
        if header is not None:
            return ProxyHeader(header.client, header.rest + b"".join(pieces[place + 1 :]))
    return None


def fuzz_client_hello(octets: bytes) -> None:
    """A ClientHello means the same however it is cut, and nothing of it is lost."""
    choices, stream = Random(octets[:4]), octets[4:]  # to be repeated
    whole, cut = _read_hello([stream]), _read_hello(_pieces(choices, stream))
    if isinstance(whole, ClientHello) and whole != cut:
        raise Find(f"whole it is {whole}, in pieces {cut}")


def _read_hello(pieces: list[bytes]) -> ClientHello | str | None:
    reader = HelloReader()
    fed = b""
    for piece in pieces:
        fed += piece
        try:
            hello = reader.feed(piece)
        except (BadHello, NotTls):
            return "bad"
        if reader.raw != fed:
            raise Find("the reader does not keep what it was fed")
        if hello is not None:
            return hello
    return None


def fuzz_torn_tls(octets: bytes) -> None:
    """A stream that is torn on its way yields nothing that the client did not say."""
    context, trust = _contexts()
    words = [b"USER alice\r\n", octets[:2000] or b"NOOP\r\n", b"QUIT\r\n"]
    torn_stream(Random(octets), context, trust, words).run()  # to be repeated


@functools.cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context and one that trusts it."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        create_authority(folder, "localhost", now)
        issue(folder, "localhost", now)
        pair = folder / "server.pem", folder / "server.key"
        context = server_context(*pair, ssl.TLSVersion.TLSv1_2)
        return context, ssl.create_default_context(cafile=folder / "ca.pem")


def _pieces(choices: Random, octets: bytes) -> list[bytes]:
    """Return octets in pieces of random length."""
    pieces = []
    while octets:
        size = choices.choice((1, 2, 7, 60, 4096))
        pieces.append(octets[:size])
        octets = octets[size:]
    return pieces


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "commands": fuzz_commands,
    "server_side": fuzz_server_side,
    "mechanisms": fuzz_mechanisms,
    "proxy_header": fuzz_proxy_header,
    "client_hello": fuzz_client_hello,
    "torn_tls": fuzz_torn_tls,
}
