"""The questions that a login asks: who is named, and whom do these credentials let in?

The outside learns nothing: whatever is wrong with a password, its refusal has done the same work,
exactly one argon2 among it. A right password of a device, or a main one that is remembered, costs
none. The account is read when somebody is named, and again when it is decided, because in between
there may be seconds of delay and of waiting for argon2: what was disabled or changed meanwhile is
refused.

Known limits: slowing guessers down is not this room's business. An imported hash takes its own time
besides the argon2, until its owner has logged in once.
"""

import contextlib
import functools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from mailkeep.accounts.counts import CountsInUse
from mailkeep.accounts.credentials import Credential, Credentials
from mailkeep.accounts.deciding import (
    Circumstances,
    Evidence,
    Proven,
    decide_login,
    judge_account,
    judge_device,
    judge_main_password,
)
from mailkeep.accounts.hashing import HashingPool, QueueFull
from mailkeep.accounts.identifying import NO_NAME, Identifying, Known
from mailkeep.accounts.imported import UnusableHash
from mailkeep.accounts.keying import KEY_OCTETS, Keying, ScramBase
from mailkeep.accounts.main_password import Compared, MainPasswords
from mailkeep.accounts.memory import PasswordMemory
from mailkeep.accounts.passwords import HashUnusable, Passwords
from mailkeep.accounts.questions import PasswordQuestion, Question, read_address, show_name
from mailkeep.accounts.seam import (
    Admission,
    CheckUnavailable,
    Claim,
    Device,
    Identified,
    LoginRefused,
    MainPasswordPolicy,
    ScramCredentials,
    ScramKey,
    TokenCheck,
    TokenCheckUnavailable,
)
from mailkeep.accounts.uses import LastUses, Use
from mailkeep.database import DatabaseUnavailable
from mailkeep.values import IpAddress, Secret

_CANNOT_TELL = (
    DatabaseUnavailable, HashUnusable, QueueFull, TokenCheckUnavailable, UnusableHash,
)  # fmt: skip


_ADDRESSES_KEPT = 1024
"""Whose text need not be made again: it takes longer than the look at an account's last use."""

_text_of: Callable[[IpAddress], str] = functools.lru_cache(_ADDRESSES_KEPT)(str)


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """What an operator has set."""

    default_domain: str
    """What a name without a domain belongs to."""
    remembered_s: float
    """Seconds for which a right main password costs no second hash; 0 for none."""
    main_password: MainPasswordPolicy = MainPasswordPolicy.ALLOW
    """For accounts that have no policy of their own."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where the time comes from."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """An aware time."""
    monotonic_s: Callable[[], float] = time.monotonic


class PasswordChecker:
    """Answers for the logins of one event loop; see `LoginCheck`.

    Args:
        credentials: where they are read.
        passwords: how main passwords are hashed.
        pool: where that happens.
        keying: of the site.
        uses: where last uses go.
        settings: the operator's.
        tokens: None when no token is good; closed with this.
        clocks: for tests.
    """

    def __init__(
        self,
        credentials: Credentials,
        passwords: Passwords,
        pool: HashingPool,
        keying: Keying,
        uses: LastUses,
        *,
        settings: CheckSettings,
        tokens: TokenCheck | None = None,
        clocks: Clocks = Clocks(),
    ) -> None:
        self._credentials = credentials
        self._keying = keying
        self._uses = uses
        self._tokens = tokens
        self._settings = settings
        self._now = clocks.now
        memory = PasswordMemory(clocks.monotonic_s, lifetime_s=settings.remembered_s)
        self._main = MainPasswords(credentials, passwords, pool, memory)
        self._counts = CountsInUse(
            credentials, default=keying.scram_iterations, monotonic_s=clocks.monotonic_s
        )
        self._identifying = Identifying(
            credentials,
            keying,
            default_domain=settings.default_domain,
            tokens=tokens,
        )

    def offers_scram(self) -> bool:
        """Tell whether SCRAM can work for anybody; see `LoginCheck`."""
        return self._counts.has_any

    async def look_again(self) -> None:
        """Read what is kept about all accounts; see `LoginCheck`."""
        self._credentials.look_again()
        with contextlib.suppress(DatabaseUnavailable):  # what was read before stays
            await self._counts.refresh(now=True)

    async def scram_keys(self, name_untrusted: bytes) -> ScramCredentials:
        """Return what a client is to prove itself against; see `LoginCheck`."""
        address = read_address(name_untrusted, self._settings.default_domain)
        try:
            credential = await self._credentials.find(address or NO_NAME)
            await self._counts.refresh()
        except DatabaseUnavailable as cause:
            raise CheckUnavailable(str(cause)) from cause
        made_up = self._made_up_base(show_name(name_untrusted) if address is None else str(address))
        base = credential.base or made_up
        return ScramCredentials(
            base.salt, base.iterations, credential.scram_keys or (_key_that_nobody_knows(),)
        )

    async def identify(self, claim: Claim) -> Identified:
        """Find out who is named; see `LoginCheck`."""
        try:
            return await self._identifying.identify(claim)
        except _CANNOT_TELL as cause:
            raise CheckUnavailable(str(cause)) from cause

    async def verify(self, identified: Identified, source: IpAddress) -> Admission:
        """Return what the claim lets in; see `LoginCheck`."""
        known = identified.known
        if not isinstance(known, Known):
            raise TypeError("verify takes what identify returned")
        question = known.question
        try:
            if isinstance(question, PasswordQuestion):
                return await self._verify_password(known, question, source)
            now = await self._read_again(question)
        except _CANNOT_TELL as cause:
            raise CheckUnavailable(str(cause)) from cause
        return self._admit(question.evidence(now), now, source)

    async def pay(self, identified: Identified) -> None:
        """Spend the hash that right credentials owe; see `LoginCheck`."""
        known = identified.known
        if not isinstance(known, Known) or not isinstance(known.question, PasswordQuestion):
            return
        try:
            await self._main.pay(known.question.password)
        except _CANNOT_TELL as cause:
            raise CheckUnavailable(str(cause)) from cause

    async def note_use(self, admission: Admission, source: IpAddress, client: str) -> None:
        """Remember that a login succeeded; see `LoginCheck`."""
        device = None if admission.device is None else admission.device.id
        used_by, address = (admission.account.id, device), _text_of(source)
        if not self._uses.has_written(used_by, address):
            self._uses.note(used_by, Use(self._now(), address, client))

    async def is_still_good(self, admission: Admission) -> bool:
        """Tell whether an open session may go on; see `LoginCheck`."""
        self._credentials.look_again()
        try:
            credential = await self._credentials.find(admission.account.address)
        except DatabaseUnavailable:
            return True
        return may_go_on(admission, credential, self._now(), self._settings.main_password)

    async def close(self) -> None:
        """Check no more tokens and write what is left; the database is still open."""
        if self._tokens is not None:
            self._tokens.close()
        await self._uses.close()

    async def _verify_password(
        self, known: Known, question: PasswordQuestion, source: IpAddress
    ) -> Admission:
        """Compare by a hash, unless it is a device's password, or a main one that is remembered."""
        evidence = known.evidence
        if not isinstance(evidence.proof, Device):
            if not self._main.recalls(known.credential, question.password):
                compared = await self._main.compare(known.credential, question.password)
                return await self._decide(known, question, compared, source)
            evidence = _by_main_password(evidence)
        refusal = decide_login(evidence, self._circumstances(source))
        if refusal is None and self._identifying.at_hand(question) is known.credential:
            return _admission(evidence, known.credential, owes_a_hash=True)
        if refusal is not None:  # paid before the reading, as for a wrong password
            await self._main.pay(question.password)
        is_main = evidence.proof is Proven.MAIN_PASSWORD
        compared = Compared(is_main, has_cost_a_hash=refusal is not None)
        return await self._decide(known, question, compared, source)

    async def _decide(
        self, known: Known, question: PasswordQuestion, compared: Compared, source: IpAddress
    ) -> Admission:
        """Decide by what is true now; a refusal that has not cost a hash costs one."""
        now = await self._read_again(question)
        evidence = question.evidence(now)
        if compared.is_right and _is_same_password(known.credential, now):
            evidence = _by_main_password(evidence)
        owes_a_hash = not (compared.has_cost_a_hash or compared.is_news)
        try:
            admission = self._admit(evidence, now, source, owes_a_hash=owes_a_hash)
        except LoginRefused:
            if not compared.has_cost_a_hash:
                await self._main.pay(question.password)
            raise
        if admission.by_main_password and compared.is_news and question.password is not None:
            await self._main.keep(now, question.password)
        return admission

    async def _read_again(self, question: Question) -> Credential:
        return self._identifying.at_hand(question) or await self._identifying.read(question)

    def _admit(
        self,
        evidence: Evidence,
        credential: Credential,
        source: IpAddress,
        *,
        owes_a_hash: bool = False,
    ) -> Admission:
        refusal = decide_login(evidence, self._circumstances(source))
        if refusal is not None:
            raise LoginRefused(refusal)
        return _admission(evidence, credential, owes_a_hash=owes_a_hash)

    def _circumstances(self, source: IpAddress) -> Circumstances:
        return Circumstances(source, self._now(), self._settings.main_password)

    def _made_up_base(self, name: str) -> ScramBase:
        salt = self._keying.salt_for(name)
        return ScramBase(salt, self._counts.choose(self._keying.share_of(name)))


def may_go_on(
    admission: Admission, credential: Credential, now: datetime, policy: MainPasswordPolicy
) -> bool:
    """Tell whether a session that was let in would be let in again.

    Args:
        admission: what let it in.
        credential: what the address of its account logs in with now.
        now: an aware time.
        policy: the site's.
    """
    account = credential.account
    if account.id != admission.account.id or judge_account(account, now) is not None:
        return False
    if admission.by_main_password:
        is_same = credential.version == admission.version
        return is_same and judge_main_password(account, policy) is None
    return admission.device is None or _device_may_go_on(admission.device, credential, now)


def _device_may_go_on(before: Device, credential: Credential, now: datetime) -> bool:
    for one in credential.devices:
        if one.device.id == before.id:
            return one.device.may is before.may and judge_device(one.device, None, now) is None
    return False


def _admission(evidence: Evidence, credential: Credential, *, owes_a_hash: bool) -> Admission:
    proof = evidence.proof
    device = proof if isinstance(proof, Device) else None
    by_main_password = proof is Proven.MAIN_PASSWORD
    return Admission(evidence.account, device, by_main_password, credential.version, owes_a_hash)


def _by_main_password(evidence: Evidence) -> Evidence:
    """Return the evidence with the main password proved, unless a device's was."""
    if isinstance(evidence.proof, Device):
        return evidence
    return Evidence(evidence.address, evidence.account, Proven.MAIN_PASSWORD)


def _is_same_password(before: Credential, now: Credential) -> bool:
    return (before.account.id, before.version) == (now.account.id, now.version)


def _key_that_nobody_knows() -> ScramKey:
    stored_key, server_key = (Secret(secrets.token_bytes(KEY_OCTETS)) for _ in range(2))
    return ScramKey(stored_key, server_key, None)
