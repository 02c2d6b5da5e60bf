"""The one place that makes database engines, and the migrations that bring them up to date."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url

from tailorbird.errors import StoreError

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another one before "database is locked"."""

_upgrading = threading.Lock()  # Alembic keeps its environment in module globals


def open_engine(url: str | URL) -> Engine:
    """An engine for any SQLAlchemy *url*; a SQLite one gets WAL, a busy timeout, foreign keys.

    Its transactions read a snapshot and begin without a lock. Those of `for_writing` take the
    write lock first, so that what they read is still true when they write.
    Errors name no values: they end in logs, and values are what people wrote.
    """
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def for_writing(engine: Engine) -> Engine:
    """The same engine and pool, with transactions that hold the write lock from the start."""
    return engine.execution_options(sqlite_begin="IMMEDIATE")


def upgrade(engine: Engine) -> None:
    """Bring the schema to this version's; several processes may do it at once.

    Raises StoreError where a newer Tailorbird has written the database.
    """
    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        if _is_current(connection, script):
            return
    with _upgrading, for_writing(engine).begin() as connection:
        if _is_current(connection, script):  # another process was faster
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _is_current(connection: Connection, script: ScriptDirectory) -> bool:
    found = set(MigrationContext.configure(connection).get_current_heads())
    known = {revision.revision for revision in script.walk_revisions()}
    if unknown := found - known:
        raise StoreError(
            f"the database has schema {', '.join(sorted(unknown))}, this version knows up to "
            f"{script.get_current_head()}",
            where=str(connection.engine.url.database or connection.engine.url),
            cure="a newer Tailorbird wrote it: pip install --upgrade tailorbird, or choose "
            "another folder with --workspace",
        )
    return found == set(script.get_heads())


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    """Settings of a new connection; the driver leaves BEGIN to `_begin_sqlite`."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    use_wal(connection)


def use_wal(connection: sqlite3.Connection) -> None:
    """Let readers go on beside a writer, from here on and for everybody who opens the file."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait for its busy timeout here, so two first openings can meet.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {kind}")
