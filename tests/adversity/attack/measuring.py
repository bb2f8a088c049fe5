"""What an attack is judged by: guesses that were looked at, memory, and where processes run."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

from mailkeep.values import IpAddress

NOT_LOOKED_AT = frozenset({"throttled", "banned"})
"""Reasons of refusals that cost no look at the password: the guesser has learnt nothing."""

_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_REFUSED = 'event="login refused"'


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused login, as the log tells it."""

    at_s: float
    source: IpAddress
    reason: str
    name: str


def refusals_in(log: str) -> list[Refusal]:
    """Return every refused login that `mailkeep serve` wrote of."""
    return [_refusal(line) for line in log.splitlines() if _REFUSED in line]


def _refusal(line: str) -> Refusal:
    fields = {name: value.strip('"') for name, value in _FIELD.findall(line)}
    host = fields["peer"].rpartition(":")[0].strip("[]")
    at = datetime.fromisoformat(fields["timestamp"])
    return Refusal(at.timestamp(), ip_address(host), fields["reason"], fields["name"])


def looked_at(refusals: Iterable[Refusal]) -> list[Refusal]:
    """Return those that answered a guess."""
    return [refusal for refusal in refusals if refusal.reason not in NOT_LOOKED_AT]


def by_prefix(refusals: Iterable[Refusal], *, four: int, six: int) -> Mapping[str, list[float]]:
    """Return the times of refusals by the prefix that they came from.

    Args:
        refusals: in any order.
        four: bits of an IPv4 prefix.
        six: bits of an IPv6 prefix.
    """
    times: defaultdict[str, list[float]] = defaultdict(list)
    for refusal in refusals:
        bits = four if refusal.source.version == 4 else six
        times[str(ip_network((refusal.source, bits), strict=False))].append(refusal.at_s)
    return times


def most_in_a_minute(times: Iterable[float]) -> int:
    """Return how many of these moments lie in any one minute at most."""
    ordered = sorted(times)
    start = most = 0
    for end, at_s in enumerate(ordered):
        while at_s - ordered[start] >= 60:
            start += 1
        most = max(most, end - start + 1)
    return most


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so large a share of all values does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def pss_octets(process: int) -> int:
    """Return how much memory a process has, what it shares counted in part (proc(5), smaps)."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    [kib] = re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(kib) * 1024


def processor_seconds(process: int) -> float:
    """Return how long a process has computed, with all its threads (proc(5), stat)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def keep_on_one_core(process: int) -> int | None:
    """Keep a process and its threads on the first core; return the second, if there is one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores[:1])
    return cores[1]
