"""What is known of every message of one account: the journal, one SQLite database an account.

One row a message and generation, from the first time it was wanted. A row is durable before the
message is asked for, so that a restart knows which file names to look for; it says STORED only when
the message is durable in every destination; and a message counts as gone from the server only when
QUIT was answered.

    FETCHING -> STORED -> DELETING -> GONE        QUARANTINED: failed too often
                            |                     LEFT: not wanted (before the first run, imported)
                            v                     HEADER: only the header was stored
                  listed again: STORED

It blocks; all calls come from one thread of the disk's, one at a time. It uses the standard
`sqlite3` and nothing of the server's database room. Rows are never deleted: a unique-id that comes
back is compared with what it was.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mailkeep.fetch.failures import StorageFailed
from mailkeep.fetch.journal_file import (
    Transaction,
    connect,
    journal_failure,
    make_journal_file,
    make_ready,
)
from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.rows import (
    HEADER_ONLY,
    IMPORTED,
    MANGLED,
    RECHECK,
    SUSPECT,
    Intended,
    Intent,
    Outcome,
    Row,
    Safe,
    State,
)

CLOCK = "clock"
"""The fact that says the latest time that was seen."""

GRACE_S = 30 * 86_400
"""How long a stored message may be missing from listings before it counts as gone (S-36, S-37)."""

_COLUMNS = (
    "id, uidl, ordinal, generation, state, place, listed_at, announced, octets, sha256,"
    " header_sha256, stored_at, missing_since, failures, note"
)


class Journal:
    """An account's journal. Make one with `open_journal`.

    Attributes:
        was_left_open: the last run was killed. If the disk has cut what it wrote last, SQLite drops
            it silently, so there may be messages that the journal does not know.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, *, was_left_open: bool = False
    ) -> None:
        self.path = path
        self.was_left_open = was_left_open
        self._connection = connection

    def close(self) -> None:
        """Let it go. Safe to call twice."""
        self._connection.close()

    def settled(self) -> dict[bytes, int | None]:
        """Return the announced size by unique-id of all that needs nothing, in one sweep.

        These are most rows of an old journal, and only those with ordinal 0.
        """
        query = "SELECT uidl, announced FROM message WHERE state IN (?, ?) AND ordinal = 0"
        return dict(self._all(query, (State.STORED, State.LEFT)))

    def others(self) -> list[Row]:
        """Return the newest generation's rows that `settled` leaves out; none that is gone.

        What is gone grows for ever where mail is deleted; `gone` returns what is asked for.
        """
        newest = (
            "NOT EXISTS (SELECT 1 FROM message newer WHERE newer.uidl = message.uidl AND"
            " newer.ordinal = message.ordinal AND newer.generation > message.generation)"
        )
        where = f"state != ? AND (state NOT IN (?, ?) OR ordinal > 0) AND {newest} ORDER BY id"
        return self._rows(where, (State.GONE, State.STORED, State.LEFT))

    def gone(self, uidls: Iterable[bytes]) -> list[Row]:
        """Return the rows of those unique-ids that are gone, oldest generation first."""
        if not self._all("SELECT 1 FROM message WHERE state = ? LIMIT 1", (State.GONE,)):
            return []
        where = "uidl = ? AND state = ? ORDER BY generation"
        return [row for uidl in uidls for row in self._rows(where, (uidl, State.GONE))]

    def rows(self, state: State) -> list[Row]:
        """Return the rows in a state."""
        return self._rows("state = ? ORDER BY id", (state,))

    def rows_of(self, uidls: Iterable[bytes]) -> list[Row]:
        """Return the newest generation's rows of some unique-ids, all ordinals."""
        found: dict[tuple[bytes, int], Row] = {}
        for uidl in uidls:
            for row in self._rows("uidl = ? ORDER BY generation", (uidl,)):
                found[row.key.uidl, row.key.ordinal] = row
        return list(found.values())

    def earlier(self, keys: Iterable[MessageKey]) -> list[Row]:
        """Return the rows of earlier generations."""
        where = "uidl = ? AND ordinal = ? AND generation < ?"
        return [row for key in keys for row in self._rows(where, _key(key))]

    def held(self, ids: Iterable[int]) -> dict[int, dict[str, str]]:
        """Return which destinations hold these messages, and where."""
        found: dict[int, dict[str, str]] = {}
        query = (
            "SELECT d.name, h.place FROM held h JOIN destination d ON d.id = h.destination"
            " WHERE h.message = ?"
        )
        for number in ids:
            found[number] = dict(self._all(query, (number,)))
        return found

    def stored_before(self, destination: str) -> bool:
        """Tell whether a destination ever held a message."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM destination d WHERE d.name = ? AND (d.mark IS NOT NULL"
            " OR EXISTS (SELECT 1 FROM held h WHERE h.destination = d.id)))"
        )
        return bool(self._all(query, (destination,))[0][0])

    def mark(self, destination: str) -> int | None:
        """Return what a destination wanted remembered (see `Destination.begin_batch`)."""
        found = self._all("SELECT mark FROM destination WHERE name = ?", (destination,))
        return found[0][0] if found else None

    def set_mark(self, destination: str, mark: int) -> None:
        """Remember it, durably, before something is appended."""
        with self._writing() as connection:
            _put_mark(connection, destination, mark)

    def fact(self, name: str) -> str | None:
        """Return something remembered of the account."""
        found = self._all("SELECT value FROM fact WHERE name = ?", (name,))
        return found[0][0] if found else None

    def facts(self) -> dict[str, str]:
        """Return everything that is remembered of the account."""
        return dict(self._all("SELECT name, value FROM fact", ()))

    def set_facts(self, facts: Mapping[str, str]) -> None:
        """Remember things of the account."""
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", [*facts.items()])

    def states(self) -> dict[bytes, State]:
        """Return the state of every unique-id; of several messages with one, the newest's."""
        query = "SELECT uidl, state FROM message ORDER BY generation, ordinal DESC"
        return {uidl: State(state) for uidl, state in self._all(query, ())}

    def count_suspect(self) -> int:
        """Return how many stored messages may have arrived cut."""
        query = "SELECT count(*) FROM message WHERE state = ? AND note = ?"
        return int(self._all(query, (State.STORED, SUSPECT))[0][0])

    def is_empty(self) -> bool:
        """Tell whether no message was ever noted: the account's first run."""
        return not self._all("SELECT 1 FROM message LIMIT 1", ())

    def counts(self) -> dict[State, int]:
        """Return how many rows are in each state."""
        query = "SELECT state, count(*) FROM message GROUP BY state"
        return {State(state): count for state, count in self._all(query, ())}

    def intend(self, intents: Sequence[Intent], *, now: int) -> list[Intended]:
        """Journal messages before they are asked for.

        A message that was intended before keeps its row, its time and so its file name.
        """
        insert = (
            "INSERT INTO message"
            " (uidl, ordinal, generation, state, place, listed_at, announced, note)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uidl, ordinal, generation) DO UPDATE"
            " SET announced = excluded.announced, state = excluded.state,"
            " note = CASE WHEN excluded.note = '' AND note != ? THEN note ELSE excluded.note END"
            " RETURNING id, listed_at, place, failures, octets IS NOT NULL"
        )
        supersede = (
            "UPDATE message SET state = ?, gone_at = ? WHERE uidl = ? AND ordinal = ?"
            " AND generation < ? AND state = ?"
        )
        intended = []
        with self._writing() as connection:
            for i in intents:
                note = HEADER_ONLY if i.header_only else ""
                row = (*_key(i.key), State.FETCHING, i.place, now, i.announced, note, HEADER_ONLY)
                intended.append(Intended(*connection.execute(insert, row).fetchone()))
            older = [
                (State.GONE, now, *_key(i.key), State.FETCHING) for i in intents if i.key.generation
            ]
            connection.executemany(supersede, older)
        return intended

    def leave(
        self,
        intents: Sequence[Intent],
        *,
        now: int,
        note: str,
        state: State = State.LEFT,
    ) -> None:
        """Note messages that are not wanted, or not as they are; a known one stays as it is."""
        insert = (
            "INSERT INTO message"
            " (uidl, ordinal, generation, state, place, listed_at, announced, note)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )
        rows = [(*_key(i.key), state, i.place, now, i.announced, note) for i in intents]
        with self._writing() as connection:
            connection.executemany(insert, rows)

    def commit(
        self, outcomes: Sequence[Outcome], marks: Mapping[str, int | None], *, now: int
    ) -> None:
        """Journal a batch that is durable in its destinations, in one transaction.

        Its age counts from the latest time that was ever seen: what is stored while the clock
        stands in 1970 is not old when it is right again (S-13).
        """
        stored_at = max(now, int(self.fact(CLOCK) or 0))
        update = (
            "UPDATE message SET octets = ?, sha256 = ?, header_sha256 = ?, state = ?,"
            " note = CASE WHEN ? AND note = ? THEN note ELSE ? END,"
            " failures = failures + ?, stored_at = CASE WHEN ? THEN ? END WHERE id = ?"
        )
        rows = [
            (
                o.received.octets,
                o.received.sha256,
                o.received.header_sha256,
                o.state,
                o.state is State.FETCHING,
                HEADER_ONLY,
                o.note,
                o.failed,
                o.state in {State.STORED, State.HEADER},
                stored_at,
                o.id,
            )
            for o in outcomes
        ]
        with self._writing() as connection:
            connection.executemany(update, rows)
            names = {name for o in outcomes for name in o.held}
            numbers = {name: _destination(connection, name) for name in names}
            held = [
                (o.id, numbers[name], place) for o in outcomes for name, place in o.held.items()
            ]
            connection.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", held)
            for name, mark in marks.items():
                if mark is not None:
                    _put_mark(connection, name, mark)

    def adopt(self, pairs: Sequence[tuple[int, Row]], *, now: int) -> None:
        """Note that messages with new unique-ids are old ones, in the same places (S-32).

        Args:
            pairs: the id of the new row, and the old row, which was stored whole and counts as
                gone from now on.
            now: seconds since 1970.
        """
        with self._writing() as connection:
            for number, old in pairs:
                connection.execute(
                    "UPDATE message SET (state, octets, sha256, header_sha256, stored_at, note) ="
                    " (SELECT ?, octets, sha256, header_sha256, stored_at, note FROM message"
                    " WHERE id = ?) WHERE id = ?",
                    (State.STORED, old.id, number),
                )
                connection.execute(
                    "INSERT OR REPLACE INTO held SELECT ?, destination, place FROM held"
                    " WHERE message = ?",
                    (number, old.id),
                )
                connection.execute(
                    "UPDATE message SET state = ?, gone_at = ?, note = 'renamed' WHERE id = ?",
                    (State.GONE, now, old.id),
                )

    def deletable(self, destinations: Sequence[str]) -> dict[tuple[bytes, int], Safe]:
        """Return the stored messages that each of these destinations holds.

        None that ever had a twin of the same unique-id: which of them is left, nobody says (S-30).

        Args:
            destinations: all that the account has now; one that was added later holds less. Where
                there are none, nothing is safe.
        """
        if not destinations:
            return {}
        query = (
            "SELECT m.uidl, m.ordinal, m.id, m.stored_at, m.note FROM message m WHERE m.state = ?"
            " AND m.sha256 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM message twin WHERE"
            " twin.uidl = m.uidl AND twin.ordinal > 0) AND (SELECT count(*) FROM held h"
            " JOIN destination d ON d.id = h.destination WHERE h.message = m.id AND d.name IN"
            " (SELECT value FROM json_each(?))) = ?"
        )
        values = (State.STORED, json.dumps(destinations), len(destinations))
        rows = self._all(query, values)
        return {(uidl, ordinal): Safe(*rest) for uidl, ordinal, *rest in rows}

    def mangled(self) -> list[bytes]:
        """Return the unique-ids that another program may have written with `-` for `/`."""
        query = "SELECT uidl FROM message WHERE note = ?"
        return [row[0] for row in self._all(query, (MANGLED,))]

    def rename(self, uidls: Mapping[bytes, bytes]) -> None:
        """Correct imported unique-ids."""
        change = "UPDATE OR IGNORE message SET uidl = ?, note = ? WHERE uidl = ? AND note = ?"
        rows = [(new, IMPORTED, old, MANGLED) for old, new in uidls.items()]
        with self._writing() as connection:
            connection.executemany(change, rows)

    def set_sizes(self, sizes: Iterable[tuple[bytes, int]]) -> None:
        """Note what LIST says of messages whose size was not known, by unique-id."""
        with self._writing() as connection:
            rows = [(octets, uidl) for uidl, octets in sizes]
            change = "UPDATE message SET announced = ? WHERE uidl = ? AND announced IS NULL"
            connection.executemany(change, rows)

    def set_announced(self, sizes: Mapping[int, int | None]) -> None:
        """Correct what LIST says of messages that were found to be the same."""
        with self._writing() as connection:
            rows = [(size, number) for number, size in sizes.items()]
            connection.executemany("UPDATE message SET announced = ? WHERE id = ?", rows)

    def set_state(self, ids: Iterable[int], state: State, *, now: int, note: str = "") -> None:
        """Move rows to a state; GONE is given its time, and a note only where there is one."""
        change = (
            "UPDATE message SET state = ?, gone_at = CASE WHEN ? THEN ? END, missing_since = NULL,"
            " note = CASE WHEN ? = '' THEN note ELSE ? END WHERE id = ?"
        )
        gone = state is State.GONE
        with self._writing() as connection:
            connection.executemany(change, [(state, gone, now, note, note, i) for i in ids])

    def doubt(self, number: int) -> bool:
        """Note that a stored message may have arrived cut (S-46); tell whether it is stored."""
        change = "UPDATE message SET note = ? WHERE id = ? AND state = ?"
        with self._writing() as connection:
            return connection.execute(change, (SUSPECT, number, State.STORED)).rowcount > 0

    def recheck(self, ids: Iterable[int]) -> None:
        """Forget what was announced of stored messages, so that their headers are compared."""
        change = "UPDATE message SET announced = ? WHERE id = ? AND state IN (?, ?)"
        with self._writing() as connection:
            connection.executemany(
                change, [(RECHECK, number, State.STORED, State.HEADER) for number in ids]
            )

    def fail(self, number: int, reason: str, *, limit: int) -> int:
        """Count a failure of a message, and return how many there were; at `limit` it is set aside.

        Args:
            number: of its row.
            reason: for people.
            limit: failures that put it into quarantine.
        """
        with self._writing() as connection:
            (failures,) = connection.execute(
                "UPDATE message SET failures = failures + 1, state = CASE WHEN failures + 1 >= ?"
                " THEN ? ELSE state END, note = CASE WHEN note = ? THEN note ELSE ? END"
                " WHERE id = ? RETURNING failures",
                (limit, State.QUARANTINED, HEADER_ONLY, reason, number),
            ).fetchone()
        return int(failures)

    def release_quarantined(self) -> None:
        """Let messages in quarantine be asked for again."""
        change = "UPDATE message SET state = ?, failures = 0 WHERE state = ?"
        with self._writing() as connection:
            connection.execute(change, (State.FETCHING, State.QUARANTINED))

    def note_missing(self, missing: Iterable[bytes], listed: Iterable[bytes], *, now: int) -> None:
        """Note which stored messages the server no longer lists, and which it lists again.

        Whoever calls it has a listing that is not empty (S-36).
        """
        with self._writing() as connection:
            connection.executemany(
                "UPDATE message SET missing_since = ? WHERE uidl = ? AND state IN (?, ?)"
                " AND missing_since IS NULL",
                [(now, uidl, State.STORED, State.LEFT) for uidl in missing],
            )
            connection.executemany(
                "UPDATE message SET missing_since = NULL WHERE uidl = ?",
                [(uidl,) for uidl in listed],
            )
            connection.execute(
                "UPDATE message SET state = ?, gone_at = ? WHERE state IN (?, ?)"
                " AND missing_since < ?",
                (State.GONE, now, State.STORED, State.LEFT, now - GRACE_S),
            )

    def missing(self) -> set[bytes]:
        """Return the unique-ids that were noted as missing."""
        query = "SELECT uidl FROM message WHERE missing_since IS NOT NULL"
        return {row[0] for row in self._all(query, ())}

    def _rows(self, where: str, values: Sequence[object]) -> list[Row]:
        query = f"SELECT {_COLUMNS} FROM message WHERE {where}"  # noqa: S608  # constants
        return [
            Row(number, MessageKey(uidl, ordinal, generation), State(state), *rest)
            for number, uidl, ordinal, generation, state, *rest in self._all(query, values)
        ]

    def _all(self, query: str, values: Sequence[object]) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as cause:
            raise journal_failure(self.path, cause) from cause

    def _writing(self) -> Transaction:
        return Transaction(self.path, self._connection)


def open_journal(path: Path, *, create: bool = True) -> Journal:
    """Open the journal of an account.

    Args:
        path: its file; the folder exists.
        create: make it if it is missing.

    Raises:
        JournalUnusable: it is damaged, or a newer version has written it.
        StorageFailed: it cannot be opened or made.
    """
    try:
        if create and not path.exists():
            make_journal_file(path)
        was_left_open = Path(f"{path}-wal").exists()
        connection = connect(path, mode="rw")
        try:
            make_ready(path, connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as cause:
        raise journal_failure(path, cause) from cause
    except OSError as cause:
        raise StorageFailed(f"the journal {path} cannot be made: {cause.strerror}") from cause
    return Journal(path, connection, was_left_open=was_left_open)


def _put_mark(connection: sqlite3.Connection, name: str, mark: int) -> None:
    number = _destination(connection, name)
    connection.execute("UPDATE destination SET mark = ? WHERE id = ?", (mark, number))


def _destination(connection: sqlite3.Connection, name: str) -> int:
    """Return a destination's number; not kept, because a transaction that fails takes it back."""
    connection.execute("INSERT OR IGNORE INTO destination (name) VALUES (?)", (name,))
    found = connection.execute("SELECT id FROM destination WHERE name = ?", (name,))
    return int(found.fetchone()[0])


def _key(key: MessageKey) -> tuple[bytes, int, int]:
    return key.uidl, key.ordinal, key.generation
