"""docs/door.md: its figures are the code's, and what it has to be pasted works as it stands."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.harness.programs import DEADLINE_S, cannot_run, find_program

from mailkeep.accounts.generated import ALPHABET, GROUP, LETTERS
from mailkeep.defence import (
    bans,
    counters,
    curve,
    failures,
    places,
    policy_server,
    prefixes,
    remembered,
    turns,
    welcomes,
    wrong_passwords,
)
from mailkeep.server.before_login.program import REFUSALS_LIMIT
from mailkeep.values.prepared import PREPARED_LIMIT_CHARACTERS

PAGE = (Path(__file__).parents[2] / "docs" / "door.md").read_text()
WORDS = " ".join(PAGE.split())
"""Without line breaks."""
IN_WORDS: dict[float, str] = {2: "two", 3: "three", 5: "five", 10: "ten"}
BANS = "192.0.2.0/24\n192.0.2.7/32\n198.51.100.7/32\n2001:db8::/32\n2001:db8:1:2::/64\n"
"""Some are within others: an operator banned a network after the door had banned an address."""


def block(language: str, holding: str) -> str:
    """Return the one fenced block of a language that holds some words."""
    found = [
        text.partition("\n")[2]
        for text in PAGE.split("```")[1::2]
        if text.partition("\n")[0] == language and holding in text
    ]
    (only,) = found
    return only


_, SECOND, THIRD, FOURTH, LONGEST = (f"{seconds:g}" for seconds in curve.CURVE_S)
DAY_S, MINUTE_S = 86_400, 60


@pytest.mark.parametrize(
    "words",
    [
        f"{LETTERS} letters in {IN_WORDS[LETTERS // GROUP]} groups",
        f"{(len(ALPHABET) ** LETTERS).bit_length() - 1} random bits",
        f"as many as {PREPARED_LIMIT_CHARACTERS};",
        f"IPv4 address, IPv6 /{prefixes.NARROW_BITS[6]} |",
        f"no sooner than {SECOND}, {THIRD}, {FOURTH}, then {LONGEST} s after the last failure",
        f"| {failures.MINUTE_LIMIT}; {failures.DAY_LIMIT} a day |",
        f"IPv4 /{prefixes.MIDDLE_BITS[4]}, IPv6 /{prefixes.MIDDLE_BITS[6]} |",
        (
            f"{SECOND}, {THIRD}, {FOURTH}, {LONGEST} s after it came; "
            f"a step for each {curve.MIDDLE_FACTOR} failures | "
            f"{failures.MINUTE_LIMIT * curve.MIDDLE_FACTOR} |"
        ),
        f"IPv4 /{prefixes.WIDE_BITS[4]}, IPv6 /{prefixes.WIDE_BITS[6]} |",
        (
            f"a step for each {curve.WIDE_FACTOR} failures | "
            f"{failures.MINUTE_LIMIT * curve.WIDE_FACTOR} |"
        ),
        f"unfamiliar to it | the same; a step for each {curve.ACCOUNT_FACTOR} failures",
        f"the same, {curve.SITE_LIMIT_S:g} s at most; a step for each {curve.SITE_FACTOR} failures",
        f"{IN_WORDS[turns.PLACES].capitalize()} guesses of an address",
        f"{turns.QUEUE_LIMIT} may wait",
        (
            f"{IN_WORDS[failures.BAN_FAILURES].capitalize()} failures or "
            f"{IN_WORDS[failures.BAN_NAMES]} names in "
            f"{IN_WORDS[failures.BAN_WINDOW_S // MINUTE_S]} minutes ban the address (or /64) for "
            f"{bans.FIRST_BAN_S // MINUTE_S} minutes"
        ),
        f"connect once in {IN_WORDS[bans.TRICKLE_S]} seconds",
        f"is familiar there for {remembered.FAMILIAR_FOR_S / DAY_S:g} days",
        f"After {welcomes.GUESSES_LIMIT} failures from unfamiliar networks",
        f"(the last {IN_WORDS[wrong_passwords.REPEATED_KEPT]} of a name, for a day)",
        f"waits {IN_WORDS[curve.REPEATED_S]} seconds",
        f"more than {IN_WORDS[wrong_passwords.HOT_NAMES]} names within an hour",
        f"more than {places.NEAR_KM:g} km apart and faster than {places.FASTEST_KM_PER_H:g} km/h",
        f"{IN_WORDS[policy_server.TIMEOUT_S]} seconds, then `policy_server_fails`",
        f"{IN_WORDS[REFUSALS_LIMIT]} of them end a connection",
    ],
)
def test_a_figure_is_the_codes(words: str) -> None:
    """Whoever changes a constant changes the page."""
    assert words in WORDS


def test_spans_that_the_page_has_in_words_are_the_codes() -> None:
    """ "A day", "an hour", "half an hour", "seven days", "a quarter" and "200,000"."""
    assert bans.LONGEST_BAN_S == wrong_passwords.REPEATED_FOR_S == DAY_S
    assert wrong_passwords.HOT_FOR_S == 2 * failures.FORGOTTEN_AFTER_S == 60 * MINUTE_S
    assert remembered.BAN_REMEMBERED_S == 7 * DAY_S
    assert curve.JITTER == 1 / 4
    keys = counters.NARROW_KEYS + counters.WIDER_KEYS + counters.NAME_KEYS
    keys += counters.PAIR_KEYS + counters.PASSWORD_KEYS + counters.LOGIN_KEYS
    assert keys == 200_000


def in_a_network_of_its_own(script: str) -> str:
    """Run a script as root of a network namespace, which ends with it; return what it writes."""
    unshare = find_program("unshare")
    if os.geteuid() != 0:
        cannot_run("only root may make sets of addresses")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(
        [unshare, "--net", "bash", "-ec", f"set -o pipefail\n{script}"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env={**os.environ, "PATH": path},
    )
    if "Operation not permitted" in done.stderr:
        cannot_run(f"this machine lets nobody filter packets: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("listed", [BANS, ""], ids=["some", "none"])
def test_nftables_takes_the_bans(tmp_path: Path, listed: str) -> None:
    """Again and again, bans within bans too; those that were lifted are gone."""
    find_program("nft")
    file = tmp_path / "bans"
    file.write_text(listed)
    load = block("sh", "nft -f -").replace("/run/mailkeep/bans", str(file))
    rules = tmp_path / "rules.nft"
    rules.write_text(block("nft", "table inet mailkeep"))
    before = "nft add element inet mailkeep bans4 '{ 203.0.113.9 }'"
    # grep says 1 where there is no line, which is no failure here
    script = f"nft -f {rules}\n{before}\nset +o pipefail\n{load}\n{load}\nnft list sets"
    sets = in_a_network_of_its_own(script)
    expected = {"192.0.2.0/24", "198.51.100.7", "2001:db8::/32"} if listed else set()
    assert set(re.findall(r"[0-9a-f:.]*[.:][0-9a-f:.]+(?:/\d+)?", sets)) == expected


def test_ipset_takes_the_bans(tmp_path: Path) -> None:
    """The same with its sets, made as the page says."""
    find_program("ipset")
    file = tmp_path / "bans"
    file.write_text(BANS)
    load = block("sh", "ipset restore").replace("/run/mailkeep/bans", str(file))
    made, before = block("sh", "ipset create"), "ipset add mailkeep4 203.0.113.9"
    script = f"{made}\n{before}\n{load}\n{load}\nipset list -output save"
    members = re.findall(r"^add mailkeep[46] (\S+)", in_a_network_of_its_own(script), re.MULTILINE)
    hosts = {line.removesuffix("/32") if "." in line else line for line in BANS.splitlines()}
    assert set(members) == hosts


def test_the_pages_shell_needs_nothing_unusual() -> None:
    """What is pasted runs in any POSIX shell."""
    for text in PAGE.split("```")[1::2]:
        if text.startswith("sh\n"):
            shell = shutil.which("sh")
            assert shell
            checked = subprocess.run(
                [shell, "-n"], input=text.partition("\n")[2], text=True, check=False
            )
            assert checked.returncode == 0
