"""A login: whom it lets in, and that a refusal tells nothing but that it is one."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable

import bcrypt
import pytest
from tests.accounts.counting import CountingPasswords
from tests.accounts.desk import (
    CHEAP,
    LET_IN,
    OFFICE,
    RECALLED,
    REFUSED,
    REMEMBERED_S,
    RIGHT,
    Desk,
    address,
    password_claim,
)

from mailkeep.accounts import CheckUnavailable, LoginCheck, LoginRefused, Refusal
from mailkeep.accounts.credentials import Credential
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.imported import is_imported, read_imported
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.values import Secret


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    made = Desk(database)
    for name in ("alice", "disabled", "remembered", "changed", "removed"):
        made.directory.add(address(name), Secret(RIGHT.encode()))
    made.directory.disable(address("disabled"))
    yield made
    await made.checker.close()
    made.pool.close()


@pytest.mark.parametrize(
    "name",
    ["alice", "ALICE", "alice@mail.example.com", "Alice@MAIL.example.com", "\uff21lice"],
)
@pytest.mark.parametrize("password", [RIGHT, "correct horse e\u0301", "correct\u00a0horse \u00e9"])
async def test_who_is_meant_is_let_in(desk: Desk, name: str, password: str) -> None:
    """RFC 8265: names without case, NFC and NFD alike; a bare name is of the default domain."""
    admission = await desk.admit(password_claim(name, password))
    assert admission.account == desk.directory.get(address("alice"))
    assert (admission.device, admission.by_main_password, admission.version) == (None, True, 1)


async def test_however_it_is_typed_it_is_remembered_once(desk: Desk) -> None:
    """One account, one password: the prepared forms are what is remembered."""
    await desk.login("alice", RIGHT)
    assert await desk.login("ALICE@Mail.Example.COM", "correct horse e\u0301") == RECALLED


NUL = "correct\0horse"
REFUSALS: dict[str, tuple[str | bytes, str | bytes, Refusal]] = {
    "unknown account": ("bob", RIGHT, Refusal.UNKNOWN_ACCOUNT),
    "unknown domain": ("alice@elsewhere.example", RIGHT, Refusal.UNKNOWN_ACCOUNT),
    "wrong password": ("alice", "wrong", Refusal.WRONG_PASSWORD),
    "password in other case": ("alice", RIGHT.upper(), Refusal.WRONG_PASSWORD),
    "empty name": ("", RIGHT, Refusal.UNUSABLE_NAME),
    "control character in the name": ("alice\x07", RIGHT, Refusal.UNUSABLE_NAME),
    "NUL in the name": ("alice\0", RIGHT, Refusal.UNUSABLE_NAME),
    "path as the name": ("../alice", RIGHT, Refusal.UNUSABLE_NAME),
    "name that is not UTF-8": (b"\xffalice", RIGHT, Refusal.UNUSABLE_NAME),
    "half a sequence in the name": (b"alic\xc3", RIGHT, Refusal.UNUSABLE_NAME),
    "endless name": ("a" * 12_000, RIGHT, Refusal.UNUSABLE_NAME),
    "empty password": ("alice", "", Refusal.WRONG_PASSWORD),
    "NUL in the password": ("alice", NUL, Refusal.WRONG_PASSWORD),
    "half a sequence in the password": ("alice", b"correct horse \xc3", Refusal.WRONG_PASSWORD),
    "endless password": ("alice", "x" * 12_000, Refusal.WRONG_PASSWORD),
    "neither can be": (b"\xff", b"\xff", Refusal.UNUSABLE_NAME),
    "disabled": ("disabled", RIGHT, Refusal.DISABLED),
    "disabled, wrong password": ("disabled", "wrong", Refusal.DISABLED),
    "disabled while remembered": ("remembered", RIGHT, Refusal.DISABLED),
    "changed while remembered": ("changed", RIGHT, Refusal.WRONG_PASSWORD),
    "removed while remembered": ("removed", RIGHT, Refusal.UNKNOWN_ACCOUNT),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_every_refusal_is_the_same_work_and_one_argon2(desk: Desk, kind: str) -> None:
    """The outside learns nothing: same readings, one argon2 with the same settings, same class."""
    for known in ("remembered", "changed", "removed"):
        await desk.login(known, RIGHT)
    desk.directory.disable(address("remembered"))
    desk.directory.set_password(address("changed"), Secret(b"another"))
    desk.directory.remove(address("removed"))
    name, password, reason = REFUSALS[kind]
    assert await desk.login(name, password) == reason
    assert desk.work == REFUSED


async def test_a_remembered_login_costs_no_argon2_for_five_minutes(desk: Desk) -> None:
    """A poller pays once in five minutes, and being used does not make the memory last."""
    assert await desk.login("alice", RIGHT) == LET_IN
    for _ in range(4):
        desk.now_s += REMEMBERED_S / 5
        assert await desk.login("alice", RIGHT) == RECALLED
    desk.now_s += REMEMBERED_S / 5
    assert await desk.login("alice", RIGHT) == LET_IN


async def test_what_is_remembered_does_not_let_a_wrong_password_in(desk: Desk) -> None:
    """And a wrong one does not make the right one be forgotten."""
    await desk.login("alice", RIGHT)
    assert await desk.login("alice", RIGHT + " ") == Refusal.WRONG_PASSWORD
    assert await desk.login("alice", RIGHT) == RECALLED
    assert await desk.login("remembered", RIGHT) != ["find"], "nobody else is let in by it"


CHANGE = """
import sys
from pathlib import Path
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.site_key import SiteKey
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.opening import open_database
from mailkeep.values import AccountId, Address, Secret
database = open_database(Path(sys.argv[1]), SCHEMA, create=False)
keying = Keying(SiteKey(Secret(b"k" * 32)), scram_iterations=4096)
passwords = Argon2Passwords(time_cost=1, memory_kib=8)
directory = AccountDirectory(database, passwords, keying, by="root")
alice = Address.parse("alice", default_domain="mail.example.com")
match sys.argv[2]:
    case "password":
        directory.set_password(alice, Secret(b"new"))
    case "disable":
        directory.disable(alice)
database.close()
"""


async def test_a_change_by_another_process_counts_from_the_next_login_on(desk: Desk) -> None:
    """The command line changes the file while the server runs; nobody has to tell the server."""
    await desk.login("alice", RIGHT)
    for change, password, refusal in (
        ("password", RIGHT, Refusal.WRONG_PASSWORD),
        ("disable", "new", Refusal.DISABLED),
    ):
        command = [sys.executable, "-c", CHANGE, str(desk.database.path), change]
        assert await asyncio.to_thread(subprocess.call, command) == 0
        assert await desk.login("alice", password) == refusal
        if change == "password":
            assert await desk.login("alice", "new") == LET_IN


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda d: d.disable(address("alice")), Refusal.DISABLED),
        (lambda d: d.remove(address("alice")), Refusal.UNKNOWN_ACCOUNT),
        (lambda d: d.set_password(address("alice"), Secret(b"new")), Refusal.WRONG_PASSWORD),
        (
            lambda d: (d.remove(address("alice")), d.add(address("alice"), Secret(RIGHT.encode()))),
            Refusal.WRONG_PASSWORD,
        ),
    ],
)
async def test_a_change_while_argon2_runs_counts(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[AccountDirectory], object],
    refusal: Refusal,
) -> None:
    """A check may wait in the queue for seconds: what was revoked meanwhile is revoked."""
    verify = desk.passwords.verify

    def verify_meanwhile(kept: str, password: Secret) -> bool:
        right = verify(kept, password)
        change(desk.directory)
        return right

    monkeypatch.setattr(desk.passwords, "verify", verify_meanwhile)
    assert await desk.login("alice", RIGHT) == refusal
    monkeypatch.undo()
    desk.work.clear()
    await desk.login("alice", RIGHT)
    assert f"verify {CHEAP}" in desk.work, "and nothing of it was remembered"


async def test_a_hash_is_renewed_when_settings_rise(desk: Desk) -> None:
    """After a good login only, at the same version; what is remembered is the renewed one."""
    risen = desk.passwords = CountingPasswords(desk.work, time_cost=2)
    desk.restart()
    before = await desk.credentials.find(address("alice"))
    assert await desk.login("alice", "wrong") == Refusal.WRONG_PASSWORD
    assert "hash" not in desk.work
    assert await desk.login("alice", RIGHT) == ["find", f"verify {CHEAP}", "find", "hash"]
    after = await desk.credentials.find(address("alice"))
    assert (after.account, after.version) == (before.account, before.version)
    assert risen.needs_rehash(before.password_hash)
    assert not risen.needs_rehash(after.password_hash)
    assert await desk.login("alice", RIGHT) == RECALLED


async def test_a_hash_that_cannot_be_renewed_refuses_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only or full disk must not keep people from their mail."""

    async def fail(credential: Credential, _: str) -> None:
        raise DatabaseUnavailable(desk.database.path, f"no space for {credential}", "")

    desk.passwords = CountingPasswords(desk.work, time_cost=2)
    desk.restart()
    monkeypatch.setattr(desk.credentials, "renew_hash", fail)
    assert await desk.login("alice", RIGHT) == ["find", f"verify {CHEAP}", "find", "hash"]
    assert await desk.login("alice", RIGHT) == RECALLED


async def test_a_renewed_hash_does_not_undo_a_new_password(desk: Desk) -> None:
    """Between the check and the renewal an operator may have set another password."""
    old = await desk.credentials.find(address("alice"))
    desk.directory.set_password(address("alice"), Secret(b"new"))
    await desk.credentials.renew_hash(old, desk.passwords.hash(Secret(RIGHT.encode())))
    assert await desk.login("alice", RIGHT) == Refusal.WRONG_PASSWORD
    assert isinstance(await desk.login("alice", "new"), list)


async def test_a_full_queue_is_told_as_trouble_and_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 3206 section 4: a server that cannot tell must not say that the password is wrong."""
    gate = threading.Event()
    monkeypatch.setattr(desk.passwords, "verify", lambda *_: gate.wait())
    logins = [asyncio.create_task(desk.admit(password_claim("alice", "x"))) for _ in range(4)]
    done, held = await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
    gate.set()
    assert [type(end) for end in await asyncio.gather(*done, return_exceptions=True)] == [
        CheckUnavailable
    ]
    await asyncio.gather(*held, return_exceptions=True)


async def test_a_remembered_login_needs_no_place_in_the_queue(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody guesses as fast as can be, the usual mail programs still get in."""
    await desk.login("alice", RIGHT)
    gate = threading.Event()
    monkeypatch.setattr(desk.passwords, "verify", lambda *_: gate.wait())
    guesses = [asyncio.create_task(desk.admit(password_claim("bob", "x"))) for _ in range(10)]
    try:
        assert isinstance(await desk.login("alice", RIGHT), list), "let in"
    finally:
        gate.set()
    ends = await asyncio.gather(*guesses, return_exceptions=True)
    assert {type(end) for end in ends} <= {LoginRefused, CheckUnavailable}


async def test_a_damaged_database_is_told_as_trouble(desk: Desk) -> None:
    """RFC 3206 section 4: mail programs forget a password that is refused."""
    with desk.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE accounts")
    for name in ("alice", "bob", "\x07"):
        with pytest.raises(CheckUnavailable, match=str(desk.database.path)):
            await desk.login(name, RIGHT)
    assert not any("verify" in step for step in desk.work)


async def test_a_damaged_hash_is_told_as_trouble(desk: Desk) -> None:
    """The same for one account: it is not its owner's mistake."""
    with desk.database.writing() as connection:
        connection.exec_driver_sql("UPDATE accounts SET password_hash = 'x' WHERE id = 1")
    with pytest.raises(CheckUnavailable):
        await desk.login("alice", RIGHT)
    assert isinstance(await desk.login("changed", RIGHT), list)


@pytest.mark.parametrize("unusable", [b"", b"\0", b"\xff", b"x" * 2000])
async def test_an_unusable_password_never_lets_in(desk: Desk, unusable: bytes) -> None:
    """Not even where somebody put the hash of an empty password into the table."""
    with desk.database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE accounts SET password_hash = ?", (desk.passwords.hash(Secret(b"")),)
        )
    assert await desk.login("alice", unusable) == Refusal.WRONG_PASSWORD


async def test_a_login_that_is_broken_off_leaves_nothing(desk: Desk) -> None:
    """A connection may end at any step: the next login finds everything as it was."""
    for steps in range(12):
        desk.restart()
        broken_off = asyncio.create_task(desk.login("alice", RIGHT))
        for _ in range(steps):
            await asyncio.sleep(0)
        broken_off.cancel()
        await asyncio.gather(broken_off, return_exceptions=True)
        assert isinstance(await desk.login("alice", RIGHT), list)


async def test_a_refusal_says_its_reason_and_no_more(desk: Desk) -> None:
    """What reaches a log is the reason: no password, no hash, no name."""
    with pytest.raises(LoginRefused) as caught:
        await desk.admit(password_claim("alice", "hunter2"))
    assert str(caught.value) == "wrong password"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_it_answers_every_question_of_a_login(desk: Desk) -> None:
    """The seam is what the server knows; the type checker holds the two against each other."""
    seam: LoginCheck = desk.checker
    questions = [name for name in vars(LoginCheck) if not name.startswith("_")]
    assert sorted(questions) == [
        "identify", "is_still_good", "look_again", "note_use", "offers_scram", "pay", "scram_keys",
        "verify",
    ]  # fmt: skip
    assert all(callable(getattr(seam, name)) for name in questions)


@pytest.mark.parametrize(("octets", "is_renewed"), [(71, True), (72, False), (100, False)])
async def test_a_hash_that_cuts_is_not_renewed_from_what_is_longer(
    desk: Desk, octets: int, is_renewed: bool
) -> None:
    """bcrypt compares 72 octets: who knows these must not set the rest, and lock the owner out."""
    carol, right = address("carol"), "correct horse battery " * 10
    kept = bcrypt.hashpw(right[:octets].encode()[:72], bcrypt.gensalt(4)).decode()
    desk.directory.add_with_hash(carol, read_imported("{BLF-CRYPT}" + kept))
    assert isinstance(await desk.login("carol", right[:octets]), list)
    after = await desk.credentials.find(carol)
    assert (not is_imported(after.password_hash)) == is_renewed
    if octets > 72:
        assert isinstance(await desk.login("carol", right[:72] + " of another"), list)
        desk.restart()
        assert isinstance(await desk.login("carol", right[:octets]), list)


async def test_right_credentials_owe_the_hash_that_they_did_not_cost(desk: Desk) -> None:
    """Who refuses them all the same spends it, so that the refusal took the work of any other."""
    device = desk.directory.devices.add(address("alice"), "printer").password.reveal()
    assert not (await desk.admit(password_claim("alice", RIGHT))).owes_a_hash
    for password in (RIGHT, device):
        desk.work.clear()
        identified = await desk.checker.identify(password_claim("alice", password))
        assert (await desk.checker.verify(identified, OFFICE)).owes_a_hash
        assert f"verify {CHEAP}" not in desk.work
        await desk.checker.pay(identified)
        assert desk.work.count(f"verify {CHEAP}") == 1
