"""One open SQLite database: its connections, its transactions, its threads.

Every connection has the same settings: write-ahead log (a reader never waits for a writer),
synchronous FULL (what is committed survives a power cut), foreign keys on. A transaction is for
writing and takes the writer's place when it begins: one that starts by reading and then writes is
refused at once when another program wrote in between, and no waiting helps it.

It knows no table. Known limits: SQLite only; work that waits for a thread is bounded by whoever
asks (a login has its own deadline and its connection its own limit).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from sqlalchemy import Connection, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from mailkeep.database.errors import unavailable
from mailkeep.database.last_number import LastNumber

BUSY_TIMEOUT_S = 5.0
"""How long one program waits for another's write. A write takes one fsync: even a disk that is
overloaded needs less, and a login has 60 s."""

DATABASE_THREADS = 4
"""Reading a row takes microseconds; more than one thread only so that a write that waits for the
disk does not keep the readers waiting."""

_WRITES = "mailkeep_writes"

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Database:
    """An open database. Make one with `mailkeep.database.opening.open_database`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: connect(path),
            poolclass=QueuePool,
            pool_size=DATABASE_THREADS,
            hide_parameters=True,  # an error's text must not carry what was being written
        )
        event.listen(self._engine, "begin", _begin)
        self._threads = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="database")
        self._last_numbers: list[LastNumber] = []

    def last_number(self, table: str) -> LastNumber:
        """Return what tells the last number that a table gave; closed with this."""
        last_number = LastNumber(self.path, table)
        self._last_numbers.append(last_number)
        return last_number

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Borrow a connection to read from; it never waits for a writer.

        Each statement sees one state of the database, two may see different ones: a transaction
        around the one row that a login reads would cost as much as the row.

        Raises:
            DatabaseUnavailable: the database failed.
        """
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes: durable when the block has ended, undone if it raises.

        Raises:
            DatabaseUnavailable: the database failed, or another program wrote for longer than
                `BUSY_TIMEOUT_S`; nothing was changed.
            sqlalchemy.exc.IntegrityError: a rule of the table forbids it; nothing was changed.
        """
        with self._translated(), self._engine.connect() as connection:
            writer = connection.execution_options(**{_WRITES: True})
            with writer.begin():
                yield writer

    async def run(
        self, work: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs
    ) -> Result:
        """Call `work`, which uses this database, on one of its threads.

        Cancelling takes back what has not started; what runs, runs to its end.
        """
        call = self._threads.submit(work, *args, **kwargs)
        return await asyncio.wrap_future(call)

    def close(self) -> None:
        """Wait for what runs, drop what waits, close the connections. Safe to call twice."""
        self._threads.shutdown(cancel_futures=True)
        for last_number in self._last_numbers:
            last_number.close()
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as failure:
            raise unavailable(self.path, failure.orig) from failure


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to the database that exists at `path`, with this program's settings.

    Transactions are begun by whoever uses it (Python's own way begins none before a change of the
    schema, so a migration that fails would be half done).
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # SQLAlchemy's pool gives it to one thread at a time
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
