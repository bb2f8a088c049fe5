"""Where somebody logs in from, and what is odd about it."""

import asyncio
from ipaddress import ip_address
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # it has no types
from tests.defence.knocking import ALICE, HOME, is_in, log_in, make_door

from mailkeep.defence import Place, Turning, Welcome
from mailkeep.defence.places import LOOK_AGAIN_S, Oddity, Places, distance_km, judge_place
from mailkeep.defence.remembered import FamiliarRow
from mailkeep.defence.rules import DoorRules, OddAnswer
from mailkeep.values import IpAddress

BERLIN = Place("DE", 52.52, 13.405)
MUNICH = Place("DE", 48.137, 11.575)
PARIS = Place("FR", 48.857, 2.352)
SYDNEY = Place("AU", -33.868, 151.209)
SOMEWHERE = Place(None, None, None)
HOUR_S, DAY_S = 3600.0, 86_400.0
RULES = DoorRules(new_country=OddAnswer.LOG, fast_travel=OddAnswer.REFUSE)


def been(*stays: tuple[Place | None, float]) -> list[FamiliarRow]:
    return [FamiliarRow("a", f"p{it}", at_s, place) for it, (place, at_s) in enumerate(stays)]


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [(BERLIN, BERLIN, 0), (BERLIN, MUNICH, 504), (BERLIN, PARIS, 878), (BERLIN, SYDNEY, 16_080)],
)
def test_distances(one: Place, other: Place, km: float) -> None:
    """As any map has them, within a percent; the same both ways."""
    assert distance_km(one, other) == pytest.approx(km, rel=0.01)
    assert distance_km(other, one) == distance_km(one, other)


def test_opposite_ends_of_the_earth() -> None:
    """Rounding must not leave the range of arcsine."""
    poles = Place(None, 90.0, 0.0), Place(None, -90.0, 0.0)
    assert distance_km(*poles) == pytest.approx(20_015, rel=0.001)
    assert distance_km(BERLIN, SOMEWHERE) is None


FAST = Oddity(Turning.FAST_TRAVEL, OddAnswer.REFUSE, "DE")
NEW = Oddity(Turning.NEW_COUNTRY, OddAnswer.LOG, "DE")


@pytest.mark.parametrize(
    ("before", "here", "now_s", "odd"),
    [
        ([], PARIS, 0, None),
        ([(BERLIN, 0)], None, 0, None),
        ([(BERLIN, 0)], SOMEWHERE, 0, None),
        ([(SOMEWHERE, 0)], PARIS, 0, None),
        ([(BERLIN, 0)], BERLIN, 1, None),
        ([(BERLIN, 0)], MUNICH, 0.57 * HOUR_S, None),
        ([(BERLIN, 0)], MUNICH, 0.55 * HOUR_S, FAST),
        ([(BERLIN, 0)], PARIS, 0.5 * HOUR_S, FAST),
        ([(BERLIN, 0)], PARIS, 2 * HOUR_S, NEW),
        ([(BERLIN, 0)], SYDNEY, 17 * HOUR_S, FAST),
        ([(BERLIN, 0)], SYDNEY, 18 * HOUR_S, NEW),
        ([(PARIS, 0), (BERLIN, DAY_S)], PARIS, 2 * DAY_S, None),
        ([(PARIS, 0), (BERLIN, DAY_S)], PARIS, 30 * DAY_S, NEW),
        ([(BERLIN, 0)], BERLIN, 31 * DAY_S, Oddity(Turning.NEW_COUNTRY, OddAnswer.LOG, "DE")),
        ([(BERLIN, HOUR_S)], SYDNEY, 0, FAST),
    ],
)
def test_what_is_odd(
    before: list[tuple[Place, float]], here: Place | None, now_s: float, odd: Oddity | None
) -> None:
    """Over 500 km faster than 900 km/h; a country not seen for 30 days. The severer is told."""
    assert judge_place(been(*before), here, now_s, RULES) == odd


def test_near_places_are_never_too_far() -> None:
    """The file may be wrong by some hundred kilometres."""
    near = Place("DE", 50.0, 11.0)
    assert judge_place(been((BERLIN, 0)), near, 1, RULES) is None


def test_what_is_off_is_not_told() -> None:
    """Then the other is."""
    rules = DoorRules(new_country=OddAnswer.ALERT, fast_travel=OddAnswer.OFF)
    odd = judge_place(been((BERLIN, 0)), PARIS, 1, rules)
    assert odd == Oddity(Turning.NEW_COUNTRY, OddAnswer.ALERT, "DE")
    off = DoorRules(new_country=OddAnswer.OFF, fast_travel=OddAnswer.OFF)
    assert judge_place(been((BERLIN, 0)), PARIS, 1, off) is None


def write_places(path: Path, country: str, version: int = 6) -> None:
    writer = MMDBWriter(version, "Test", ipv4_compatible=version == 6, float_type="f64")
    location = {"latitude": 52.52, "longitude": 13.405}
    found = {"country": {"iso_code": country}, "location": location}
    writer.insert_network(IPSet(["198.51.100.0/24"]), found)
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"country": "not a table"})
    if version == 6:
        writer.insert_network(IPSet(["2001:db8::/32"]), {"country": {"iso_code": country}})
    new = path.with_suffix(".new")
    writer.to_db_file(str(new))
    new.replace(path)


def test_an_operators_file_is_read(tmp_path: Path) -> None:
    """Both address families; what is not in it is nowhere."""
    write_places(tmp_path / "places.mmdb", "DE")
    places = Places(tmp_path / "places.mmdb")
    assert places.refresh(0) is None
    assert places.find(ip_address(HOME)) == BERLIN
    assert places.find(ip_address("2001:db8::1")) == Place("DE", None, None)
    assert places.find(ip_address("192.0.2.1")) is None
    assert places.find(ip_address("203.0.113.1")) is None


def test_an_ipv6_address_in_a_file_of_ipv4_is_nowhere(tmp_path: Path) -> None:
    """It is no error."""
    write_places(tmp_path / "places.mmdb", "DE", version=4)
    places = Places(tmp_path / "places.mmdb")
    places.refresh(0)
    assert places.find(ip_address("2001:db8::1")) is None
    assert places.find(ip_address(HOME)) == BERLIN


def test_a_new_file_is_taken_and_a_broken_one_is_told_once(tmp_path: Path) -> None:
    """The last good one stays in use."""
    path = tmp_path / "places.mmdb"
    write_places(path, "DE")
    places = Places(path)
    assert places.refresh(0) is None
    path.write_bytes(b"broken" * 100)
    assert places.refresh(LOOK_AGAIN_S / 2) is None
    problem = places.refresh(LOOK_AGAIN_S)
    assert problem is not None
    assert str(path) in problem
    assert places.refresh(2 * LOOK_AGAIN_S) is None
    assert places.find(ip_address(HOME)) == BERLIN
    write_places(path, "FR")
    assert places.refresh(3 * LOOK_AGAIN_S) is None
    found = places.find(ip_address(HOME))
    assert found is not None
    assert found.country == "FR"
    path.unlink()
    told = [places.refresh(it * LOOK_AGAIN_S) for it in (4, 5)]
    assert told[0] is not None
    assert told[1] is None
    assert places.find(ip_address(HOME)) == found


def test_a_missing_file_is_told_once_and_found_later(tmp_path: Path) -> None:
    """A server that starts before the file is there goes on without places."""
    path = tmp_path / "places.mmdb"
    places = Places(path)
    told = [places.refresh(it * LOOK_AGAIN_S) for it in range(3)]
    assert [it is not None for it in told] == [True, False, False]
    assert places.find(ip_address(HOME)) is None
    write_places(path, "DE")
    assert places.refresh(3 * LOOK_AGAIN_S) is None
    assert places.find(ip_address(HOME)) == BERLIN


class Map:
    """A few addresses, and where they are."""

    def __init__(self) -> None:
        self.places = {HOME: BERLIN, "203.0.113.9": PARIS, "198.18.0.1": SYDNEY}

    def find(self, source: IpAddress) -> Place | None:
        return self.places.get(str(source))


async def test_a_new_country_is_told_and_let_in() -> None:
    """As set; both countries are named."""
    door = make_door(DoorRules(new_country=OddAnswer.ALERT), places=Map())
    first = await log_in(door)
    assert first == Welcome(refused=None, familiar=False, country="DE")
    await asyncio.sleep(DAY_S)
    assert await log_in(door, "203.0.113.9") == Welcome(
        refused=None,
        familiar=False,
        odd=Turning.NEW_COUNTRY,
        is_alert=True,
        country="FR",
        country_before="DE",
    )
    await asyncio.sleep(DAY_S)
    again = await log_in(door, "::ffff:203.0.113.9")
    assert again == Welcome(refused=None, familiar=True, country="FR")


async def test_an_impossible_journey_is_refused_and_leaves_no_trace() -> None:
    """As set, sure proofs too; the place that was refused is not where the account was last."""
    door = make_door(DoorRules(fast_travel=OddAnswer.REFUSE), places=Map())
    assert is_in(await log_in(door))
    for is_sure in (False, True):
        await asyncio.sleep(HOUR_S)
        refused = await log_in(door, "198.18.0.1", is_sure=is_sure)
        assert isinstance(refused, Welcome)
        assert refused.refused is Turning.FAST_TRAVEL
        assert (refused.country, refused.country_before) == ("AU", "DE")
    assert not door.has_good_past(ip_address("198.18.0.1"))
    await asyncio.sleep(HOUR_S)
    home = await log_in(door)
    assert home == Welcome(refused=None, familiar=True, country="DE")
    assert door.guesses(ALICE) == 1
