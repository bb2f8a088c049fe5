"""Finding an account for delivery, without SQLAlchemy: `deliver` is run once a message.

This is the one place besides `tables` and the migrations that names the table; a test holds them
against each other. Known limit: SQLite only.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from mailkeep.database.errors import unavailable
from mailkeep.values import AccountId, Address

_BUSY_TIMEOUT_S = 5.0
"""A reader waits for nobody in write-ahead mode, but for one who opens or recovers the file."""


def find_account(database_path: Path, address: Address) -> AccountId | None:
    """Return the account that `address` names, enabled or not; `None` when there is none.

    Raises:
        DatabaseUnavailable: it is missing, damaged, held by another program or not readable.
    """
    try:
        with closing(_open_to_read(database_path)) as connection:
            row = connection.execute(
                "SELECT id FROM accounts WHERE address = ?", (str(address),)
            ).fetchone()
    except sqlite3.Error as cause:
        raise unavailable(database_path, cause) from cause
    return None if row is None else AccountId(row[0])


def _open_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT_S)
