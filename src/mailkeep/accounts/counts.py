"""Which SCRAM iteration count a name gets that has no keys.

An account keeps the count that its first keys were made with, and the site's setting may change
later: if every made-up answer had today's setting, all others would be known to be real. So names
share out the counts in use as the accounts do, each name always the same way.

Known limit: when many accounts change, the made-up count of some names changes with them.
"""

from collections.abc import Callable, Sequence

from mailkeep.accounts.credentials import Credentials

REFRESH_S = 600.0
"""A count comes into use with an account's first device; nobody watches for it by the minute."""


class CountsInUse:
    """The counts of all accounts, read now and then. Belongs to one event loop.

    Args:
        credentials: where they are read.
        default: the count while no account has keys.
        monotonic_s: a clock that only goes forward.
    """

    def __init__(
        self, credentials: Credentials, *, default: int, monotonic_s: Callable[[], float]
    ) -> None:
        self._credentials = credentials
        self._default = default
        self._monotonic_s = monotonic_s
        self._counts: Sequence[tuple[int, int]] = ()
        self._stale_at_s = monotonic_s()

    @property
    def has_any(self) -> bool:
        """Whether any account has keys, as far as was read."""
        return bool(self._counts)

    async def refresh(self, *, now: bool = False) -> None:
        """Read the counts if they are old, whoever asks.

        Args:
            now: read them even if they are not.

        Raises:
            DatabaseUnavailable: they cannot be read.
        """
        if self._monotonic_s() < self._stale_at_s and not now:
            return
        self._counts = await self._credentials.counts_in_use()
        self._stale_at_s = self._monotonic_s() + REFRESH_S

    def choose(self, share: float) -> int:
        """Return the count of a name that has this share (see `Keying.share_of`)."""
        return choose_count(self._counts, share, default=self._default)


def choose_count(counts: Sequence[tuple[int, int]], share: float, *, default: int) -> int:
    """Return one of the counts, as often as accounts have it.

    Args:
        counts: iteration counts and how many accounts have each.
        share: from 0 up to 1.
        default: for when there are none.
    """
    rest = share * sum(accounts for _, accounts in counts)
    for count, accounts in counts:
        if rest < accounts:
            return count
        rest -= accounts
    return default
