"""A POP3 server for tests of POP3 clients: honest by default, odd where a test says so.

    mailbox = OddMailbox.of(b"Subject: one\\r\\n\\r\\nbody\\r\\n")
    async with OddServer(mailbox, oddities.refuse_quit()) as server:
        ...  # a client at 127.0.0.1, server.port; user and password are those of `Login()`
        await server.settle()
    assert server.sessions[0].words[-1] == b"QUIT"

`running_odd_server` does the same in a thread, for clients that block. Sockets and TLS are real.
Every line that a client sends is recorded with whether TLS was on and whether it came before the
answer to the one before it was whole. An oddity is a subclass of `Oddity`; `oddities` has those
that clients have stumbled over.

Known limits: one user; no lock on the maildrop and no time limits but where an oddity has them;
loopback only. It is a tool for tests and keeps no secret: passwords are in what it records.
"""

from mailkeep.testing.odd_server.answers import (
    GREETING,
    Action,
    Answer,
    Heard,
    Pause,
    Step,
    err,
    ok,
    ok_body,
    ok_lines,
)
from mailkeep.testing.odd_server.mailbox import OddMailbox, OddMessage
from mailkeep.testing.odd_server.oddity import Changed, Entry, Exchange, Instead, Oddity, Where
from mailkeep.testing.odd_server.running import RunningOddServer, running_odd_server
from mailkeep.testing.odd_server.sasl import Login
from mailkeep.testing.odd_server.server import (
    CAPABILITIES,
    MECHANISMS,
    OddServer,
    OddSettings,
)
from mailkeep.testing.odd_server.session import OddSession

__all__ = [
    "CAPABILITIES",
    "GREETING",
    "MECHANISMS",
    "Action",
    "Answer",
    "Changed",
    "Entry",
    "Exchange",
    "Heard",
    "Instead",
    "Login",
    "OddMailbox",
    "OddMessage",
    "OddServer",
    "OddSession",
    "OddSettings",
    "Oddity",
    "Pause",
    "RunningOddServer",
    "Step",
    "Where",
    "err",
    "ok",
    "ok_body",
    "ok_lines",
    "running_odd_server",
]
