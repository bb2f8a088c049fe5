"""A database is made, migrated or refused, and never left half way."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mailkeep.database import DatabaseTooNew, DatabaseUnavailable, opening
from mailkeep.database.engine import connect
from mailkeep.database.opening import open_database
from mailkeep.database.schema import Schema

OPEN = """
import sys
from pathlib import Path
from mailkeep.database.opening import open_database
from mailkeep.database.schema import Schema
sys.stdin.read()
path, versions, head = sys.argv[1:4]
open_database(Path(path), Schema(versions=Path(versions), head=head), create=True).close()
print("alembic" in sys.modules)
"""

OPEN_AS_NOBODY = OPEN.replace("sys.stdin.read()", "import os; os.setuid(65534)")
"""The interpreter may be where another user cannot start it."""


def start_opening(path: Path, schema: Schema, **environment: str) -> "subprocess.Popen[str]":
    """Start a program that opens the database as soon as its standard input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, path, schema.versions, schema.head],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def tables_of(path: Path) -> set[str]:
    with closing(connect(path)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return {name for (name,) in rows}


def revision_of(path: Path) -> str:
    with closing(connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_a_new_database_is_its_owners_only(tmp_path: Path, newer: Schema) -> None:
    """It holds password hashes: mode 0600, whatever the umask."""
    path = tmp_path / "site.db"
    before = os.umask(0)
    try:
        database = open_database(path, newer, create=True)
        with database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO things (name) VALUES ('a')")
            files = list(tmp_path.glob("site.db*"))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
        database.close()
    finally:
        os.umask(before)
    assert modes == {"site.db": 0o600, "site.db-wal": 0o600, "site.db-shm": 0o600}


def test_a_missing_database_is_not_made_by_the_way(tmp_path: Path, newer: Schema) -> None:
    """A server on an empty database would tell everybody that their password is wrong."""
    path = tmp_path / "site.db"
    with pytest.raises(DatabaseUnavailable) as caught:
        open_database(path, newer, create=False)
    assert caught.value.path == path
    assert "init" in caught.value.hint
    assert not path.exists()


@pytest.mark.parametrize("name", ["a b.db", "q?mode=ro&x=#.db", "100%41.db", "umlaut-\u00e4.db"])
def test_any_file_name_will_do(tmp_path: Path, newer: Schema, name: str) -> None:
    """The path is a path and not a part of an address (sqlite.org/uri.html)."""
    open_database(tmp_path / name, newer, create=True).close()
    assert tables_of(tmp_path / name) >= {"things", "more_things"}
    assert [file.name for file in tmp_path.glob("*.db*")] == [name]


def test_an_older_database_is_migrated_with_what_it_holds(
    tmp_path: Path, older: Schema, newer: Schema
) -> None:
    """An upgrade of the program keeps the data."""
    path = tmp_path / "site.db"
    database = open_database(path, older, create=True)
    with database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO things (name) VALUES ('kept')")
    database.close()
    database = open_database(path, newer, create=False)
    with database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT name, weight FROM things").all()
    database.close()
    assert [tuple(row) for row in rows] == [("kept", None)]
    assert revision_of(path) == "0002"


def test_when_there_is_nothing_to_do_alembic_is_not_imported(tmp_path: Path, newer: Schema) -> None:
    """Every command opens the database; only the first one after an upgrade pays for it."""
    path = tmp_path / "site.db"
    first, second = (start_opening(path, newer).communicate(timeout=60)[0] for _ in range(2))
    assert (first, second) == ("True\n", "False\n")


def test_a_newer_database_is_left_alone(tmp_path: Path, older: Schema, newer: Schema) -> None:
    """An older program must not write what a newer one would not understand."""
    path = tmp_path / "site.db"
    open_database(path, newer, create=True).close()
    before = path.read_bytes()
    with pytest.raises(DatabaseTooNew, match="0002") as caught:
        open_database(path, older, create=True)
    assert caught.value.path == path
    assert "newer" in caught.value.hint
    assert path.read_bytes() == before


def test_programs_that_start_at_once_make_one_database(tmp_path: Path, newer: Schema) -> None:
    """A new file is switched to the write-ahead log and migrated by one of them; none fails."""
    path = tmp_path / "site.db"
    programs = [start_opening(path, newer) for _ in range(4)]
    for program in programs:
        assert program.stdin is not None
        program.stdin.close()
        program.stdin = None
    ends = [(*program.communicate(timeout=60), program.returncode) for program in programs]
    assert [(err, code) for _, err, code in ends] == [("", 0)] * 4
    assert tables_of(path) == {"alembic_version", "things", "more_things"}


def test_only_one_at_a_time_makes_a_database(
    tmp_path: Path, newer: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that switch a file to the write-ahead log at once: SQLite tells one "locked" at once."""
    met = threading.Barrier(2)
    make_ready = opening._make_ready
    alone: list[Path] = []

    def meet_the_other(path: Path, schema: Schema) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait(timeout=0.2)
            pytest.fail("both are inside")
        make_ready(path, schema)
        alone.append(path)

    monkeypatch.setattr(opening, "_make_ready", meet_the_other)
    paths = [tmp_path / "site.db"] * 2
    with ThreadPoolExecutor(2) as programs:
        databases = list(programs.map(lambda p: open_database(p, newer, create=True), paths))
    for database in databases:
        database.close()
    assert alone == paths


def test_a_migration_that_fails_leaves_what_was_there(
    tmp_path: Path, older: Schema, newer: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All migrations are in one transaction, changes of the schema too."""
    path = tmp_path / "site.db"
    open_database(path, older, create=True).close()
    monkeypatch.setenv("FAIL_HALFWAY", "1")
    with pytest.raises(ArithmeticError):
        open_database(path, newer, create=False)
    with closing(connect(path)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(things)")]
    assert columns == ["id", "name"]
    assert revision_of(path) == "0001"
    open_database(path, older, create=False).close()


@pytest.mark.parametrize("made_before", [False, True])
def test_a_power_cut_in_a_migration_leaves_what_was_there(
    tmp_path: Path, older: Schema, newer: Schema, made_before: bool
) -> None:
    """Killed half way, the next start finds the old state and finishes the work."""
    path = tmp_path / "site.db"
    if made_before:
        open_database(path, older, create=True).close()
    killed = start_opening(path, newer, DIE_HALFWAY="1")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert "more_things" not in tables_of(path)
    open_database(path, newer, create=True).close()
    assert tables_of(path) == {"alembic_version", "things", "more_things"}


def test_a_restored_database_gets_its_write_ahead_log_back(tmp_path: Path, newer: Schema) -> None:
    """A copy made by `sqlite3 .dump` or `VACUUM INTO` has the mode of a new file."""
    path, copy = tmp_path / "site.db", tmp_path / "copy.db"
    open_database(path, newer, create=True).close()
    with closing(connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    open_database(copy, newer, create=False).close()
    with closing(connect(copy)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("content", "hint"),
    [(b"this is no database at all" * 100, "backup"), (b"SQLite format 3\0" + b"\xff" * 4080, "")],
)
def test_a_damaged_file_is_refused_and_left_as_it_is(
    tmp_path: Path, newer: Schema, content: bytes, hint: str
) -> None:
    """Bad input gets a clear error and leaves the data as it was."""
    path = tmp_path / "site.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnavailable) as caught:
        open_database(path, newer, create=True)
    assert str(path) in str(caught.value)
    assert hint in caught.value.hint
    assert path.read_bytes() == content


def test_a_folder_that_is_missing_or_a_file_that_is_a_folder(tmp_path: Path, newer: Schema) -> None:
    """The confused user: a wrong path is named in the error."""
    for path in (tmp_path / "nowhere" / "site.db", tmp_path):
        with pytest.raises(DatabaseUnavailable, match=str(path)):
            open_database(path, newer, create=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_database_of_another_user_is_refused_with_a_hint(newer: Schema, mode: int) -> None:
    """A site belongs to one user; a command run as another says so and changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.db"
        open_database(path, newer, create=True).close()
        path.chmod(mode)
        Path(folder).chmod(0o755)
        before = path.read_bytes()
        ended = subprocess.run(
            [sys.executable, "-c", OPEN_AS_NOBODY, path, newer.versions, newer.head],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, path.read_bytes()) == (1, before)
    assert f"DatabaseUnavailable: database {path}: " in ended.stderr
