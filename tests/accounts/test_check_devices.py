"""A login by a device: its password lets in at once, and every refusal is the ordinary one."""

import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from tests.accounts.counting import cheap_keying
from tests.accounts.desk import (
    LET_IN,
    OFFICE,
    RECALLED,
    REFUSED,
    RIGHT,
    START,
    Desk,
    address,
    password_claim,
)

from mailkeep.accounts import AccountError, LoginRefused, MainPasswordPolicy, May, Refusal
from mailkeep.accounts.credentials import KEPT_S
from mailkeep.accounts.devices import Terms
from mailkeep.accounts.imported import read_imported
from mailkeep.database.engine import Database
from mailkeep.values import Secret

ALICE = address("alice")
ANYTHING = Terms()


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    made = Desk(database)
    made.directory.add(ALICE, Secret(RIGHT.encode()))
    made.directory.add(address("bob"), Secret(RIGHT.encode()))
    yield made
    await made.checker.close()
    made.pool.close()


def add(desk: Desk, name: str = "printer", terms: Terms = ANYTHING) -> str:
    """Give alice a device and return its password."""
    return desk.directory.devices.add(ALICE, name, terms).password.reveal().decode()


FORMS: dict[str, Callable[[str], str]] = {
    "as it is shown": lambda shown: shown,
    "without hyphens": lambda shown: shown.replace("-", ""),
    "with spaces": lambda shown: shown.replace("-", " "),
    "in upper case": str.upper,
    "with spaces around it": lambda shown: f"  {shown} ",
    "with a word processor's dashes": lambda shown: shown.replace("-", "\u2011"),
    "with spaces that do not break": lambda shown: shown.replace("-", "\u00a0"),
    "in groups of one": lambda shown: "-".join(shown.replace("-", "")),
}


@pytest.mark.parametrize("form", FORMS)
async def test_however_it_is_typed_it_costs_no_argon2(desk: Desk, form: str) -> None:
    """Spaces, hyphens and case are ignored; a random password needs no slow hash."""
    password = FORMS[form](add(desk))
    assert await desk.login("alice", password) == RECALLED
    admission = await desk.admit(password_claim("Alice", password))
    assert admission.device == desk.directory.devices.get(ALICE, "printer")
    assert not admission.by_main_password


async def test_each_device_is_told_from_the_others(desk: Desk) -> None:
    """The record says with which device somebody came."""
    passwords = {name: add(desk, name) for name in ("printer", "scanner", "telephone")}
    for name, password in passwords.items():
        admission = await desk.admit(password_claim("alice", password))
        assert admission.device is not None
        assert admission.device.name == name


async def test_the_proof_of_a_device_is_sure_and_a_guess_is_not(desk: Desk) -> None:
    """Who is sure is not slowed down with the guessers, also when it will be refused."""
    good, over = add(desk), add(desk, "old", Terms(until=START))
    for password, is_sure in ((good, True), (over, True), (RIGHT, False), (good[:-1], False)):
        identified = await desk.checker.identify(password_claim("alice", password))
        assert identified.is_sure == is_sure
        assert identified.account == desk.directory.get(ALICE).id
    stranger = await desk.checker.identify(password_claim("nobody", good))
    assert (stranger.account, stranger.is_sure) == (None, False)


async def test_a_devices_password_is_good_for_its_account_only(desk: Desk) -> None:
    """Not even where somebody copies the row into another account's devices."""
    password = add(desk)
    assert await desk.login("bob", password) == Refusal.WRONG_PASSWORD
    bob = desk.directory.get(address("bob")).id
    with desk.database.writing() as connection:
        connection.exec_driver_sql("UPDATE devices SET account_id = ?", (bob,))
    assert await desk.login("bob", password) == Refusal.WRONG_PASSWORD


async def test_the_main_password_goes_on_beside_devices(desk: Desk) -> None:
    """Unless a policy says otherwise."""
    add(desk)
    assert await desk.login("alice", RIGHT) == LET_IN


async def test_a_devices_password_of_another_site_key_is_wrong(desk: Desk) -> None:
    """Who has read the database alone can check no guess."""
    password = add(desk)
    desk.keying = cheap_keying(b"x" * 32)
    desk.restart()
    assert await desk.login("alice", password) == Refusal.WRONG_PASSWORD


def end_device(desk: Desk) -> str:
    return add(desk, "printer", Terms(until=START))


def bind_device(desk: Desk) -> str:
    return add(desk, "printer", Terms(networks=[ip_network("10.1.0.0/16")]))


def revoke_device(desk: Desk) -> str:
    password = add(desk)
    desk.directory.devices.revoke(ALICE, "printer")
    return password


def disable_account(desk: Desk) -> str:
    password = add(desk)
    desk.directory.disable(ALICE)
    return password


def expire_account(desk: Desk) -> str:
    password = add(desk)
    desk.directory.set_expiry(ALICE, START)
    return password


def remove_account(desk: Desk) -> str:
    password = add(desk)
    desk.directory.remove(ALICE)
    return password


def forbid_main_password(desk: Desk) -> str:
    desk.directory.set_policy(ALICE, MainPasswordPolicy.DEVICES_ONLY)
    return RIGHT


def forbid_main_password_and_guess(desk: Desk) -> str:
    desk.directory.set_policy(ALICE, MainPasswordPolicy.DEVICES_ONLY)
    return "guess"


def mistype(desk: Desk) -> str:
    password = add(desk)
    return password[:-1] + ("a" if password[-1] != "a" else "b")


REFUSALS: dict[Callable[[Desk], str], Refusal] = {
    end_device: Refusal.DEVICE_EXPIRED,
    bind_device: Refusal.DEVICE_ELSEWHERE,
    revoke_device: Refusal.WRONG_PASSWORD,
    disable_account: Refusal.DISABLED,
    expire_account: Refusal.EXPIRED,
    remove_account: Refusal.UNKNOWN_ACCOUNT,
    forbid_main_password: Refusal.DEVICES_ONLY,
    forbid_main_password_and_guess: Refusal.WRONG_PASSWORD,
    mistype: Refusal.WRONG_PASSWORD,
}


@pytest.mark.parametrize("spoil", REFUSALS)
async def test_every_refusal_is_the_same_work_and_one_argon2(
    desk: Desk, spoil: Callable[[Desk], str]
) -> None:
    """A device that was revoked, is over or elsewhere is refused as a wrong password is."""
    password = spoil(desk)
    assert await desk.login("alice", password) == REFUSALS[spoil]
    assert desk.work == REFUSED


@pytest.mark.parametrize("spoil", REFUSALS)
async def test_what_changes_between_the_two_steps_counts(
    desk: Desk, spoil: Callable[[Desk], str]
) -> None:
    """Delays come in between: what was revoked meanwhile is refused, for one argon2 too."""
    password = add(desk, "standing")
    identified = await desk.checker.identify(password_claim("alice", password))
    assert identified.is_sure
    desk.now_s += 15.0
    spoil(desk)
    with contextlib.suppress(AccountError):
        desk.directory.devices.revoke(ALICE, "standing")
    desk.work.clear()
    with pytest.raises(LoginRefused):
        await desk.checker.verify(identified, OFFICE)
    assert len([step for step in desk.work if step.startswith("verify")]) == 1


async def test_a_refusal_is_the_same_work_for_a_password_that_was_remembered(desk: Desk) -> None:
    """Whatever is wrong, the same readings."""
    over = add(desk, "old", Terms(until=START))
    desk.between_s = 0.0
    await desk.login("alice", RIGHT)
    desk.directory.set_policy(ALICE, MainPasswordPolicy.DEVICES_ONLY)
    for name, password in (("alice", RIGHT), ("alice", over), ("alice", "x"), ("nobody", "x")):
        assert isinstance(await desk.login(name, password), Refusal)
        assert desk.work == REFUSED


@pytest.mark.parametrize("inside", ["10.1.0.1", "10.1.255.255", "2001:db8::5"])
async def test_a_device_is_let_in_from_its_networks(desk: Desk, inside: str) -> None:
    """`--from`: a stolen password of a printer is of no use elsewhere."""
    networks = [ip_network("10.1.0.0/16"), ip_network("2001:db8::/64")]
    password = add(desk, "printer", Terms(networks=networks))
    assert await desk.login("alice", password, ip_address(inside)) == RECALLED
    assert await desk.login("alice", password, ip_address("10.2.0.1")) == Refusal.DEVICE_ELSEWHERE


async def test_a_device_is_good_until_its_last_moment(desk: Desk) -> None:
    """`--until` is a moment: before it the device is let in, from it on it is not."""
    password = add(desk, "printer", Terms(until=START + timedelta(seconds=1)))
    assert await desk.login("alice", password) == RECALLED
    desk.now = START + timedelta(seconds=1)
    assert await desk.login("alice", password) == Refusal.DEVICE_EXPIRED


@pytest.mark.parametrize("own", [None, *MainPasswordPolicy])
@pytest.mark.parametrize("site", MainPasswordPolicy)
async def test_an_accounts_own_policy_goes_before_the_sites(
    desk: Desk, own: MainPasswordPolicy | None, site: MainPasswordPolicy
) -> None:
    """`devices_only` refuses the main password, and no device."""
    password = add(desk)
    desk.policy = site
    desk.restart()
    desk.directory.set_policy(ALICE, own)
    expected = Refusal.DEVICES_ONLY if (own or site) is MainPasswordPolicy.DEVICES_ONLY else LET_IN
    assert await desk.login("alice", RIGHT) == expected
    assert await desk.login("alice", password) == RECALLED


async def test_an_imported_hash_is_replaced_at_the_first_good_login(desk: Desk) -> None:
    """Then it is argon2id with today's settings, and the password is remembered."""
    carol = address("carol")
    desk.directory.add_with_hash(carol, _imported())
    assert await desk.login("carol", "wrong") == Refusal.WRONG_PASSWORD
    assert desk.work == REFUSED
    assert await desk.login("carol", RIGHT) == ["find", "find", "hash"]
    assert (await desk.credentials.find(carol)).password_hash.startswith("$argon2id$")
    assert await desk.login("carol", RIGHT) == RECALLED
    desk.restart()
    assert await desk.login("carol", RIGHT) == LET_IN


async def test_a_right_imported_password_that_is_refused_costs_one_argon2(desk: Desk) -> None:
    """The same time, whatever the reason; and the hash stays as it was."""
    carol = address("carol")
    desk.directory.add_with_hash(carol, _imported())
    desk.directory.set_policy(carol, MainPasswordPolicy.DEVICES_ONLY)
    assert await desk.login("carol", RIGHT) == Refusal.DEVICES_ONLY
    assert [step for step in desk.work if step != "find"] == [REFUSED[1]]
    assert (await desk.credentials.find(carol)).password_hash == _imported()


def _imported() -> str:
    salt = b"saltsalt"
    digest = hashlib.sha256(RIGHT.encode() + salt).digest()
    return read_imported("{SSHA256}" + base64.b64encode(digest + salt).decode())


CHANGES: dict[str, tuple[Callable[[Desk], object], bool, bool]] = {
    "nothing": (lambda _: None, True, True),
    "disabled": (lambda d: d.directory.disable(ALICE), False, False),
    "expired": (lambda d: d.directory.set_expiry(ALICE, START), False, False),
    "removed": (lambda d: d.directory.remove(ALICE), False, False),
    "removed and added again": (
        lambda d: (d.directory.remove(ALICE), d.directory.add(ALICE, Secret(b"x"))),
        False,
        False,
    ),
    "another main password": (
        lambda d: d.directory.set_password(ALICE, Secret(b"another")),
        False,
        True,
    ),
    "devices only": (
        lambda d: d.directory.set_policy(ALICE, MainPasswordPolicy.DEVICES_ONLY),
        False,
        True,
    ),
    "device revoked": (lambda d: d.directory.devices.revoke(ALICE, "printer"), True, False),
    "device renamed": (lambda d: d.directory.devices.rename(ALICE, "printer", "x"), True, True),
    "another device revoked": (
        lambda d: d.directory.devices.revoke(ALICE, "scanner"),
        True,
        True,
    ),
    "the device's time is over": (
        lambda d: setattr(d, "now", START + timedelta(days=1)),
        True,
        False,
    ),
    "the device may read only": (
        lambda d: _set(d, "UPDATE devices SET may = 'read'"),
        True,
        False,
    ),
    "the database is gone": (lambda d: _set(d, "DROP TABLE devices"), True, True),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_an_open_session_goes_on_while_it_would_be_let_in_again(
    desk: Desk, change: str
) -> None:
    """Revoked, disabled or changed: a running session ends; a change of others leaves it."""
    add(desk, "scanner")
    password = add(desk, "printer", Terms(may=May.DELETE, until=START + timedelta(days=1)))
    by_device = await desk.admit(password_claim("alice", password))
    by_main = await desk.admit(password_claim("alice", RIGHT))
    do, main_goes_on, device_goes_on = CHANGES[change]
    do(desk)
    assert await desk.checker.is_still_good(by_main) == main_goes_on
    assert await desk.checker.is_still_good(by_device) == device_goes_on


def _set(desk: Desk, statement: str) -> None:
    with desk.database.writing() as connection:
        connection.exec_driver_sql(statement)
    desk.now_s += KEPT_S


async def test_a_use_is_written_for_account_and_device(desk: Desk) -> None:
    """Last used, from where, with what program: for `device list` and for finding stale ones."""
    password = add(desk)
    add(desk, "scanner")
    admission = await desk.admit(password_claim("alice", password))
    await desk.checker.note_use(admission, OFFICE, "PLAIN TLSv1.3")
    await desk.checker.close()
    printer = desk.directory.devices.get(ALICE, "printer")
    assert (printer.last_used, printer.last_address, printer.last_client) == (
        START,
        str(OFFICE),
        "PLAIN TLSv1.3",
    )
    assert desk.directory.get(ALICE).last_used == START
    assert desk.directory.devices.get(ALICE, "scanner").last_used is None
