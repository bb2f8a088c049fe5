"""Real argon2 at its cheapest, counted; and the reading of accounts, written down."""

from mailkeep.accounts.credentials import Credential, Credentials
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.site_key import SiteKey
from mailkeep.values import Address, Secret

ITERATIONS = 4096


def cheap_keying(key: bytes = b"k" * 32, iterations: int = ITERATIONS) -> Keying:
    """Return what a site with this key seals with; SCRAM as cheap as it may be."""
    return Keying(SiteKey(Secret(key)), scram_iterations=iterations)


class CountingPasswords(Argon2Passwords):
    """Writes down each argon2: what it was for, and with which settings."""

    def __init__(self, work: list[str] | None = None, *, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_kib=8)
        self.work = [] if work is None else work

    def hash(self, password: Secret) -> str:
        self.work.append("hash")
        return super().hash(password)

    def verify(self, kept: str, password: Secret) -> bool:
        settings, *_salt_and_hash = kept.rsplit("$", 2)
        self.work.append(f"verify {settings}")
        return super().verify(kept, password)


class CountingCredentials(Credentials):
    """Writes down each reading of the table."""

    work: list[str]

    def at_hand(self, address: Address) -> Credential | None:
        found = super().at_hand(address)
        if found is not None:
            self.work.append("find")
        return found

    async def find(self, address: Address) -> Credential:
        self.work.append("find")
        return await super().find(address)

    async def find_by_certificate(self, sha256: str) -> Credential:
        self.work.append("find")
        return await super().find_by_certificate(sha256)
