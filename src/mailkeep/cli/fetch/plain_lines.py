"""What a log, a mail of cron or a dumb terminal is told of a fetch: few lines, on standard error.

Known limit: lines are lost while standard error is full or gone; the mail is more important.
"""

import contextlib
import time
from collections.abc import Callable

from mailkeep.cli.fetch.sentences import tell_news, tell_trouble
from mailkeep.cli.fetch.so_far import SoFar
from mailkeep.cli.talk import printable, say
from mailkeep.fetch.events import Ended, Event, MessageStored, Planned, Progress

PROGRESS_S = 10.0
"""Between two lines of progress of an account, so that an hour's log can be read."""


class PlainReporter:
    """Tells plan, progress, trouble and end in lines without any escape code."""

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            quiet: tell warnings and errors only.
            clock: seconds, never going back.
        """
        self._quiet = quiet
        self._clock = clock
        self._accounts: dict[str, SoFar] = {}
        self._told: dict[str, float] = {}

    def __call__(self, account: str, event: Event, /) -> None:
        """Tell an event of an account, if it is worth a line."""
        if not self._quiet:
            _say(tell_news(account, event))
            _say(self._tell_progress(account, event))
        _say(tell_trouble(account, event))

    def _tell_progress(self, account: str, event: Event) -> list[str]:
        now = self._clock()
        so_far = self._accounts.setdefault(account, SoFar())
        so_far.note(event, now)
        if isinstance(event, Ended):
            del self._accounts[account]
        if isinstance(event, Planned):
            self._told[account] = now
        is_due = now - self._told.get(account, now) >= PROGRESS_S
        if not (is_due and isinstance(event, Progress | MessageStored)):
            return []
        self._told[account] = now
        messages, octets, rate, left = so_far.words(now)
        said = [f"{messages} messages", octets, rate, left and f"{left} left"]
        return [f"{printable(account)}: {', '.join(filter(None, said))}"]


def _say(lines: list[str]) -> None:
    with contextlib.suppress(OSError):  # nobody is there to be told
        for line in lines:
            say(line)
