"""An operator's devices: what is asked for is done durably, or refused with a reason."""

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
from tests.accounts.counting import CountingPasswords, cheap_keying

from mailkeep.accounts import (
    DeviceExists,
    May,
    TooManyDevices,
    UnknownAccount,
    UnknownDevice,
    UnusableDevice,
)
from mailkeep.accounts import devices as devices_module
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.devices import NAME_LIMIT_CHARACTERS, DeviceDirectory, Terms
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.generated import read_generated
from mailkeep.accounts.keying import Keying
from mailkeep.database.engine import Database
from mailkeep.values import Address, Secret

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = Address("alice", "mail.example.com")
BOB = Address("bob", "mail.example.com")
PASSWORD = Secret(b"correct horse")
FINGERPRINT = "0123456789abcdef" * 4


@pytest.fixture
def directory(database: Database, keying: Keying) -> AccountDirectory:
    made = AccountDirectory(database, CountingPasswords(), keying, by="root", now=lambda: NOW)
    made.add(ALICE, PASSWORD)
    made.add(BOB, PASSWORD)
    return made


@pytest.fixture
def devices(directory: AccountDirectory) -> DeviceDirectory:
    return directory.devices


def test_a_device_is_added_and_shown(devices: DeviceDirectory) -> None:
    """What `device add` and `device list` promise."""
    until = datetime(2027, 6, 1, tzinfo=UTC)
    networks = [ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")]
    added = devices.add(ALICE, "Office Printer", Terms(May.READ, networks, until)).device
    assert (added.name, added.may, added.until) == ("Office Printer", May.READ, until)
    assert added.networks == tuple(networks)
    assert (added.created, added.last_used, added.last_address) == (NOW, None, None)
    assert devices.get(ALICE, "office  PRINTER") == added
    assert devices.list(ALICE) == [added]
    assert devices.list(BOB) == []


async def test_the_password_is_shown_once_and_not_kept(
    database: Database, devices: DeviceDirectory
) -> None:
    """Neither it nor its letters are anywhere in the file."""
    new = devices.add(ALICE, "printer")
    shown = new.password.reveal()
    letters = read_generated(new.password)
    assert letters is not None
    assert shown.decode() not in repr(new)
    files = [file.read_bytes() for file in database.path.parent.glob("mailkeep.db*")]
    assert not any(shown in octets or letters.reveal() in octets for octets in files)
    told = f"{await Credentials(database, nobodys_hash='').find(ALICE)!r}"
    assert "seal" not in told
    assert "keys" not in told


@pytest.mark.parametrize("again", ["printer", "PRINTER", " printer ", "Printer"])
def test_a_name_is_one_device_of_an_account(devices: DeviceDirectory, again: str) -> None:
    """Case does not tell names apart; other accounts may have the same."""
    devices.add(ALICE, "Printer")
    with pytest.raises(DeviceExists, match="alice@mail"):
        devices.add(ALICE, again)
    with pytest.raises(DeviceExists, match="alice@mail"):
        devices.add_certificate(ALICE, again, FINGERPRINT)
    devices.add(BOB, again)
    assert len(devices.list(ALICE)) == 1


def test_names_that_look_alike_are_one(devices: DeviceDirectory) -> None:
    """Two keyboards send "é" as one or as two code points."""
    devices.add(ALICE, "bur\u00e9au")
    with pytest.raises(DeviceExists):
        devices.add(ALICE, "BURE\u0301AU")
    assert devices.get(ALICE, "bure\u0301au").name == "bur\u00e9au"


@pytest.mark.parametrize(
    "name", ["", "  ", "a\0b", "a\x1bb", "x" * (NAME_LIMIT_CHARACTERS + 1), "a\u202eb", "\ud800"]
)
def test_a_name_is_something_to_read(devices: DeviceDirectory, name: str) -> None:
    """It stands in lists and in every line of the record."""
    devices.add(ALICE, "printer")
    with pytest.raises(UnusableDevice):
        devices.add(ALICE, name)
    with pytest.raises(UnusableDevice):
        devices.rename(ALICE, "printer", name)
    assert [device.name for device in devices.list(ALICE)] == ["printer"]


def test_a_name_is_kept_in_one_line(devices: DeviceDirectory) -> None:
    """Whatever was typed between its words."""
    assert devices.add(ALICE, " office\n  printer ").device.name == "office printer"


@pytest.mark.parametrize(
    "ask",
    [
        lambda d, address: d.get(address, "printer"),
        lambda d, address: d.revoke(address, "printer"),
        lambda d, address: d.rename(address, "printer", "x"),
    ],
)
def test_what_is_not_there_is_said_by_name(
    devices: DeviceDirectory, ask: Callable[[DeviceDirectory, Address], object]
) -> None:
    """Bad input gets a clear error that names the thing; others' devices are not one's own."""
    devices.add(BOB, "printer")
    with pytest.raises(UnknownDevice, match=r'alice@.* has no device "printer"'):
        ask(devices, ALICE)
    stranger = Address("nobody", "mail.example.com")
    with pytest.raises(UnknownAccount, match="nobody@mail"):
        ask(devices, stranger)
    for add in (devices.add, lambda a, n: devices.add_certificate(a, n, FINGERPRINT)):
        with pytest.raises(UnknownAccount, match="nobody@mail"):
            add(stranger, "printer")
    with pytest.raises(UnknownAccount, match="nobody@mail"):
        devices.list(stranger)
    assert len(devices.list(BOB)) == 1


def test_a_revoked_devices_number_is_not_given_again(devices: DeviceDirectory) -> None:
    """An open session is known by it: it must not become another's."""
    last = devices.add(ALICE, "printer").device
    assert devices.revoke(ALICE, "PRINTER") == last
    assert devices.list(ALICE) == []
    assert devices.add(ALICE, "printer").device.id > last.id


def test_devices_go_with_their_account(
    database: Database, directory: AccountDirectory, devices: DeviceDirectory
) -> None:
    """An address that is added again starts without them."""
    devices.add(ALICE, "printer")
    directory.remove(ALICE)
    directory.add(ALICE, PASSWORD)
    assert devices.list(ALICE) == []
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM devices").scalar_one() == 0


async def test_renaming_keeps_the_password(database: Database, devices: DeviceDirectory) -> None:
    """The device is the same, by number; a name that is taken is refused, its own is not."""
    added = devices.add(ALICE, "printer").device
    devices.add(ALICE, "scanner")
    before = await Credentials(database, nobodys_hash="").find(ALICE)
    with pytest.raises(DeviceExists):
        devices.rename(ALICE, "printer", "SCANNER")
    renamed = devices.rename(ALICE, "printer", "PRINTER")
    assert (renamed.id, renamed.name) == (added.id, "PRINTER")
    after = await Credentials(database, nobodys_hash="").find(ALICE)
    assert [one.seal for one in after.devices] == [one.seal for one in before.devices]


@pytest.mark.parametrize(
    "typed", [FINGERPRINT, FINGERPRINT.upper(), ":".join([FINGERPRINT[:2]] * 1) + FINGERPRINT[2:]]
)
def test_a_certificate_is_a_device(devices: DeviceDirectory, typed: str) -> None:
    """By its SHA-256, as openssl and browsers write it."""
    added = devices.add_certificate(ALICE, "laptop", typed, Terms(May.READ))
    assert (added.certificate, added.may) == (FINGERPRINT, May.READ)
    assert devices.list(ALICE) == [added]


def test_a_certificate_is_read_with_colons(devices: DeviceDirectory) -> None:
    """`openssl x509 -fingerprint -sha256` prints them."""
    pairs = [FINGERPRINT[at : at + 2].upper() for at in range(0, 64, 2)]
    assert devices.add_certificate(ALICE, "laptop", ":".join(pairs)).certificate == FINGERPRINT


def test_a_certificate_is_one_device_of_the_site(devices: DeviceDirectory) -> None:
    """EXTERNAL need not give a name, so a certificate has to say which account."""
    devices.add_certificate(ALICE, "laptop", FINGERPRINT)
    with pytest.raises(DeviceExists, match="another device's"):
        devices.add_certificate(BOB, "laptop", FINGERPRINT.upper())
    devices.revoke(ALICE, "laptop")
    devices.add_certificate(BOB, "laptop", FINGERPRINT)


@pytest.mark.parametrize("typed", ["", "x", FINGERPRINT[:-1], FINGERPRINT + "0", "g" * 64])
def test_what_is_no_sha256_is_no_certificate(devices: DeviceDirectory, typed: str) -> None:
    """Bad input gets a clear error and leaves the data as it was."""
    with pytest.raises(UnusableDevice, match="64 hexadecimal"):
        devices.add_certificate(ALICE, "laptop", typed)
    assert devices.list(ALICE) == []


def test_devices_of_another_site_key_are_found(
    database: Database, devices: DeviceDirectory
) -> None:
    """After a key was lost `doctor` names whose devices need another password; not certificates."""
    devices.add(ALICE, "printer")
    devices.add_certificate(ALICE, "laptop", FINGERPRINT)
    assert devices.of_other_keys() == []
    other = AccountDirectory(database, CountingPasswords(), cheap_keying(b"x" * 32), by="root")
    other.devices.add(BOB, "printer")
    found = [(str(address), one.name) for address, one in other.devices.of_other_keys()]
    assert found == [(str(ALICE), "printer")]


async def test_all_of_an_accounts_credentials_share_one_salt(
    database: Database, directory: AccountDirectory
) -> None:
    """Also when the site's count was raised in between: a server answers before it knows which."""
    directory.devices.add(ALICE, "printer")
    risen = AccountDirectory(
        database, CountingPasswords(), cheap_keying(iterations=5000), by="root"
    )
    risen.devices.add(ALICE, "scanner")
    risen.set_password(ALICE, PASSWORD, scram_main=True)
    credential = await Credentials(database, nobodys_hash="").find(ALICE)
    assert credential.base == cheap_keying().base_for(ALICE)
    assert len(credential.scram_keys) == 1 + 2 * 2


async def test_a_raised_count_is_taken_up_where_no_device_has_keys(
    database: Database, directory: AccountDirectory
) -> None:
    """Then nobody's keys are made worthless by it."""
    directory.set_password(ALICE, PASSWORD, scram_main=True)
    risen = AccountDirectory(
        database, CountingPasswords(), cheap_keying(iterations=5000), by="root"
    )
    risen.set_password(ALICE, PASSWORD, scram_main=True)
    credential = await Credentials(database, nobodys_hash="").find(ALICE)
    assert credential.base is not None
    assert credential.base.iterations == 5000


async def test_two_that_give_an_account_its_first_keys_agree_on_the_salt(
    database: Database, directory: AccountDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are computed before the transaction: who finds another salt in it begins again."""
    other = AccountDirectory(
        database, CountingPasswords(), cheap_keying(iterations=5000), by="root"
    )
    inside: list[str] = []
    columns = DeviceDirectory._password_columns

    def add_another_meanwhile(
        self: DeviceDirectory, password: Secret, *made_for: object
    ) -> dict[str, object]:
        if self is directory.devices and not inside:
            inside.append("scanner")
            other.devices.add(ALICE, "scanner")
        return columns(self, password, *made_for)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(DeviceDirectory, "_password_columns", add_another_meanwhile)
    directory.devices.add(ALICE, "printer")
    credential = await Credentials(database, nobodys_hash="").find(ALICE)
    assert credential.base is not None
    assert credential.base.iterations == 5000
    assert [len(one.keys) for one in credential.devices] == [2, 2]


def test_an_account_has_only_so_many_devices(
    devices: DeviceDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each login compares with each; the error says how many, and revoking one makes room."""
    monkeypatch.setattr(devices_module, "DEVICES_LIMIT", 2)
    devices.add(ALICE, "printer")
    devices.add_certificate(ALICE, "scanner", FINGERPRINT)
    with pytest.raises(TooManyDevices, match=r"alice@mail\.example\.com has 2 devices"):
        devices.add(ALICE, "telephone")
    with pytest.raises(TooManyDevices):
        devices.add_certificate(ALICE, "telephone", "ab" * 32)
    assert [device.name for device in devices.list(ALICE)] == ["printer", "scanner"]
    devices.add(BOB, "printer")
    devices.rename(ALICE, "scanner", "copier")
    devices.revoke(ALICE, "copier")
    assert devices.add(ALICE, "telephone").device.name == "telephone"
