"""Fetches that are played to a reporter: who tells what when, by a clock of their own.

Run as a program it plays one to the reporter that the command would choose, so that a test can give
it a terminal, a pipe or a closed file.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from mailkeep.fetch.events import (
    Connected,
    Deleted,
    Ended,
    Event,
    LoggedIn,
    MessageAdopted,
    MessageFailed,
    MessageStored,
    Planned,
    Progress,
    Reporter,
    Warned,
)

ALICE = "alice@mail.example.com"
BOB = "bob@mail.example.net"
HOSTILE = "\x1b]0;owned\x07 \x1b[2J\u202egnp.exe\r\nerror: forged" + "A" * 5000
"""A title is set, the screen cleared, a name turned round, a line forged, a screen filled."""

Scene = Sequence[tuple[float, str, Event]]


def login(account: str, at: float, *, tls: str | None = "TLSv1.3") -> Scene:
    host = account.partition("@")[2]
    return [(at, account, Connected(host, 995, tls)), (at, account, LoggedIn("SCRAM-SHA-256"))]


ORDINARY: Scene = [
    *login(ALICE, 0.0),
    (0.2, ALICE, Planned(120, 12, 3_400_000, 0, 5)),
    *login(BOB, 0.5, tls=None),
    (1.2, ALICE, Progress(2, 500_000)),
    (2.2, ALICE, Progress(5, 1_000_000)),
    (2.3, ALICE, MessageAdopted(b"uid-1", 2_000)),
    (2.4, ALICE, MessageFailed(b"uid-7", "the server does not give it: in use", 1, False)),
    (2.4, ALICE, MessageFailed(b"uid-8", "the server does not give it: gone", 3, True)),
    (3.2, BOB, Warned("the server has no unique-ids; headers tell messages apart")),
    (13.2, ALICE, Progress(9, 2_900_000)),
    (13.3, BOB, Planned(1, 0, 0, 0, 0)),
    (14.0, BOB, Ended(0, 0, 0, 0, 0, 0, 0, 13.5)),
    (15.0, ALICE, MessageStored(b"uid-2", 3_100_000, ("/home/alice/Mail/new/1.K",))),
    (15.5, ALICE, Deleted(3)),
    (16.0, ALICE, Ended(1, 9, 3_300_000, 1, 2, 3, 0, 75.5)),
]
MIDDLE: Scene = [*ORDINARY[:9], *login("carol@" + "long." * 20 + "example", 3.2), ORDINARY[9]]
"""It ends with a line above the bars, so the bars have been drawn as they are then."""
REFUSED: Scene = [
    *login(ALICE, 0.0)[:1],
    (
        0.4,
        ALICE,
        Ended(
            3, 0, 0, 0, 0, 0, 0, 0.4, f"the server refuses the login: {HOSTILE}", "check the name"
        ),
    ),
]
HARMFUL: Scene = [
    *login(f"{HOSTILE[:12]}@h", 0.0),
    (0.1, f"{HOSTILE[:12]}@h", Planned(10**30, 10**30, 10**400, 0, 0)),
    (0.2, f"{HOSTILE[:12]}@h", Warned(HOSTILE)),
    (0.3, f"{HOSTILE[:12]}@h", MessageFailed(HOSTILE.encode(), HOSTILE, 1, False)),
    (1.3, f"{HOSTILE[:12]}@h", Progress(1, 1)),
    (1.4, f"{HOSTILE[:12]}@h", Warned("[bold]no markup[/bold] :smile: 12")),
    (1.5, f"{HOSTILE[:12]}@h", Ended(8, 0, 10**30, 0, 1, 0, 2, 1.0, HOSTILE, "say so")),
]
RECONNECTED: Scene = [
    *login(ALICE, 0.0),
    (0.0, ALICE, Planned(10, 10, 1_000_000, 0, 0)),
    (5.0, ALICE, Progress(6, 600_000)),
    (5.0, ALICE, Warned("the connection broke; connecting again")),
    *login(ALICE, 6.0),
    (6.0, ALICE, Planned(10, 4, 400_000, 0, 0)),
    (8.0, ALICE, Progress(2, 200_000)),
    (8.0, ALICE, Warned("look")),
]
SCENES = {
    "ordinary": ORDINARY,
    "middle": MIDDLE,
    "refused": REFUSED,
    "harmful": HARMFUL,
    "reconnected": RECONNECTED,
}


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def play(scene: Scene, reporter: Reporter, clock: Clock) -> None:
    for now, account, event in scene:
        clock.now = now
        reporter(account, event)


def _main(reporter_name: str, scene_name: str) -> None:
    """Play a scene to a bar with its clock, or to what the command chooses."""
    clock = Clock()
    if reporter_name == "bar":
        from mailkeep.cli.fetch.progress_bar import BarReporter

        with BarReporter(clock) as reporter:
            play(SCENES[scene_name], reporter, clock)
    else:
        from mailkeep.cli.fetch.showing import choose_reporter

        is_json, is_quiet = reporter_name == "json", reporter_name == "quiet"
        with choose_reporter(json=is_json, quiet=is_quiet) as chosen:
            play(SCENES[scene_name], chosen, clock)


if __name__ == "__main__":
    _main(*sys.argv[1:])
