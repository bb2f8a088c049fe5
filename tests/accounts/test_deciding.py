"""The whole decision about a login, as a table: every combination of what can be known."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from itertools import product

import pytest

from mailkeep.accounts import Account, AccountState, Device, MainPasswordPolicy, May, Refusal
from mailkeep.accounts.deciding import (
    NOBODY,
    Circumstances,
    Evidence,
    Proof,
    Proven,
    decide_login,
    judge_device,
)
from mailkeep.values import AccountId, Address, DeviceId

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
ALICE = Address("alice", "mail.example.com")
OFFICE = ip_address("192.0.2.7")


def device(*, until: datetime | None = None, networks: tuple[str, ...] = ()) -> Device:
    return Device(
        DeviceId(1),
        AccountId(1),
        "printer",
        May.DELETE,
        tuple(ip_network(network) for network in networks),
        until,
        NOW,
        None,
        None,
        None,
    )


def account(
    number: int,
    state: AccountState,
    expires: datetime | None,
    policy: MainPasswordPolicy | None,
) -> Account:
    return Account(AccountId(number), ALICE, state, NOW, NOW, policy, expires)


PROOFS: list[Proof] = [
    *Proven,
    device(),
    Refusal.WRONG_PASSWORD,
    Refusal.WRONG_PROOF,
    Refusal.BAD_TOKEN,
    Refusal.UNKNOWN_CERTIFICATE,
]
ACCOUNTS = [
    account(*one)
    for one in product(
        (NOBODY, 1),
        AccountState,
        (None, NOW, NOW + MOMENT),
        (None, *MainPasswordPolicy),
    )
]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("site", MainPasswordPolicy)
@pytest.mark.parametrize("proof", PROOFS, ids=str)
def test_only_what_has_nothing_against_it_lets_in(
    *, named: bool, site: MainPasswordPolicy, proof: Proof
) -> None:
    """A name, an account that is enabled and not over, a proof, and the policy about it."""
    for one in ACCOUNTS:
        evidence = Evidence(ALICE if named else None, one, proof)
        against = {
            Refusal.UNUSABLE_NAME: not named,
            Refusal.UNKNOWN_ACCOUNT: one.id == NOBODY,
            Refusal.DISABLED: one.state is AccountState.DISABLED,
            Refusal.EXPIRED: one.expires == NOW,
            Refusal.DEVICES_ONLY: proof is Proven.MAIN_PASSWORD
            and (one.main_password or site) is MainPasswordPolicy.DEVICES_ONLY,
            proof: isinstance(proof, Refusal),
        }
        refusal = decide_login(evidence, Circumstances(OFFICE, NOW, site))
        reasons = [reason for reason, holds in against.items() if holds]
        assert (refusal is None) == (not reasons)
        assert refusal is None or refusal in reasons


def test_a_bad_token_or_certificate_is_the_reason_whoever_was_named() -> None:
    """They need no name, so the log must not say that the name was wrong."""
    nobody = account(NOBODY, AccountState.DISABLED, None, None)
    for proof in (Refusal.BAD_TOKEN, Refusal.UNKNOWN_CERTIFICATE):
        evidence = Evidence(None, nobody, proof)
        circumstances = Circumstances(OFFICE, NOW, MainPasswordPolicy.ALLOW)
        assert decide_login(evidence, circumstances) is proof


@pytest.mark.parametrize(
    ("until", "networks", "source", "refusal"),
    [
        (None, (), "192.0.2.7", None),
        (NOW + MOMENT, (), "192.0.2.7", None),
        (NOW, (), "192.0.2.7", Refusal.DEVICE_EXPIRED),
        (NOW - MOMENT, ("192.0.2.0/24",), "192.0.2.7", Refusal.DEVICE_EXPIRED),
        (None, ("192.0.2.0/24",), "192.0.2.255", None),
        (None, ("192.0.2.0/24",), "192.0.3.0", Refusal.DEVICE_ELSEWHERE),
        (None, ("192.0.2.0/24",), "2001:db8::1", Refusal.DEVICE_ELSEWHERE),
        (None, ("10.0.0.0/8", "2001:db8::/32"), "2001:db8:ffff::1", None),
        (None, ("::/0",), "192.0.2.7", Refusal.DEVICE_ELSEWHERE),
        (None, ("192.0.2.0/24",), None, None),
    ],
)
def test_a_device_keeps_to_its_terms(
    until: datetime | None, networks: tuple[str, ...], source: str | None, refusal: Refusal | None
) -> None:
    """Until a moment, and from its networks only; a running session is asked about time alone."""
    where = None if source is None else ip_address(source)
    assert judge_device(device(until=until, networks=networks), where, NOW) is refusal
