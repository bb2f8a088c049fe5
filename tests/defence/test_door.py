"""What one login after another meets at the door."""

import asyncio
from ipaddress import ip_address

import pytest
from tests.defence.knocking import (
    ALICE,
    CHECK_S,
    EPOCH_S,
    HOME,
    attempt,
    guess,
    guess_and_see,
    is_in,
    log_in,
    make_door,
    now_s,
    wall_s,
)

from mailkeep.defence import Ban, Consequences, Let, Turned, Turning, Welcome
from mailkeep.defence.door import TOO_MANY_FAILURES, TRIED_EVERYWHERE, Door
from mailkeep.defence.remembered import BanRow, FamiliarRow, GuessesRow, Remembered
from mailkeep.defence.rules import DoorRules
from mailkeep.site.endpoint import Networks
from mailkeep.values import AccountId

BOB, STRANGE, OTHER = AccountId(2), "203.0.113.9", "2001:db8:5::1"


async def guess_often(door: Door, times: int, source: str = STRANGE, name: str = "n") -> None:
    for number in range(times):
        await guess(door, source, name, f"{name} {number}", account=None)


async def ban(door: Door, source: str = STRANGE) -> None:
    """Guess until one is banned."""
    for number in range(20):
        _, came_of_it = await guess_and_see(door, source, "n", f"p{number}", account=None)
        if came_of_it.ban is not None:
            return
    raise AssertionError


async def test_the_next_guess_waits_for_the_failures_before() -> None:
    """0, 2, 4, 8, 15 s, counted from the last failure."""
    door, waits = make_door(), []
    for number in range(6):
        let = await guess(door, STRANGE, f"n{number}", f"p{number}", account=None)
        assert isinstance(let, Let)
        waits.append(round(let.delayed_s))
    assert waits == [0, 2, 4, 8, 15, 15]


async def test_the_time_since_the_last_failure_has_been_waited() -> None:
    """A person who thinks for ten seconds waits no more."""
    door = make_door()
    await guess_often(door, 2)
    await asyncio.sleep(10)
    before = now_s()
    assert isinstance(await guess(door, STRANGE), Let)
    assert now_s() - before < 0.1


async def test_after_half_an_hour_all_is_forgotten() -> None:
    """Failures, not bans."""
    door = make_door()
    await guess_often(door, 6)
    await asyncio.sleep(1800)
    let = await guess(door, STRANGE)
    assert isinstance(let, Let)
    assert let.delayed_s == 0


async def test_right_credentials_wait_like_wrong_ones() -> None:
    """Nobody knows which they are before they are looked at."""
    door = make_door()
    await guess(door, STRANGE)
    before = now_s()
    assert is_in(await log_in(door, STRANGE))
    assert 1.9 < now_s() - before < 2.2


async def test_a_success_clears_the_pair_and_not_the_prefix() -> None:
    """Else an attacker would log in to his own account between two guesses."""
    door = make_door()
    await guess_often(door, 2)
    assert is_in(await log_in(door, STRANGE, "mallory", account=BOB))
    await guess(door, STRANGE, "n", "third", account=None)
    let = await door.ask(attempt(STRANGE, "n"))
    assert isinstance(let, Let)
    assert let.delayed_s == pytest.approx(8, abs=0.1)


async def test_a_familiar_source_has_counters_of_its_own() -> None:
    """Strangers at its address cost its owner nothing; his own mistakes do, until he is right."""
    door = make_door()
    assert is_in(await log_in(door))
    await guess_often(door, 5, HOME)
    let = await guess(door, HOME, "alice@example.com", "mistyped")
    assert isinstance(let, Let)
    assert (let.familiar, let.delayed_s) == (True, 0)
    for number in range(2):  # the second time as the first: what came before is forgotten
        before = now_s()
        assert is_in(await log_in(door))
        assert 1.9 < now_s() - before < 2.2
        await guess(door, HOME, "alice@example.com", f"mistyped {number}")


async def test_a_familiar_source_is_unfamiliar_to_other_accounts() -> None:
    """And after thirty days."""
    remembered = Remembered(
        familiar=[FamiliarRow("alice@example.com", f"{HOME}/32", EPOCH_S - 29 * 86_400, None)]
    )
    door = make_door(remembered=remembered)
    for name, familiar in [("alice@example.com", True), ("bob@example.com", False)]:
        let = await door.ask(attempt(HOME, name))
        assert isinstance(let, Let)
        assert let.familiar == familiar
        await door.give_up(let)
    assert door.has_good_past(attempt().source)
    await asyncio.sleep(86_400)
    assert not door.has_good_past(attempt().source)
    let = await door.ask(attempt())
    assert isinstance(let, Let)
    assert not let.familiar


async def test_a_sure_proof_is_no_guess() -> None:
    """A device's password goes past delays, bans and places, and its refusal counts for nobody."""
    door = make_door()
    await ban(door)
    before = now_s()
    assert is_in(await log_in(door, STRANGE, is_sure=True))
    assert now_s() - before < 0.1
    let = await door.ask(attempt(OTHER, is_sure=True))
    assert isinstance(let, Let)
    assert let.familiar
    counted = len(door._counters)
    assert await door.fail(let, account=ALICE) == Consequences()
    assert (door.guesses(ALICE), len(door._counters)) == (0, counted)


async def test_the_same_wrong_password_again_counts_once() -> None:
    """Wherever it comes from: a program with an old password is no attack. It keeps a pace."""
    door = make_door()
    for _ in range(30):
        let, came_of_it = await guess_and_see(door, STRANGE, password="old")
        assert isinstance(let, Let)
        assert let.delayed_s < 2.001
        assert came_of_it == Consequences()
    assert door.guesses(ALICE) == 1
    await guess(door, OTHER, password="old")
    assert door.guesses(ALICE) == 1
    await guess(door, OTHER, password="another")
    assert door.guesses(ALICE) == 2


async def test_a_proof_without_a_password_always_counts() -> None:
    """SCRAM shows no password that could be known."""
    door = make_door()
    for _ in range(3):
        let = await door.ask(attempt(STRANGE, password=None))
        assert isinstance(let, Let)
        await door.fail(let, account=ALICE)
    assert door.guesses(ALICE) == 3


async def test_ten_failures_ban_the_narrow_prefix() -> None:
    """For fifteen minutes; its neighbour only waits. What is banned is refused at the same pace."""
    door = make_door()
    consequences = [
        (await guess_and_see(door, STRANGE, "n", f"p{number}", account=None))[1]
        for number in range(10)
    ]
    assert consequences[:9] == [Consequences()] * 9
    assert consequences[9].ban == Ban(f"{STRANGE}/32", 900, TOO_MANY_FAILURES)
    before = now_s()
    turned = await door.ask(attempt(STRANGE, "anybody"))
    assert isinstance(turned, Turned)
    assert turned.reason is Turning.BANNED
    assert now_s() - before == pytest.approx(15, abs=0.1)
    assert isinstance(await guess(door, "203.0.113.10", "n", "next", account=None), Let)
    await asyncio.sleep(900)
    assert isinstance(await door.ask(attempt(STRANGE, "anybody")), Let)


async def test_ten_names_ban_though_no_password_is_new() -> None:
    """Others have tried the same before, so that nothing counts as a failure."""
    door = make_door(DoorRules(allow=Networks(["198.18.0.0/16"])))
    for number in range(10):
        await guess(door, "198.18.0.1", f"n{number}", f"p{number}", account=None)
    bans = [
        (await guess_and_see(door, STRANGE, f"n{number}", f"p{number}", account=None))[1].ban
        for number in range(10)
    ]
    assert bans == [None] * 9 + [Ban(f"{STRANGE}/32", 900, TOO_MANY_FAILURES)]


async def test_who_waits_when_a_ban_comes_is_turned_away() -> None:
    """Being in the queue already is no merit."""
    door = make_door()
    await guess_often(door, 9)
    await asyncio.sleep(14)
    outcomes = await asyncio.gather(*(guess(door, STRANGE, "n", f"x{it}") for it in range(3)))
    assert isinstance(outcomes[0], Let)
    assert [it.reason for it in outcomes[1:] if isinstance(it, Turned)] == [Turning.BANNED] * 2


async def test_a_banned_network_still_lets_its_honest_people_in() -> None:
    """Connections: all where somebody has a good past, else one in five seconds."""
    door = make_door()
    source = attempt(STRANGE).source
    await ban(door)
    assert [door.admits(source), door.admits(source)] == [True, False]
    await asyncio.sleep(5)
    assert door.admits(source)
    assert is_in(await log_in(door, STRANGE, is_sure=True))
    assert [door.admits(source), door.admits(source)] == [True, True]
    assert is_in(await log_in(door, STRANGE))
    assert isinstance(await door.ask(attempt(STRANGE, "bob@example.com")), Turned)
    assert door.admits(attempt(OTHER).source)


async def test_an_operators_networks_are_never_slowed_down_or_banned() -> None:
    """The webmail's address fails for all its users; a mapped address is in them too."""
    door = make_door(DoorRules(allow=Networks(["203.0.113.0/24"])))
    before = now_s()
    for number in range(100):
        source = f"::ffff:{STRANGE}" if number % 2 else STRANGE
        let, came_of_it = await guess_and_see(door, source, f"n{number}", f"p{number}", account=BOB)
        assert isinstance(let, Let)
        assert came_of_it.ban is None
    assert now_s() - before < 100 * CHECK_S + 0.1
    assert door.admits(attempt(STRANGE).source)


async def test_after_100_failures_of_strangers_the_main_password_is_refused_from_them() -> None:
    """Told once; not at home, not for devices; the owner's confirmation ends it."""
    guesses = [GuessesRow(ALICE, 98, EPOCH_S)]
    familiar = [FamiliarRow("alice@example.com", f"{HOME}/32", EPOCH_S, None)]
    door = make_door(remembered=Remembered(guesses=guesses, familiar=familiar))
    assert is_in(await log_in(door, "198.18.1.1"))
    told = [
        (await guess_and_see(door, f"198.18.{number}.1", password=f"p{number}"))[1].guessed_at
        for number in range(2, 6)
    ]
    assert told == [None, 100, None, None]
    welcome = await log_in(door, STRANGE)
    assert isinstance(welcome, Welcome)
    assert welcome.refused is Turning.GUESSED_AT
    assert is_in(await log_in(door))
    assert is_in(await log_in(door, "198.18.1.1"))
    assert is_in(await log_in(door, OTHER, is_sure=True, by_main_password=False))
    door.replace_guesses(ALICE, GuessesRow(ALICE, 0, wall_s()))
    assert is_in(await log_in(door, "198.18.200.1"))
    assert door.guesses(ALICE) == 0


async def test_familiar_failures_are_no_guesses_of_strangers() -> None:
    """An owner cannot lock himself out."""
    door = make_door()
    assert is_in(await log_in(door))
    for number in range(40):
        await guess(door, password=f"p{number}")
    assert door.guesses(ALICE) == 0
    assert is_in(await log_in(door))


async def test_right_and_refused_is_counted_as_wrong() -> None:
    """Else the next delay would tell that the password is right."""
    waits = []
    for is_right in (True, False):
        door = make_door(remembered=Remembered(guesses=[GuessesRow(ALICE, 200, EPOCH_S)]))
        for number in range(4):
            if is_right:
                assert not is_in(await log_in(door, STRANGE, password=f"p{number}"))
            else:
                await guess(door, STRANGE, password=f"p{number}")
        waits.append(now_s())
    assert waits[1] == pytest.approx(2 * waits[0], abs=0.01)


async def test_a_password_tried_on_six_accounts_is_refused_where_it_is_right() -> None:
    """All its sources are banned, from wherever they come; other passwords stay good."""
    door = make_door()
    assert is_in(await log_in(door, password="summer"))
    consequences = [
        (await guess_and_see(door, f"198.18.{it}.1", f"n{it}", "summer", account=None))[1]
        for it in range(6)
    ]
    assert consequences[:5] == [Consequences()] * 5
    assert consequences[5].ban == Ban("198.18.5.1/32", 900, TRIED_EVERYWHERE)
    others = [it.prefix for it in consequences[5].other_bans]
    assert others == [f"198.18.{number}.1/32" for number in range(5)]
    welcome = await log_in(door, STRANGE, password="summer")
    assert isinstance(welcome, Welcome)
    assert welcome.refused is Turning.HOT_PASSWORD
    assert [it.prefix for it in welcome.bans] == [f"{STRANGE}/32"]
    at_home = await log_in(door, password="summer")
    assert isinstance(at_home, Welcome)
    assert (at_home.refused, at_home.bans) == (Turning.HOT_PASSWORD, ())
    assert is_in(await log_in(door, OTHER, "bob@example.com", "winter", account=BOB))
    assert is_in(await log_in(door, OTHER, password="summer", is_sure=True))


async def test_a_hot_password_is_refused_from_allowed_networks_too() -> None:
    """But they are not banned for it."""
    door = make_door(DoorRules(allow=Networks([STRANGE])))
    for number in range(6):
        _, came_of_it = await guess_and_see(door, STRANGE, f"n{number}", "summer", account=None)
        assert came_of_it.ban is None
    welcome = await log_in(door, STRANGE, password="summer")
    assert isinstance(welcome, Welcome)
    assert (welcome.refused, welcome.bans) == (Turning.HOT_PASSWORD, ())


async def test_an_account_has_its_own_delay_for_strangers() -> None:
    """Many sources at one account slow down the next stranger there, not at other accounts."""
    door = make_door()
    for number in range(12):
        await guess(door, f"198.{number}.1.1", password=f"p{number}")
    for name, delay_s in [("alice@example.com", 15), ("bob@example.com", 0)]:
        let = await door.ask(attempt(OTHER, name))
        assert isinstance(let, Let)
        assert let.delayed_s == pytest.approx(delay_s, abs=0.1)
        await door.give_up(let)


async def test_neighbours_slow_each_other_down() -> None:
    """Three failures in a /26 are one step, nine in a /21."""
    door = make_door()
    for number in range(3):
        await guess(door, f"203.0.113.{number}", f"n{number}", f"p{number}", account=None)
    for source, delay_s in [("203.0.113.60", 2), ("203.0.113.70", 0)]:
        let = await door.ask(attempt(source, "x"))
        assert isinstance(let, Let)
        assert let.delayed_s == pytest.approx(delay_s, abs=0.1)
        await door.give_up(let)


async def test_login_delay_counts_from_the_last_login_that_was_let_in() -> None:
    """RFC 2449 section 6.5; enforced after the credentials are right, and no failure."""
    door = make_door(DoorRules(login_delay_s=60))
    assert is_in(await log_in(door))
    for _ in range(3):
        welcome = await log_in(door)
        assert isinstance(welcome, Welcome)
        assert welcome.refused is Turning.LOGIN_DELAY
    assert is_in(await log_in(door, name="bob@example.com", account=BOB))
    await asyncio.sleep(60)
    assert is_in(await log_in(door))


async def test_an_operators_bans_are_taken_over_and_lifted() -> None:
    """While the server runs."""
    door = make_door()
    door.replace_bans([BanRow("203.0.113.0/24", None, "spam", 0, "operator")])
    turned = await door.ask(attempt(STRANGE))
    assert isinstance(turned, Turned)
    assert turned.reason is Turning.BANNED
    door.replace_bans([])
    assert isinstance(await door.ask(attempt(STRANGE)), Let)


async def test_what_is_reported_twice_counts_once() -> None:
    """A caller that loses its way does no harm."""
    door = make_door()
    let = await door.ask(attempt(STRANGE))
    assert isinstance(let, Let)
    await door.fail(let, account=ALICE)
    await door.fail(let, account=ALICE)
    await door.give_up(let)
    assert door.guesses(ALICE) == 1


async def test_long_names_take_no_more_room_than_short_ones() -> None:
    """They are known by their hash."""
    door = make_door()
    await guess(door, STRANGE, "x" * 100_000, account=None)
    assert max(len(name) for name in door._counters._names) < 100


async def test_an_operators_ban_is_for_devices_and_familiar_accounts_too() -> None:
    """Somebody who once got in, and is familiar therefore, can be kept out."""
    door = make_door(DoorRules(allow=Networks((STRANGE,))))
    assert is_in(await log_in(door, STRANGE))
    door.replace_bans([BanRow("203.0.113.0/24", None, "intruder", 0, "operator")])
    assert not door.admits(ip_address(STRANGE))
    for is_sure in (False, True):
        turned = await log_in(door, STRANGE, is_sure=is_sure)
        assert isinstance(turned, Turned)
        assert turned.reason is Turning.BANNED
    door.replace_bans([])
    assert is_in(await log_in(door, STRANGE))


async def test_a_stolen_devices_password_is_unfamiliar_where_the_thief_is() -> None:
    """It is let in at once, and the record says that the account was never there before."""
    door = make_door()
    first = await log_in(door, HOME, is_sure=True)
    again = await log_in(door, HOME, is_sure=True)
    elsewhere = await log_in(door, STRANGE, is_sure=True)
    assert [it.familiar for it in (first, again, elsewhere) if isinstance(it, Welcome)] == [
        False,
        True,
        False,
    ]
