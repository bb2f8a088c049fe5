"""What a person at a terminal sees of a fetch: a line that moves for each account that is fetched.

Warnings, failures and each account's end stand above the bars and stay. Colours only repeat what
words say; NO_COLOR is honoured by `rich`. Where standard error is no terminal, there is no bar and
no escape code. This module imports `rich` (40 ms), so it is imported late.

Known limit: whoever asks for a password does so before or on another terminal: the bar is drawn
again five times a second.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mailkeep.cli.fetch.sentences import tell_news, tell_trouble
from mailkeep.cli.fetch.so_far import SoFar
from mailkeep.cli.fetch.untrusted import cut
from mailkeep.cli.talk import printable
from mailkeep.fetch.events import Ended, Event, Planned

_REFRESHES_PER_S = 5
_BAR_COLUMNS = 72
"""A narrower terminal has no room for a bar and a rate beside the numbers."""
_STYLES = {"error": "bold red", "warning": "yellow"}


class BarReporter:
    """Shows accounts while they are fetched; a context manager, so that the cursor comes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin, on what is standard error now.

        Args:
            clock: seconds, never going back.
        """
        self._clock = clock
        self._accounts: dict[str, SoFar] = {}
        self._lock = threading.Lock()  # rich draws from a thread of its own
        self._console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_REFRESHES_PER_S,
            redirect_stdout=False,  # data goes where the user has sent it
            transient=True,
        )

    def __enter__(self) -> Self:
        """Hide the cursor and begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bars and give the cursor back."""
        with contextlib.suppress(OSError):  # the terminal is gone
            self._live.stop()

    def __call__(self, account: str, event: Event, /) -> None:
        """Show an event of an account."""
        with self._lock:
            if isinstance(event, Ended):
                self._accounts.pop(account, None)
            else:
                self._accounts.setdefault(account, SoFar()).note(event, self._clock())
        news = [] if isinstance(event, Planned) else tell_news(account, event)
        for line in (*news, *tell_trouble(account, event)):
            with contextlib.suppress(OSError):  # the terminal is gone; the mail is not
                self._console.print(_coloured(line))

    def _draw(self) -> Table:
        width = self._console.width
        is_wide = width >= _BAR_COLUMNS
        table = Table.grid(padding=(0, 2, 0, 0), expand=is_wide)
        table.add_column(no_wrap=True)
        if is_wide:
            table.add_column(ratio=1, min_width=4)
        now = self._clock()
        with self._lock:
            for account, so_far in self._accounts.items():
                name = Text(cut(printable(account), max(8, width // 3)))
                messages, octets, rate, left = so_far.words(now)
                words = (messages or so_far.stage, octets, *([rate] if is_wide else []), left)
                bar = [ProgressBar(1.0, so_far.fraction)] if is_wide else []
                table.add_row(name, *bar, *(Text(w, justify="right", no_wrap=True) for w in words))
        return table


def _coloured(line: str) -> Text:
    text = Text(line)
    kind = line.partition(":")[0]
    if style := _STYLES.get(kind):
        text.stylize(style, 0, len(kind) + 1)
    return text
