"""What is measured: the rows of the table, in the long form and in the one for every day."""

from dataclasses import dataclass

MAIL_OCTETS = 4096
"""A mail with a few paragraphs and the headers that it collects on the way."""

LARGE_OCTETS = 10_000_000
"""A mail with photographs."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question to all programs.

    Attributes:
        name: for `--only`, the same in both forms.
        messages, octets: how many are in the mailbox, of which size.
        round_trip_ms: to the server.
        again: everything was fetched before; the row is about finding that out.
    """

    name: str
    messages: int
    octets: int
    round_trip_ms: int
    again: bool = False

    @property
    def title(self) -> str:
        """In words."""
        size = "10 MB" if self.octets == LARGE_OCTETS else "4 kB"
        count = f"{self.messages:,}"
        what = f"nothing new among {count}" if self.again else f"{count} x {size}"
        return f"{what}, round trip {self.round_trip_ms} ms"

    @property
    def mailbox(self) -> str:
        """Whose name the account has; rows of the same mail share it."""
        return f"m{self.messages}x{self.octets}"


LONG = (
    Row("4k-0ms", 10_000, MAIL_OCTETS, 0),
    Row("4k-25ms", 10_000, MAIL_OCTETS, 25),
    Row("4k-100ms", 1_000, MAIL_OCTETS, 100),
    Row("10M-0ms", 100, LARGE_OCTETS, 0),
    Row("again", 100_000, MAIL_OCTETS, 0, again=True),
)
"""Twenty minutes, of which programs that wait for each answer take fifteen."""

SHORT = (
    Row("4k-0ms", 1_000, MAIL_OCTETS, 0),
    Row("4k-25ms", 1_000, MAIL_OCTETS, 25),
    Row("4k-100ms", 200, MAIL_OCTETS, 100),
    Row("10M-0ms", 10, LARGE_OCTETS, 0),
    Row("again", 10_000, MAIL_OCTETS, 0, again=True),
)
"""Three minutes."""

LONG_LIMIT_S = 120.0
SHORT_LIMIT_S = 20.0
"""After which a program is stopped and its rate so far is given."""
