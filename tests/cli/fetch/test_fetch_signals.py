"""`mailkeep fetch` that is ended in the middle, or stays: signals, `--max-time`, `--every`.

In processes of their own: signals belong to a process.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from tests.cli.fetch.mailbox import Mailbox, mail, stored, subjects
from tests.harness.programs import DEADLINE_S, Background
from tests.harness.site import MAILKEEP, PASSWORD, python_path

from mailkeep.cli.fetch.running import GRACE_S
from mailkeep.fetch.failures import FetchExit
from mailkeep.testing.odd_server import (
    Action,
    Answer,
    Login,
    Oddity,
    OddMailbox,
    OddSession,
    Pause,
    RunningOddServer,
    running_odd_server,
)

COUNT = 400
BODIES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(COUNT)]
_AT_ONCE_S = GRACE_S - 2


class Slow(Oddity):
    """Wait before each message, and for ever before one of them."""

    def __init__(self, pause_s: float, *, hushed: int | None = None) -> None:
        self.pause_s = pause_s
        self.hushed = hushed
        self.is_hushed = threading.Event()

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """See `Oddity`."""
        if session.command.word != b"RETR":
            return answer
        if session.command.number == self.hushed:
            self.is_hushed.set()
            return Answer(b"", (Action.HUSH,))
        return Answer(answer.status, chain((Pause(self.pause_s),), answer.body))


@dataclass(frozen=True, slots=True)
class Place:
    """A server that can be slow, and a Maildir to fetch into."""

    server: RunningOddServer
    slow: Slow
    folder: Path
    closing: ExitStack

    @property
    def maildir(self) -> Path:
        return self.folder / "Mail"

    def start(self, *arguments: str) -> Background:
        """Begin to fetch, in clear text on this machine."""
        url = f"pop3://alice@127.0.0.1:{self.server.port}"
        words = (url, "--cleartext", "--to", f"maildir:{self.maildir}", "--json", *arguments)
        running = start(self.folder, *words, secret=Login().password.decode())
        self.closing.callback(running.stop)
        return running

    def fetch_the_rest(self) -> int:
        """Fetch at full speed what is left, and return how many messages that were."""
        self.slow.pause_s, self.slow.hushed = 0, None
        running = self.start()
        assert running.wait() == 0, running.log
        return int(last_event(running)["fetched"])

    def check_all_is_here_once(self) -> None:
        assert sorted(stored(self.maildir).elements()) == sorted(BODIES)
        assert [*(self.maildir / "tmp").iterdir()] == []


def start(folder: Path, *arguments: str, secret: str) -> Background:
    """Start `mailkeep fetch` with its state in a folder and its password in a file."""
    path = folder / "password"
    path.write_text(f"{secret}\n")
    path.chmod(0o600)
    common = ("--state", str(folder / "state"), "--password-file", str(path))
    words = (*MAILKEEP, "fetch", *arguments, *common)
    return Background(words, environment={**python_path(), "SSL_CERT_FILE": os.devnull})


def events(running: Background) -> list[dict[str, Any]]:
    lines = [line for line in running.log.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def last_event(running: Background) -> dict[str, Any]:
    return events(running)[-1]


def has_come(messages: int, line: str) -> bool:
    """Tell whether a line says that so many messages have arrived."""
    if not line.startswith("{"):
        return False
    event = json.loads(line)
    return event["event"] == "progress" and int(event["messages"]) >= messages


@contextmanager
def serving(folder: Path, slow: Slow) -> Iterator[Place]:
    with running_odd_server(OddMailbox.of(*BODIES), slow) as server, ExitStack() as closing:
        yield Place(server, slow, folder, closing)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_in_order(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """What has come whole is stored and is not fetched again; nothing is doubled."""
    with serving(tmp_path, Slow(0.02)) as place:
        running = place.start()
        running.wait_for(lambda line: has_come(20, line), "twenty messages")
        os.kill(running.pid, number)
        assert running.wait() == code, running.log
        assert "stopping; what was stored stays" in running.log
        ended = last_event(running)
        here = stored(place.maildir).total()
        assert 20 <= here < COUNT
        assert (ended["code"], ended["fetched"]) == (130, here)
        assert place.fetch_the_rest() == COUNT - here
        place.check_all_is_here_once()


def test_a_signal_does_not_wait_long_for_a_silent_server(tmp_path: Path) -> None:
    """After five seconds what waits for the network is dropped; what came before is stored."""
    with serving(tmp_path, Slow(0.02, hushed=31)) as place:
        running = place.start()
        assert place.slow.is_hushed.wait(DEADLINE_S)
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait() == 143, running.log
        here = stored(place.maildir).total()
        assert 20 <= here <= 30  # the last ones may have been under way
        assert place.fetch_the_rest() == COUNT - here
        place.check_all_is_here_once()


@pytest.mark.parametrize(
    ("second", "codes"),
    [(signal.SIGINT, {130}), (signal.SIGTERM, {143, -signal.SIGTERM})],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_second_signal_ends_at_once(
    tmp_path: Path, second: signal.Signals, codes: set[int]
) -> None:
    """Somebody who means it is not made to wait; a run afterwards loses and doubles nothing."""
    with serving(tmp_path, Slow(0.02, hushed=31)) as place:
        running = place.start()
        assert place.slow.is_hushed.wait(DEADLINE_S)
        os.kill(running.pid, signal.SIGTERM)
        running.wait_for(lambda line: line.startswith("stopping"), "that it stops")
        began = time.monotonic()
        os.kill(running.pid, second)
        assert running.wait() in codes, running.log
        assert time.monotonic() - began < _AT_ONCE_S
        assert "Traceback" not in running.log
        place.fetch_the_rest()
        place.check_all_is_here_once()


def test_max_time_ends_and_the_rest_comes_the_next_time(tmp_path: Path) -> None:
    """Exit code 12, and what has come is stored."""
    with serving(tmp_path, Slow(0.02)) as place:
        running = place.start("--max-time", "1s")
        assert running.wait() == FetchExit.LIMIT, running.log
        here = stored(place.maildir).total()
        assert 0 < here < COUNT
        assert last_event(running)["fetched"] == here
        assert place.fetch_the_rest() == COUNT - here
        place.check_all_is_here_once()


def test_every_looks_again_until_it_is_ended(mailbox: Mailbox, tmp_path: Path) -> None:
    """`--every 1s` stays, brings what has come since, and ends in order on SIGTERM."""
    mailbox.deliver(mail("before"))
    words = (mailbox.url, *mailbox.options()[:-1], "--every", "1s", "--json")
    running = start(tmp_path, *words, secret=PASSWORD)
    try:
        seen: set[str] = set()
        running.wait_for(lambda line: is_new(line, seen), "that the first message was stored")
        for subject in ("first", "second"):
            mailbox.deliver(mail(subject))
            running.wait_for(lambda line: is_new(line, seen), f"that {subject} was stored")
    finally:
        code = running.stop()
    assert code == 143, running.log
    assert subjects(mailbox.maildir) == ["before", "first", "second"]
    ended = [event["code"] for event in events(running) if event["event"] == "ended"]
    assert len(ended) >= 3
    assert set(ended) <= {0, 130}


def is_new(line: str, seen: set[str]) -> bool:
    """Tell whether a line says for the first time that a message was stored."""
    if '"message_stored"' not in line or line in seen:
        return False
    seen.add(line)
    return True
