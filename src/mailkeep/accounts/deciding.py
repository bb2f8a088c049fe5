"""Whom a proof lets in: the whole decision, pure.

What was read and what was proved are arguments, and so are the clock and the place.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mailkeep.accounts.seam import Account, AccountState, Device, MainPasswordPolicy, Refusal
from mailkeep.values import AccountId, Address, IpAddress

NOBODY = AccountId(0)
"""Stands in for an account that is not there; a table's numbers start at 1."""


class Proven(Enum):
    """A good proof that is not a device's."""

    MAIN_PASSWORD = "main password"  # noqa: S105  # a kind, not a password
    TOKEN = "token"  # noqa: S105  # a kind


Proof = Device | Proven | Refusal
"""What somebody has proved to have, or how it is called that nothing was proved."""

_SAY_NO_NAME = frozenset({Refusal.BAD_TOKEN, Refusal.UNKNOWN_CERTIFICATE})
"""Those who have them need not give a name, so it is not the name that is wrong."""


@dataclass(slots=True)
class Evidence:
    """What is known about a login when it is decided."""

    address: Address | None
    """Which is meant; None when the name can be none."""
    account: Account
    """The one that the address names, or nobody's."""
    proof: Proof


@dataclass(slots=True)
class Circumstances:
    """Where and when, and what the site's settings say."""

    source: IpAddress
    now: datetime
    policy: MainPasswordPolicy
    """For accounts that have none of their own."""


def decide_login(evidence: Evidence, circumstances: Circumstances) -> Refusal | None:
    """Return why a login is refused, `None` when it is not."""
    if isinstance(evidence.proof, Refusal) and evidence.proof in _SAY_NO_NAME:
        return evidence.proof
    if evidence.address is None:
        return Refusal.UNUSABLE_NAME
    return judge_account(evidence.account, circumstances.now) or _judge_proof(
        evidence.account, evidence.proof, circumstances
    )


def judge_account(account: Account, now: datetime) -> Refusal | None:
    """Return why nobody may use an account now, whatever they prove."""
    if account.id == NOBODY:
        return Refusal.UNKNOWN_ACCOUNT
    if account.state is not AccountState.ENABLED:
        return Refusal.DISABLED
    return Refusal.EXPIRED if _is_over(account.expires, now) else None


def judge_main_password(account: Account, policy: MainPasswordPolicy) -> Refusal | None:
    """Return why a right main password is not accepted."""
    devices_only = (account.main_password or policy) is MainPasswordPolicy.DEVICES_ONLY
    return Refusal.DEVICES_ONLY if devices_only else None


def judge_device(device: Device, source: IpAddress | None, now: datetime) -> Refusal | None:
    """Return why a device may not log in.

    Args:
        device: whose proof is right.
        source: where it is; None when that was judged before.
        now: an aware time.
    """
    if _is_over(device.until, now):
        return Refusal.DEVICE_EXPIRED
    if source is None or not device.networks:
        return None
    if any(source in network for network in device.networks):
        return None
    return Refusal.DEVICE_ELSEWHERE


def _judge_proof(account: Account, proof: Proof, circumstances: Circumstances) -> Refusal | None:
    match proof:
        case Refusal():
            return proof
        case Device():
            return judge_device(proof, circumstances.source, circumstances.now)
        case Proven.MAIN_PASSWORD:
            return judge_main_password(account, circumstances.policy)
        case Proven.TOKEN:
            return None


def _is_over(until: datetime | None, now: datetime) -> bool:
    return until is not None and now >= until
