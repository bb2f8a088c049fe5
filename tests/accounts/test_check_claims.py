"""Logins without a password: SCRAM, tokens and client certificates."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from tests.accounts.counting import ITERATIONS, cheap_keying
from tests.accounts.desk import OFFICE, RIGHT, START, Desk, address, password_claim

from mailkeep.accounts import (
    CertificateClaim,
    CheckUnavailable,
    LoginRefused,
    MainPasswordPolicy,
    Refusal,
    ScramClaim,
    ScramCredentials,
    TokenCheckUnavailable,
    TokenClaim,
    TokenRefused,
)
from mailkeep.accounts.counts import REFRESH_S
from mailkeep.accounts.devices import Terms
from mailkeep.accounts.imported import read_imported
from mailkeep.database.engine import Database
from mailkeep.sasl import ScramKeys
from mailkeep.values import Secret

ALICE = address("alice")
FINGERPRINT = "ab" * 32


class Tokens:
    """An issuer whose tokens are the names they are issued to."""

    def __init__(self) -> None:
        self.is_away = False
        self.is_closed = False

    async def name_of(self, token: Secret) -> str:
        if self.is_away:
            raise TokenCheckUnavailable("no answer within 2 s")
        name = token.reveal().decode()
        if name.startswith("bad"):
            raise TokenRefused("the signature is wrong")
        return name

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    made = Desk(database, tokens=Tokens())
    made.directory.add(ALICE, Secret(RIGHT.encode()), scram_main=True)
    made.directory.add(address("bob"), Secret(RIGHT.encode()))
    yield made
    await made.checker.close()
    made.pool.close()


def prove(credentials: ScramCredentials, typed: str) -> int | None:
    """Return the place of the key that a client with this password proves to know."""
    wanted = ScramKeys.derive(Secret(typed.encode()), credentials.salt, credentials.iterations)
    for place, key in enumerate(credentials.keys):
        if key.stored_key == wanted.stored_key:
            return place
    return None


async def scram(desk: Desk, name: str, typed: str) -> ScramClaim:
    """Return what a finished exchange claims."""
    credentials = await desk.checker.scram_keys(name.encode())
    return ScramClaim(name.encode(), credentials, prove(credentials, typed))


@pytest.mark.parametrize("form", [lambda text: text, lambda text: text.replace("-", "")])
async def test_scram_takes_a_devices_password_in_both_its_forms(
    desk: Desk, form: Callable[[str], str]
) -> None:
    """A client computes from what was typed, with the hyphens or without."""
    password = desk.directory.devices.add(ALICE, "printer").password.reveal().decode()
    claim = await scram(desk, "alice", form(password))
    assert (await desk.checker.identify(claim)).is_sure
    admission = await desk.admit(claim)
    assert admission.device == desk.directory.devices.get(ALICE, "printer")
    assert not admission.by_main_password


async def test_scram_takes_the_main_password_where_its_keys_are_kept(desk: Desk) -> None:
    """Only with `scram_main`; and it is no sure proof, because people choose it."""
    claim = await scram(desk, "alice", RIGHT)
    assert not (await desk.checker.identify(claim)).is_sure
    assert (await desk.admit(claim)).by_main_password
    assert (await scram(desk, "bob", RIGHT)).proved is None


async def test_scram_by_the_main_password_keeps_to_the_policy(desk: Desk) -> None:
    """`devices_only` is about the password, whatever the mechanism."""
    desk.directory.set_policy(ALICE, MainPasswordPolicy.DEVICES_ONLY)
    assert await desk.try_claim(await scram(desk, "alice", RIGHT)) == Refusal.DEVICES_ONLY


async def test_a_wrong_proof_is_refused_without_a_hash(desk: Desk) -> None:
    """For a known and an unknown name alike: the same readings and no argon2."""
    for name, reason in (("alice", Refusal.WRONG_PROOF), ("nobody", Refusal.UNKNOWN_ACCOUNT)):
        assert await desk.try_claim(await scram(desk, name, "wrong")) == reason
        assert desk.work == ["find", "find"]


async def test_a_password_that_was_changed_during_the_exchange_is_refused(desk: Desk) -> None:
    """The keys that the client proved are no longer the account's."""
    claim = await scram(desk, "alice", RIGHT)
    desk.directory.set_password(ALICE, Secret(b"another"), scram_main=True)
    assert await desk.try_claim(claim) == Refusal.WRONG_PROOF


async def test_a_main_password_that_is_set_without_scram_is_not_good_for_it(desk: Desk) -> None:
    """And above all the old one is not: its keys are gone."""
    desk.directory.set_password(ALICE, Secret(b"another"))
    for typed in (RIGHT, "another"):
        claim = await scram(desk, "alice", typed)
        assert claim.proved is None
        assert await desk.try_claim(claim) == Refusal.WRONG_PROOF


async def test_a_device_that_was_revoked_during_the_exchange_is_refused(desk: Desk) -> None:
    """Both steps read; the second decides."""
    password = desk.directory.devices.add(ALICE, "printer").password.reveal().decode()
    claim = await scram(desk, "alice", password)
    identified = await desk.checker.identify(claim)
    desk.directory.devices.revoke(ALICE, "printer")
    desk.now_s += 1.0
    with pytest.raises(LoginRefused, match="wrong proof"):
        await desk.checker.verify(identified, OFFICE)


async def test_keys_of_one_account_prove_nothing_for_another(desk: Desk) -> None:
    """The claim's name is what counts, not where its keys were read."""
    credentials = await desk.checker.scram_keys(b"alice")
    claim = ScramClaim(b"bob", credentials, prove(credentials, RIGHT))
    assert await desk.try_claim(claim) == Refusal.WRONG_PROOF


@pytest.mark.parametrize("name", [b"bob", b"nobody", b"Nobody", b"", b"\xff", b"../x", b"a" * 9000])
async def test_who_has_no_keys_gets_a_salt_that_stays(desk: Desk, name: bytes) -> None:
    """After a restart too; the keys are random, so that nothing can be proved against them."""
    first = await desk.checker.scram_keys(name)
    desk.restart()
    second = await desk.checker.scram_keys(name)
    assert (first.salt, first.iterations) == (second.salt, second.iterations)
    assert (len(first.salt), first.iterations, len(first.keys)) == (16, ITERATIONS, 1)
    assert first.keys[0].stored_key != second.keys[0].stored_key


async def test_a_salt_says_nothing_of_whether_somebody_has_it(desk: Desk) -> None:
    """A name's salt is the same before it is an account, with keys and after it was removed."""
    seen = [await desk.checker.scram_keys(b"carol")]
    carol = address("carol")
    desk.directory.add(carol, Secret(b"one"))
    seen.append(await desk.checker.scram_keys(b"carol@MAIL.example.com"))
    desk.directory.set_password(carol, Secret(b"two"), scram_main=True)
    seen.append(await desk.checker.scram_keys(b"CAROL"))
    desk.directory.devices.add(carol, "printer")
    seen.append(await desk.checker.scram_keys(b"carol"))
    desk.directory.remove(carol)
    seen.append(await desk.checker.scram_keys(b"carol"))
    assert len({(one.salt, one.iterations) for one in seen}) == 1
    other = await desk.checker.scram_keys(b"dave")
    assert other.salt != seen[0].salt


async def test_asking_for_keys_is_the_same_work_for_any_name(desk: Desk) -> None:
    """One reading, whoever is named."""
    for name in (b"alice", b"bob", b"nobody", b"\xff"):
        await desk.checker.scram_keys(name)
        desk.work.clear()
        await desk.checker.scram_keys(name)
        assert desk.work == ["find"]


async def test_names_that_nobody_has_share_the_counts_that_accounts_have(desk: Desk) -> None:
    """A site that raised its setting must not show by the count which names are real."""
    desk.keying = cheap_keying(iterations=2 * ITERATIONS)
    desk.restart()
    counts = {(await desk.checker.scram_keys(b"x%d" % n)).iterations for n in range(20)}
    assert counts == {ITERATIONS}, "alice is the only one with keys"
    desk.directory._keying = desk.keying
    desk.directory.set_password(address("bob"), Secret(b"new"), scram_main=True)
    desk.now_s += REFRESH_S
    counts = {(await desk.checker.scram_keys(b"x%d" % n)).iterations for n in range(20)}
    assert counts == {ITERATIONS, 2 * ITERATIONS}
    assert (await desk.checker.scram_keys(b"alice")).iterations == ITERATIONS


async def test_an_imported_scram_hash_brings_its_salt_and_count(desk: Desk) -> None:
    """Its keys are the main password's, and devices that come later share its salt."""
    carol, salt = address("carol"), b"imported salt 16"
    desk.directory.add_with_hash(carol, read_imported(_dovecot_scram(RIGHT, salt, 5000)))
    password = desk.directory.devices.add(carol, "printer").password.reveal().decode()
    credentials = await desk.checker.scram_keys(b"carol")
    assert (credentials.salt, credentials.iterations) == (salt, 5000)
    assert (await desk.admit(await scram(desk, "carol", RIGHT))).by_main_password
    assert (await desk.admit(await scram(desk, "carol", password))).device is not None
    await desk.admit(password_claim("carol", RIGHT))
    assert (await desk.admit(await scram(desk, "carol", RIGHT))).by_main_password


def _dovecot_scram(password: str, salt: bytes, iterations: int) -> str:
    """Return a hash as Dovecot keeps it: iterations, salt, stored key, server key."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "{SCRAM-SHA-256}" + ",".join((str(iterations), *parts))


async def test_keys_that_cannot_be_read_are_told_as_trouble(desk: Desk) -> None:
    """RFC 3206 section 4: nobody's password is wrong because a disk is."""
    with desk.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE devices")
    with pytest.raises(CheckUnavailable):
        await desk.checker.scram_keys(b"alice")


@pytest.mark.parametrize("name", [b"", b"alice", b"alice@mail.example.com"])
async def test_a_good_token_lets_its_owner_in(desk: Desk, name: bytes) -> None:
    """With the name or without; no password is asked, and no policy about it counts."""
    desk.directory.set_policy(ALICE, MainPasswordPolicy.DEVICES_ONLY)
    claim = TokenClaim(name, Secret(b"Alice@mail.example.com"))
    assert (await desk.checker.identify(claim)).is_sure
    admission = await desk.admit(claim)
    assert admission.account.address == ALICE
    assert (admission.device, admission.by_main_password) == (None, False)


@pytest.mark.parametrize(
    ("name", "token", "reason", "is_sure"),
    [
        (b"bob", b"alice", Refusal.BAD_TOKEN, False),
        (b"\xff", b"alice", Refusal.BAD_TOKEN, False),
        (b"alice", b"bad", Refusal.BAD_TOKEN, False),
        (b"", b"bad", Refusal.BAD_TOKEN, False),
        (b"", b"not a name", Refusal.BAD_TOKEN, False),
        (b"", b"nobody", Refusal.UNKNOWN_ACCOUNT, True),
    ],
)
async def test_a_token_lets_nobody_else_in(
    desk: Desk, name: bytes, token: bytes, reason: Refusal, is_sure: bool
) -> None:
    """Of another account, bad, or of nobody here."""
    claim = TokenClaim(name, Secret(token))
    assert (await desk.checker.identify(claim)).is_sure == is_sure
    assert await desk.try_claim(claim) == reason


async def test_a_disabled_account_is_not_opened_by_a_token(desk: Desk) -> None:
    """Nor one that has expired."""
    claim = TokenClaim(b"", Secret(b"alice"))
    desk.directory.disable(ALICE)
    assert await desk.try_claim(claim) == Refusal.DISABLED
    desk.directory.enable(ALICE)
    desk.directory.set_expiry(ALICE, START)
    assert await desk.try_claim(claim) == Refusal.EXPIRED


async def test_a_token_that_nobody_can_check_is_told_as_trouble(desk: Desk) -> None:
    """And without a way to check any, every token is bad."""
    claim = TokenClaim(b"alice", Secret(b"alice"))
    tokens = Tokens()
    tokens.is_away = True
    desk.tokens = tokens
    desk.restart()
    with pytest.raises(CheckUnavailable, match="no answer"):
        await desk.checker.identify(claim)
    desk.tokens = None
    desk.restart()
    assert await desk.try_claim(claim) == Refusal.BAD_TOKEN


@pytest.mark.parametrize("name", [b"", b"alice", b"ALICE@mail.example.com"])
async def test_a_certificate_lets_its_device_in(desk: Desk, name: bytes) -> None:
    """EXTERNAL without a name, or with the account's own."""
    device = desk.directory.devices.add_certificate(ALICE, "laptop", FINGERPRINT)
    claim = CertificateClaim(name, FINGERPRINT)
    assert (await desk.checker.identify(claim)).is_sure
    assert (await desk.admit(claim)).device == device


@pytest.mark.parametrize("name", [b"bob", b"nobody", b"\xff"])
async def test_a_certificate_lets_nobody_in_as_somebody_else(desk: Desk, name: bytes) -> None:
    """Not even at a name that can be none."""
    desk.directory.devices.add_certificate(ALICE, "laptop", FINGERPRINT)
    claim = CertificateClaim(name, FINGERPRINT)
    identified = await desk.checker.identify(claim)
    assert (identified.account, identified.is_sure) == (None, False), "alice is not blamed"
    assert await desk.try_claim(claim) == Refusal.UNKNOWN_CERTIFICATE


async def test_a_certificate_that_is_nobodys_is_counted_by_itself(desk: Desk) -> None:
    """It names no account, and not all unknown certificates are one visitor."""
    claim = CertificateClaim(b"", "cd" * 32)
    identified = await desk.checker.identify(claim)
    assert (identified.account, identified.is_sure) == (None, False)
    assert identified.name == "certificate " + "cd" * 32
    assert await desk.try_claim(claim) == Refusal.UNKNOWN_CERTIFICATE


async def test_a_certificate_keeps_to_its_devices_terms(desk: Desk) -> None:
    """Until when, and from where."""
    until = START + timedelta(hours=1)
    desk.directory.devices.add_certificate(ALICE, "laptop", FINGERPRINT, Terms(until=until))
    claim = CertificateClaim(b"", FINGERPRINT)
    assert await desk.try_claim(claim) == ["find", "find"]
    desk.now = until
    assert await desk.try_claim(claim) == Refusal.DEVICE_EXPIRED
    desk.directory.devices.revoke(ALICE, "laptop")
    assert await desk.try_claim(claim) == Refusal.UNKNOWN_CERTIFICATE


@pytest.mark.parametrize("password", ["", "x", RIGHT])
async def test_a_certificate_device_has_no_password(desk: Desk, password: str) -> None:
    """Its empty place is no password that could be typed."""
    desk.directory.devices.add_certificate(address("bob"), "laptop", FINGERPRINT)
    identified = await desk.checker.identify(password_claim("bob", password))
    assert not identified.is_sure


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"Alice", "alice@mail.example.com"),
        (b"", ""),
        (b"a b\r\nc", "a b\\r\\nc"),
        (b"\xff\x1b[2J", "\\xff\\x1b[2J"),
        (b"x" * 9000, "x" * 320),
    ],
)
async def test_a_name_is_shown_as_the_address_or_printable_and_short(
    desk: Desk, name: bytes, shown: str
) -> None:
    """It goes into counters and the log, whatever a client sends."""
    assert (await desk.checker.identify(password_claim(name, "x"))).name == shown


async def test_the_token_check_is_closed_with_the_checker(database: Database) -> None:
    """Its threads end with the server."""
    tokens = Tokens()
    desk = Desk(database, tokens=tokens)
    await desk.checker.close()
    desk.pool.close()
    assert tokens.is_closed
