"""The tables of this room as a human reads them.

The files in `golden/` are the rules, agreed on; a test renders the code's tables and compares. When
a rule is meant to change, rewrite the files and let a reviewer read the difference:

    python -m tests.pop3.goldens
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.pop3.driving import PLAIN_ONLY

from mailkeep.pop3 import Phase, Security, commands
from mailkeep.pop3.capabilities import CapabilityOffers, list_capabilities
from mailkeep.pop3.states import LEGAL, CommandKind, phase_after, phase_after_refusal

FOLDER = Path(__file__).parent / "golden"

KINDS: Mapping[str, CommandKind] = {
    "CAPA": commands.Capa,
    "QUIT": commands.Quit,
    "STLS": commands.Stls,
    "USER": commands.User,
    "PASS": commands.Pass,
    "AUTH": commands.Auth,
    "AUTH (alone)": commands.AuthList,
    "STAT": commands.Stat,
    "LIST": commands.List,
    "RETR": commands.Retr,
    "TOP": commands.Top,
    "UIDL": commands.Uidl,
    "DELE": commands.Dele,
    "RSET": commands.Rset,
    "NOOP": commands.Noop,
    "LANG": commands.Lang,
    "UTF8": commands.Utf8,
}

LEAST = PLAIN_ONLY
MOST = CapabilityOffers(mechanisms=("PLAIN",), utf8=True, login_delay_s=60)
"""What a server offers by default, and with all that can be switched on."""


def render_states() -> str:
    """Return what every command means wherever a session can stand."""
    return "\n".join(_state_lines())


def _state_lines() -> Iterator[str]:
    yield "Where a session stands and what protects it; what is said; whether legal; what is next."
    yield "A line that is no command at all leads where an illegal one does."
    for phase in Phase:
        for security in Security:
            yield ""
            yield f"{phase.value.upper()}, {security.value}"
            for name, kind in KINDS.items():
                yield f"  {name:<14}{_outcome(phase, security, kind)}"
            if phase is Phase.EXCHANGE:
                yield f"  {'(a response)':<14}{_legal(phase, commands.Auth)}"
    yield ""


def _outcome(phase: Phase, security: Security, kind: CommandKind) -> str:
    if kind not in LEGAL[phase][security]:
        return f"illegal   -ERR {phase_after_refusal(phase).value}"
    return _legal(phase, kind)


def _legal(phase: Phase, kind: CommandKind) -> str:
    after_ok = phase_after(phase, kind, ok=True).value
    after_err = phase_after(phase, kind, ok=False).value
    return f"legal     +OK {after_ok:<16}-ERR {after_err}"


def render_capabilities() -> str:
    """Return what CAPA lists wherever it may be asked."""
    return "\n".join(_capability_lines())


def _capability_lines() -> Iterator[str]:
    yield "What CAPA lists, in this order, with the mechanism PLAIN;"
    yield "(+) only with UTF8 on and a delay of 60 s between logins."
    for phase in Phase:
        for security in Security:
            if commands.Capa in LEGAL[phase][security]:
                yield ""
                yield f"{phase.value.upper()}, {security.value}"
                least = list_capabilities(phase, security, LEAST)
                for line in list_capabilities(phase, security, MOST):
                    yield f"  {line.decode()}" + ("" if line in least else " (+)")
    yield ""


RENDER: Mapping[str, Callable[[], str]] = {
    "states.txt": render_states,
    "capabilities.txt": render_capabilities,
}

if __name__ == "__main__":
    for file, render in RENDER.items():
        (FOLDER / file).write_text(render())
