"""Bans: for how long, whom they cover, and who still comes in."""

from ipaddress import ip_address

import pytest

from mailkeep.defence import bans as bans_module
from mailkeep.defence.bans import Bans, ban_s
from mailkeep.defence.remembered import BanRow

SOURCE = ip_address("192.0.2.7")
NARROW = "192.0.2.7/32"
MINUTE_S, DAY_S = 60, 86_400


@pytest.mark.parametrize(
    ("times", "minutes"),
    [(1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 480), (7, 960), (8, 1440), (9999, 1440)],
)
def test_a_ban_doubles_up_to_a_day(times: int, minutes: int) -> None:
    """From fifteen minutes."""
    assert ban_s(times) == minutes * MINUTE_S


def test_each_ban_within_a_week_is_longer() -> None:
    """Counted from the end of the one before; then it starts anew."""
    bans, now_s, lengths = Bans(), 1e9, []
    for _ in range(3):
        row = bans.ban(NARROW, "test", now_s)
        assert row is not None
        assert row.until_s is not None
        lengths.append(row.until_s - now_s)
        now_s = row.until_s + 7 * DAY_S - 1
    row = bans.ban(NARROW, "test", now_s + 7 * DAY_S)
    assert row is not None
    assert row.until_s is not None
    assert lengths == [900, 1800, 3600]
    assert row.until_s - now_s - 7 * DAY_S == 900


def test_a_ban_in_force_is_not_made_again() -> None:
    """Somebody who is banned twice at once has not come back after it."""
    bans = Bans()
    assert bans.ban(NARROW, "test", 0) is not None
    assert bans.ban(NARROW, "test", 899) is None
    assert bans.is_banned(SOURCE, 899)
    assert not bans.is_banned(SOURCE, 900)


@pytest.mark.parametrize("network", ["192.0.2.7/32", "192.0.2.0/24", "192.0.0.0/9", "0.0.0.0/0"])
def test_an_operators_ban_covers_its_network_for_ever(network: str) -> None:
    """Until it is lifted."""
    bans = Bans([BanRow(network, None, "spam", 0, "operator")])
    assert bans.is_banned(SOURCE, 1e12)
    assert bans.is_banned(ip_address("::ffff:192.0.2.7"), 1e12)
    assert not bans.is_banned(ip_address("2001:db8::7"), 1e12)
    assert bans.ban(network, "test", 0) is None
    bans.replace([])
    assert not bans.is_banned(SOURCE, 1e12)


def test_an_operators_ban_shuts_everybody_out_and_the_doors_own_does_not() -> None:
    """He has looked, and may be keeping somebody out who once got in."""
    own = Bans()
    own.ban(NARROW, "test", 0)
    assert own.is_banned(SOURCE, 1)
    assert not own.is_shut_out(SOURCE, 1)
    both = Bans([*own.rows(), BanRow("192.0.2.0/24", 100.0, "intruder", 0, "operator")])
    assert both.is_shut_out(SOURCE, 99)
    assert not both.is_shut_out(SOURCE, 100)


def test_an_ipv6_ban_is_of_a_64() -> None:
    """The next address of the same customer is banned too."""
    bans = Bans()
    bans.ban("2001:db8:0:1::/64", "test", 0)
    assert bans.is_banned(ip_address("2001:db8:0:1:ffff::9"), 1)
    assert not bans.is_banned(ip_address("2001:db8:0:2::9"), 1)


def test_a_banned_prefix_may_connect_every_five_seconds() -> None:
    """For a device that proves itself there."""
    bans = Bans()
    asked = [0, 1, 4.9, 5, 9, 10.5]
    assert [bans.admits(NARROW, it) for it in asked] == [True, False, False, True, False, True]
    assert bans.admits("192.0.2.8/32", 1)


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    """The last connection lies in the future then."""
    bans = Bans()
    bans.admits(NARROW, 1000)
    assert bans.admits(NARROW, 10)


def test_when_there_are_too_many_those_that_end_first_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's never do."""
    monkeypatch.setattr(bans_module, "BANS_LIMIT", 10)
    monkeypatch.setattr(bans_module, "_MADE_ROOM", 2)
    bans = Bans([BanRow("10.0.0.0/8", None, "spam", 0, "operator")])
    for number in range(100):
        bans.ban(f"192.0.2.{number}/32", "test", number)
        assert len(bans) <= 10
    assert bans.is_banned(ip_address("10.1.2.3"), 100)
    assert bans.is_banned(ip_address("192.0.2.99"), 100)
    assert not bans.is_banned(ip_address("192.0.2.0"), 100)
    assert sum(bans._sizes.values()) == len(bans)
