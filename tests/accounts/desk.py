"""A checker over real tables, and all that a test wants to see or turn."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from tests.accounts.counting import CountingCredentials, CountingPasswords, cheap_keying

from mailkeep.accounts import (
    Admission,
    Claim,
    LoginRefused,
    MainPasswordPolicy,
    PasswordClaim,
    Refusal,
    TokenCheck,
)
from mailkeep.accounts.check import CheckSettings, Clocks, PasswordChecker
from mailkeep.accounts.credentials import FRESH_S
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.hashing import HashingPool
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.uses import LastUses
from mailkeep.database.engine import Database
from mailkeep.values import Address, IpAddress, Secret

HERE = "mail.example.com"
REMEMBERED_S = 300.0
RIGHT = "correct horse \u00e9"
CHEAP = "$argon2id$v=19$m=8,t=1,p=1"
OFFICE = ip_address("192.0.2.7")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)

RECALLED = ["find", "find"]
LET_IN = ["find", f"verify {CHEAP}", "find"]
REFUSED = LET_IN
"""The same work: the outside learns nothing."""


@dataclass
class Desk:
    """A checker with clocks that are set by hand."""

    database: Database
    passwords: CountingPasswords = field(default_factory=CountingPasswords)
    policy: MainPasswordPolicy = MainPasswordPolicy.ALLOW
    tokens: TokenCheck | None = None
    now_s: float = 1000.0
    between_s: float = 0.04
    """From being named to being decided."""
    now: datetime = START
    work: list[str] = field(default_factory=list)
    keying: Keying = field(default_factory=cheap_keying)
    directory: AccountDirectory = field(init=False)
    credentials: CountingCredentials = field(init=False)
    uses: LastUses = field(init=False)
    checker: PasswordChecker = field(init=False)

    def __post_init__(self) -> None:
        self.pool = HashingPool(threads=1, waiting_limit=2)
        self.credentials = CountingCredentials(
            self.database,
            nobodys_hash=self.passwords.nobodys_hash(),
            monotonic_s=lambda: self.now_s,
        )
        self.directory = AccountDirectory(
            self.database, CountingPasswords(), self.keying, by="root", now=lambda: self.now
        )
        self.restart()

    def restart(self) -> None:
        """Begin with nothing remembered."""
        self.passwords.work = self.credentials.work = self.work
        self.uses = LastUses(self.database, lambda: self.now_s)
        self.checker = PasswordChecker(
            self.credentials,
            self.passwords,
            self.pool,
            self.keying,
            self.uses,
            settings=CheckSettings(HERE, REMEMBERED_S, self.policy),
            tokens=self.tokens,
            clocks=Clocks(now=lambda: self.now, monotonic_s=lambda: self.now_s),
        )

    async def admit(self, claim: Claim, source: IpAddress = OFFICE) -> Admission:
        """Let a claim through both steps, some time apart, and some time after what was before."""
        self.now_s += 2 * FRESH_S
        identified = await self.checker.identify(claim)
        self.now_s += self.between_s
        return await self.checker.verify(identified, source)

    async def login(
        self, name: bytes | str, password: bytes | str, source: IpAddress = OFFICE
    ) -> list[str] | Refusal:
        """Return the work that it took to let somebody in, or why it was refused."""
        return await self.try_claim(password_claim(name, password), source)

    async def try_claim(self, claim: Claim, source: IpAddress = OFFICE) -> list[str] | Refusal:
        """Return the work that it took to let a claim in, or why it was refused."""
        self.work.clear()
        try:
            await self.admit(claim, source)
        except LoginRefused as refused:
            return refused.reason
        return list(self.work)


def password_claim(name: bytes | str, password: bytes | str) -> PasswordClaim:
    """Return what USER and PASS bring."""
    name = name.encode() if isinstance(name, str) else name
    password = password.encode() if isinstance(password, str) else password
    return PasswordClaim(name, Secret(password))


def address(name: str) -> Address:
    """Return an address of the site."""
    return Address.parse(name, default_domain=HERE)
