"""Downloading and deleting: each turn has maildrops of its own, which are empty afterwards.

A turn begins with a look at each maildrop, as a mail program that polls would have taken when the
mail came: opening a maildrop for the first time is another row.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.server import maildirs
from bench.server.cpu_rows import Bench, cost_ms
from bench.server.figures import Figure, Measured, Side
from bench.server.load import AWAKE, LoadFailed
from bench.server.people import DELETED
from bench.server.place import Place
from bench.server.rows import DELETE
from bench.server.running import Server


def measure_deletion(bench: Bench, servers: Sequence[Server]) -> Measured:
    """Measure it, in turns, and see that nothing is left."""
    costs: dict[Side, list[float]] = defaultdict(list)
    idle: list[float] = []
    contents = maildirs.texts(DELETED.messages, DELETED.octets)
    connections = DELETED.users
    try:
        for series in range(bench.rounds):
            for server in servers:
                folders = _fill(bench.place, server, contents, series)
                run = partial(bench.load.run, server, population=DELETED, connections=connections)
                run(script="poll", units=DELETED.users)
                cost, report = cost_ms(server, partial(run, script="delete", options=AWAKE))
                _check(server, folders)
                costs[server.side].append(cost)
                idle.append(report.idle_share)
    except LoadFailed as failure:
        return Measured(DELETE, problem=str(failure))
    figures = {side: Figure(tuple(rounds)) for side, rounds in costs.items()}
    return Measured(DELETE, figures, load_idle=min(idle))


def _fill(place: Place, server: Server, contents: Sequence[bytes], series: int) -> list[Path]:
    """Fill the maildrops of one server and return their folders."""
    tree = place.mail if server.side is Side.OURS else place.dovecot / "mail"
    folders = [maildirs.maildir_of(tree, address) for address in DELETED.addresses]
    for folder in folders:
        maildirs.fill(folder, contents, count=DELETED.messages, series=series)
        maildirs.give_away(folder, place.user)
    return folders


def _check(server: Server, folders: Sequence[Path]) -> None:
    """Refuse a figure for work that was not done."""
    left = sum(1 for folder in folders for _ in (folder / "cur").iterdir())
    if left:
        raise LoadFailed(f"{server.side.value} left {left} messages after DELE and QUIT")
