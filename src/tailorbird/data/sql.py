"""Tables of any database that SQLAlchemy can reach, streamed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tailorbird.data.rows import Note, Row, Table
from tailorbird.errors import DataError, MissingExtraError, missing_extra

_BATCH_ROWS = 1_000
_DRIVERS = "mysql+pymysql://… after pip install pymysql"


def is_database_url(source: str) -> bool:
    """Whether the source is a URL such as ``postgresql+psycopg://host/shop``.

    >>> is_database_url("sqlite:///shop.db"), is_database_url("chats.jsonl")
    (True, False)
    """
    return "://" in source


def sql_table(url: str, table: str) -> Table:
    """The rows of *table* in the database at *url*, in the order of its primary key.

    Raises DataError where no table is named or it does not exist; the message lists the tables.
    """
    return Table(table, lambda note: _rows(url, table, note))


def _engine(url: str) -> tuple[Any, str]:
    """The engine of a database URL, and the URL as it may be shown."""
    import sqlalchemy
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    try:
        parsed = sqlalchemy.make_url(url)
        shown = parsed.render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError) as error:
        raise DataError(f"is not a database URL: {error}", cure="as sqlite:///file.db") from error
    _check_sqlite_file(parsed, shown)
    try:
        return sqlalchemy.create_engine(parsed), shown
    except ModuleNotFoundError as error:
        if url.startswith("postgres"):
            raise missing_extra(error.name or "a driver", extra="postgres") from error
        raise MissingExtraError(
            f"the database driver {error.name!r} is not installed",
            where=shown,
            cure=f"pip install it, or name another in the URL, as {_DRIVERS}",
        ) from error
    except NoSuchModuleError as error:
        is_web = parsed.drivername in ("http", "https", "ftp", "s3", "gs", "file", "hf")
        raise DataError(
            f"databases of kind {parsed.drivername!r} are not known",
            where=shown,
            cure="save it as a file first and give that"
            if is_web
            else "use sqlite:///file.db or postgresql+psycopg://…",
        ) from error
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"is not a database URL: {reason}", cure="as sqlite:///file.db") from error


def _rows(url: str, name: str, note: Note) -> Iterator[Row]:
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    engine, shown = _engine(url)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                _keep_wrong_bytes(connection)
            schema, _, bare = name.rpartition(".")
            inspector = sqlalchemy.inspect(connection)
            known = [
                *inspector.get_table_names(schema=schema or None),
                *inspector.get_view_names(schema=schema or None),
            ]
            if bare not in known:
                raise _no_table(bare, known, shown)
            table = sqlalchemy.Table(
                bare, sqlalchemy.MetaData(), schema=schema or None, autoload_with=connection
            )
            # As the driver gives them: one wrong date must not end the reading of all others.
            plain = sqlalchemy.types.NullType()
            columns = [sqlalchemy.type_coerce(column, plain) for column in table.columns]
            query = sqlalchemy.select(*columns).order_by(*table.primary_key.columns)
            streaming = connection.execution_options(stream_results=True, yield_per=_BATCH_ROWS)
            names = [column.name for column in table.columns]
            for number, row in enumerate(streaming.execute(query), 1):
                yield Row(number, dict(zip(names, row, strict=True)))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise DataError(
            f"cannot be read ({reason})", where=shown, cure="check the URL and the permissions"
        ) from error
    finally:
        engine.dispose()


def _keep_wrong_bytes(connection: Any) -> None:
    """Text that is no UTF-8 becomes lone surrogates, as in files: its row alone is rejected."""
    driver = connection.connection.dbapi_connection
    driver.text_factory = lambda found: found.decode("utf-8", "surrogateescape")


def _check_sqlite_file(url: object, shown: str) -> None:
    """SQLite would quietly create a database that is not there."""
    database = getattr(url, "database", None)
    is_sqlite = str(getattr(url, "drivername", "")).startswith("sqlite")
    is_file = database and database != ":memory:" and not str(database).startswith("file:")
    if is_sqlite and is_file and not Path(str(database)).is_file():
        raise DataError("the database file does not exist", where=shown, cure="check the path")


def _no_table(name: str, known: list[str], shown: str) -> DataError:
    tables = ", ".join(sorted(known)) or "none"
    if not name:
        what = f"no table is named; the database holds: {tables}"
        return DataError(what, where=shown, cure="name one with --table")
    near = difflib.get_close_matches(name, known, n=1)
    cure = f"did you mean {near[0]!r}?" if near else "name one of them with --table"
    return DataError(f"has no table {name!r}; it holds: {tables}", where=shown, cure=cure)
