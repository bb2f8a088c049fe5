"""What the client's side does with every command in every place, as a human reads it.

The file in `golden/` is the rule, agreed on. When it is meant to change, rewrite it and let a
reviewer read the difference:

    python -m tests.pop3.client_goldens
"""

from collections.abc import Iterator

from tests.pop3.client_driving import ALICE, PASSWORD, PLAIN, client_in
from tests.pop3.driving import REACHABLE
from tests.pop3.goldens import FOLDER, KINDS

from mailkeep.pop3 import Answer, ClientSide, Command, LocalProtocolError, Phase, Security, commands
from mailkeep.values import MessageNumber

FILE = FOLDER / "client_side.txt"
ONE = MessageNumber(1)

SAID: dict[str, Command] = {
    "CAPA": commands.Capa(),
    "QUIT": commands.Quit(),
    "STLS": commands.Stls(),
    "USER": ALICE,
    "PASS": PASSWORD,
    "AUTH": PLAIN,
    "AUTH (alone)": commands.AuthList(),
    "STAT": commands.Stat(),
    "LIST": commands.List(None),
    "LIST 1": commands.List(ONE),
    "RETR": commands.Retr(ONE),
    "TOP": commands.Top(ONE, 0),
    "UIDL": commands.Uidl(None),
    "UIDL 1": commands.Uidl(ONE),
    "DELE": commands.Dele(ONE),
    "RSET": commands.Rset(),
    "NOOP": commands.Noop(),
    "LANG de": commands.Lang(b"de"),
    "UTF8": commands.Utf8(),
}
assert {type(command) for command in SAID.values()} == set(KINDS.values())


def render() -> str:
    """Return what may be said, next to what, and what the answers lead to."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "Where a client stands and what protects it; what it says; whether it can; whether before"
    yield "the answer to a command before it; whether something can be said before its answer; and"
    yield "where the answers lead. (+) marks an answer of several lines."
    for phase, security in REACHABLE:
        yield ""
        yield f"{phase.value.upper()}, {security.value}"
        for name, command in SAID.items():
            yield f"  {name:<14}{_outcome(phase, security, command)}"
    yield ""


def _outcome(phase: Phase, security: Security, command: Command) -> str:
    if not can_say(client_in(phase, security), command):
        return "refused"
    behind = client_in(phase, security)
    behind.send(commands.Capa())
    before = client_in(phase, security)
    before.send(command)
    columns = (
        "said",
        "early" if can_say(behind, command) else "waits",
        "followed" if can_say(before, commands.Capa()) else "last",
        f"+OK {_after(phase, security, command, b'+OK')}",
        f"-ERR {_after(phase, security, command, b'-ERR')}",
    )
    return "{:<7}{:<8}{:<11}{:<22}{}".format(*columns)


def _after(phase: Phase, security: Security, command: Command, answer: bytes) -> str:
    client = client_in(phase, security)
    client.send(command)
    client.receive(answer + b"\r\n")
    event = client.next_event()
    assert isinstance(event, Answer)
    return client.phase.value + (" (+)" if event.has_body else "")


def can_say(client: ClientSide, command: Command) -> bool:
    """Tell whether `send` gives out its octets."""
    try:
        client.send(command)
    except LocalProtocolError:
        return False
    return True


if __name__ == "__main__":
    FILE.write_text(render())
