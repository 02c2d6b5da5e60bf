"""Reading: logs of any known kind → a stream of interactions, every bad row accounted for.

>>> reading = read("shop.csv")  # doctest: +SKIP
>>> interactions = list(reading)  # doctest: +SKIP
>>> reading.n_rows == reading.n_read + reading.n_rejected  # doctest: +SKIP
True
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from tailorbird.config import ReadingSettings
from tailorbird.data.columns import Columns, find_columns
from tailorbird.data.conversations import MESSAGE_KEYS, messages_key, parse_roles, read_conversation
from tailorbird.data.files import LogFile, list_folder
from tailorbird.data.formats import FORMATS
from tailorbird.data.kinds import check_kind
from tailorbird.data.rows import NAME_ENCODING, Note, Reject, Row, Table, reject
from tailorbird.data.sql import is_database_url, sql_table
from tailorbird.errors import DataError, RowError, TooManyRejectsError
from tailorbird.records import Interaction

_DEFAULTS = ReadingSettings()

Record = TypeVar("Record")

Interpret = Callable[[Row], Sequence[Record]]
"""What a row gives; RowError where it cannot be used."""

Interpreter = Callable[[Table, Sequence[Row], Note], Interpret[Record]]
"""Looks at the first rows of a table and says how each of its rows is read."""

Formats = Mapping[str, Callable[[LogFile, Note], Iterator[Row]]]
"""Suffix → reader."""

N_PEEKED_ROWS = 200
"""Good rows looked at before the columns are chosen."""
N_ROWS_BEFORE_STOP = 1_000
"""Rows seen before too large a share of bad ones stops the reading early."""


def read(
    source: str | Path,
    settings: ReadingSettings = _DEFAULTS,
    *,
    on_reject: Callable[[Reject], None] | None = None,
) -> Reading[Interaction]:
    """Open a file, a folder of files, or a database URL; nothing is read until it is iterated.

    JSONL of messages or of columns, a JSON array, CSV/TSV, Parquet, NumPy strings and Rasa NLU
    YAML, each also as ``.gz``; a folder with train and test files gives those splits. Bad rows go
    to *on_reject*. Raises DataError where the source does not exist or is of no known kind.
    """
    parse_roles(settings.roles)  # a wrong mapping is found before a large file is opened
    notes: list[str] = []
    tables = open_tables(source, settings, note=notes.append)
    interpreter = partial(_Interpreter, settings=settings)
    return Reading(tables, settings, interpreter, on_reject=on_reject, decisions=notes)


def open_tables(
    source: str | Path,
    settings: ReadingSettings,
    *,
    formats: Formats = FORMATS,
    note: Note,
) -> list[Table]:
    """The files or the database table of *source*, each with its rows; nothing is read yet.

    Raises DataError where the source does not exist or is of none of the *formats*.
    """
    text = str(source)
    if is_database_url(text):
        return [sql_table(text, settings.table)]
    if not text.strip():
        raise DataError("no logs are named", cure="give a file, a folder or a database URL")
    try:
        path = Path(source).expanduser()
        path.stat()  # where there is nothing, the system says why
        files = [LogFile(path, path.name)]
        if path.is_dir():
            files = list_folder(path, formats, note)
        return [_table(file, settings, formats) for file in files]
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        # The end of a path says most.
        where = " ".join(text.split())
        raise _unreadable(error, where if len(where) <= 120 else f"…{where[-119:]}") from error


def _table(file: LogFile, settings: ReadingSettings, formats: Formats) -> Table:
    check_kind(file, formats)
    opened = LogFile(file.path, file.name, file.split, settings.encoding)
    return Table(file.name, partial(_rows, opened, formats), file.split)


def _rows(file: LogFile, formats: Formats, note: Note) -> Iterator[Row]:
    try:
        yield from formats[file.suffix](file, note)
    except (OSError, EOFError) as error:
        raise _unreadable(error, file.name) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not {error.encoding} throughout", where=file.name, cure=NAME_ENCODING
        ) from error


def _unreadable(error: Exception, where: str) -> DataError:
    """What the system says about a file that is there, or is not."""
    if isinstance(error, FileNotFoundError):
        return DataError("no such file or folder", where=where, cure="check the path")
    reason = getattr(error, "strerror", None) or str(error)
    cure = "check the path"
    if isinstance(error, PermissionError):
        cure = "ask its owner for the permission to read it"
    elif isinstance(error, EOFError | gzip.BadGzipFile):
        cure = "copy it again; it may be cut off or damaged"
    return DataError(f"cannot be read ({reason})", where=where, cure=cure)


class Reading(Generic[Record]):
    """A stream of records that counts what it reads; it is iterated once.

    Every row is either read or rejected: ``n_rows == n_read + n_rejected``. A row may give several
    records: a conversation gives as many interactions as the person has turns.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        settings: ReadingSettings,
        interpreter: Interpreter[Record],
        *,
        on_reject: Callable[[Reject], None] | None = None,
        decisions: Iterable[str] = (),
    ) -> None:
        self.decisions: list[str] = list(decisions)
        """What was decided for the user, and why; complete once everything was read."""
        self.n_rows = 0
        self.n_read = 0
        self.n_rejected = 0
        self.n_records = 0
        self._tables = tables
        self._settings = settings
        self._interpreter = interpreter
        self._on_reject = on_reject
        self._first_reject: Reject | None = None
        self._is_started = False

    def __iter__(self) -> Iterator[Record]:
        if self._is_started:
            raise RuntimeError("a Reading is a stream: iterate it once, or call read() again")
        self._is_started = True
        return self._records()

    def _records(self) -> Iterator[Record]:
        for table in self._tables:
            yield from self._read_table(table)
        if self.n_rows == 0:
            names = ", ".join(table.name for table in self._tables)
            raise DataError("holds no rows", where=names, cure="check that it is the right source")
        self._check_share()

    def _read_table(self, table: Table) -> Iterator[Record]:
        note = partial(self._note, table)
        with closing(cast(Any, table.rows(note))) as rows:
            peeked = _peek(rows)
            interpret = self._interpreter(table, peeked, note)
            for row in itertools.chain(peeked, rows):
                self.n_rows += 1
                try:
                    found = interpret(row)
                except RowError as error:
                    self._reject(reject(table.name, row, error))
                else:
                    self.n_read += 1
                    self.n_records += len(found)
                    yield from found

    def _note(self, table: Table, sentence: str) -> None:
        """Keep a decision once; later files only add what they decide otherwise."""
        if sentence not in self.decisions:
            is_first = table is self._tables[0]
            self.decisions.append(sentence if is_first else f"{table.name}: {sentence}")

    def _reject(self, bad: Reject) -> None:
        self.n_rejected += 1
        self._first_reject = self._first_reject or bad
        if self._on_reject is not None:
            self._on_reject(bad)
        if self.n_rows >= N_ROWS_BEFORE_STOP:
            self._check_share()

    def _check_share(self) -> None:
        share = self.n_rejected / self.n_rows
        allowed = self._settings.max_reject_fraction
        if share > allowed:
            raise TooManyRejectsError(
                f"{self.n_rejected:,} of {self.n_rows:,} rows are bad ({share:.0%}, allowed are "
                f"{allowed:.0%}); the first: {self._first_reject}",
                cure="mend them, or allow more with --set reading.max_reject_fraction=0.5",
            )


def _peek(rows: Iterator[Row]) -> list[Row]:
    """The first rows, until enough of them are good to judge the columns by."""
    peeked: list[Row] = []
    n_good = 0
    for row in rows:
        peeked.append(row)
        n_good += row.error is None
        if n_good == N_PEEKED_ROWS or len(peeked) == N_ROWS_BEFORE_STOP:
            break
    return peeked


class _Interpreter:
    """Turns the rows of one table into interactions, by the columns its first rows have."""

    def __init__(
        self, table: Table, peeked: Sequence[Row], note: Note, *, settings: ReadingSettings
    ) -> None:
        self._table = table
        self._roles = parse_roles(settings.roles)
        self._is_flat = bool(settings.text)
        good = [row.values for row in peeked if row.error is None]
        chats = [row for row in good if self._is_chat(row)]
        flat = [row for row in good if not self._is_chat(row)]
        search = partial(find_columns, settings=settings, name=table.name, note=note)
        self._chat_columns = search(chats, is_conversation=True) if chats else Columns()
        if chats:
            note(f"text: the user's turns of {messages_key(chats[0])!r}")
        self._columns: Columns | None = None
        if flat and not chats:
            self._columns = search(flat)

    def _is_chat(self, row: dict[str, Any]) -> bool:
        return not self._is_flat and bool(messages_key(row))

    def __call__(self, row: Row) -> list[Interaction]:
        if row.error is not None:
            raise row.error
        where = f"{self._table.name}:{row.line}"
        if self._is_chat(row.values):
            return read_conversation(
                row.values, self._chat_columns, self._roles, where, self._table.split
            )
        if self._columns is None:
            raise RowError(
                f"has none of {', '.join(MESSAGE_KEYS)}", cure="give it its list of messages"
            )
        return [self._columns.interaction(row.values, where, self._table.split)]


def write_interactions(path: str | Path, interactions: Iterable[Interaction]) -> int:
    """Write one JSON object a line and return how many; the file appears whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    n_written = 0
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "wb") as raw:
            binary = cast(Any, gzip.GzipFile("", "wb", fileobj=raw) if _is_gz(target) else raw)
            with binary as handle:
                for interaction in interactions:
                    line = json.dumps(interaction.to_json(), ensure_ascii=False)
                    handle.write(line.encode("utf-8") + b"\n")
                    n_written += 1
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return n_written


def load_interactions(path: str | Path) -> Iterator[Interaction]:
    """Stream the interactions of a file that `write_interactions` wrote.

    Raises DataError that names the line where the file is anything else.
    """
    file = LogFile(Path(path), Path(path).name, encoding="utf-8")
    try:
        with file.open_text(lambda sentence: None) as handle:
            for number, line in enumerate(handle, 1):
                try:
                    yield Interaction.from_json(json.loads(line))
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise DataError(
                        f"is not an interaction as Tailorbird writes it: {error}",
                        where=f"{file.name}:{number}",
                        cure="read foreign logs with 'tailorbird read'",
                    ) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            before = "the stage before has not written it; run that first"
            raise DataError("is not there yet", where=str(path), cure=before) from error
        raise _unreadable(error, str(path)) from error


def _is_gz(path: Path) -> bool:
    return path.suffix.lower() == ".gz"
