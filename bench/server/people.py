"""Who logs in: groups of accounts that are alike, and their one password. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

PASSWORD = "abcde-fghjk-mnpqr-stuvw-xyz23"  # noqa: S105  # of accounts that live for minutes
"""It has the form of a device's password, so that it can be either."""

SHARED_DOMAIN, PRIVATE_DOMAIN = "example.com", "private.example.com"


@dataclass(frozen=True, slots=True)
class Population:
    """Accounts that are alike.

    Attributes:
        name: theirs begin with it.
        users: how many.
        messages: in each maildrop.
        octets: about how many each message has.
        has_device: whether the password is a device's in Mailkeep.
        is_dear: whether the hash is argon2id in Dovecot as well.
        is_private: whether each server has maildrops of its own, because what one does to them
            would change what the other finds.
    """

    name: str
    users: int
    messages: int = 0
    octets: int = 0
    has_device: bool = False
    is_dear: bool = False
    is_private: bool = False

    @property
    def domain(self) -> str:
        """Where they live: one folder of Maildirs a domain."""
        return PRIVATE_DOMAIN if self.is_private else SHARED_DOMAIN

    @property
    def user_format(self) -> str:
        """What the load program makes their names of."""
        return f"{self.name}%d@{self.domain}"

    @property
    def addresses(self) -> Iterator[str]:
        """All of them."""
        return (self.user_format % number for number in range(self.users))


MAIL = Population("mail", 200, 20, 5_000)
DEAR = Population("dear", 8, 20, 5_000, is_dear=True)
POLL = Population("poll", 3, 10_000, 2_000)
LARGE = Population("large", 8, 8, 1_000_000)
STORED = Population("stored", 8, 8, 1_000_000, is_private=True)
DELETED = Population("deleted", 4, 1_000, 5_000, is_private=True)
BIG = Population("big", 1, 100_000, 2_000)
IDLE = Population("idle", 5_000, 2, 5_000, has_device=True)
SLOW = Population("slow", 1_800, 2, 64_000, has_device=True)
