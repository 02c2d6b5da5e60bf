"""The workspace folder: where runs, bundles, caches and the database live."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType

from sqlalchemy import Engine, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from tailorbird.errors import StoreError
from tailorbird.store.database import for_writing, open_engine, upgrade
from tailorbird.store.runs import Run, name_of_run
from tailorbird.store.tables import RunRow, utc_now

ENVIRONMENT_VARIABLE = "TAILORBIRD_WORKSPACE"
DATABASE_NAME = "tailorbird.db"


@dataclass(frozen=True, slots=True)
class Workspace:
    """One folder with everything Tailorbird remembers; close it, or use it in a ``with``."""

    path: Path
    engine: Engine = field(repr=False)
    sessions: sessionmaker[Session] = field(repr=False)
    """``with workspace.sessions() as session`` reads; use `writing` to change something."""

    @classmethod
    def open(cls, path: str | Path | None = None) -> Workspace:
        """Open, and where needed create and upgrade, the workspace.

        The folder is *path*, else ``$TAILORBIRD_WORKSPACE``, else ``~/.tailorbird``. Several
        processes may open it at once. Raises StoreError where the folder cannot be used or a
        newer Tailorbird has written it.
        """
        chosen = path or os.environ.get(ENVIRONMENT_VARIABLE) or "~/.tailorbird"
        folder = Path(chosen).expanduser().absolute()
        for room in (folder, folder / "runs", folder / "bundles", folder / "cache"):
            _make_folder(room)
        database = folder / DATABASE_NAME
        engine = open_engine(URL.create("sqlite", database=str(database)))
        try:
            with _database_errors(database):
                upgrade(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(folder, engine, sessionmaker(engine, expire_on_commit=False))

    @property
    def runs_path(self) -> Path:
        """One folder a run."""
        return self.path / "runs"

    @property
    def bundles_path(self) -> Path:
        """One folder a bundle, named by its id."""
        return self.path / "bundles"

    @property
    def adapters_path(self) -> Path:
        """One folder a bundle, named by its id: what was tuned over it for single users."""
        return self.path / "adapters"

    @property
    def cache_path(self) -> Path:
        """What can be made again: converted weights, token caches."""
        return self.path / "cache"

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that holds the write lock from its start; commits unless it raises.

        What it reads cannot change before it writes. A full or read-only disk becomes a
        StoreError.
        """
        # No sessionmaker: it makes a class, which takes as long as a small transaction.
        opened = Session(for_writing(self.engine), expire_on_commit=False)
        with _database_errors(self.path / DATABASE_NAME), opened as session, session.begin():
            yield session

    def new_run(self, source: str, name: str = "") -> Run:
        """A run with its own new folder; *name* replaces the source's in the folder's name."""
        created = utc_now()
        stem = name_of_run(created, source, name)
        for attempt in range(1, 1000):
            folder = self.runs_path / (stem if attempt == 1 else f"{stem}-{attempt}")
            try:
                folder.mkdir()
                break
            except FileExistsError:
                continue
            except OSError as error:
                raise _unwritable(folder, error) from error
        else:
            raise StoreError(f"there are already 999 runs named {stem}", where=str(self.runs_path))
        with self.writing() as session:
            session.add(RunRow(name=folder.name, source=source, created=created))
        return self._run(folder.name)

    def run(self, name: str = "") -> Run:
        """The run called *name*, with its time of day or without, or the latest of all.

        Of several that were begun by the same name it is the newest. StoreError names the known.
        """
        with self.sessions() as session:
            newest_first = select(RunRow.name).order_by(RunRow.created.desc(), RunRow.name.desc())
            known = list(session.scalars(newest_first))
        if not known:
            raise StoreError(
                "there are no runs yet", where=str(self.path), cure="tailorbird build LOGS"
            )
        found = name or known[0]
        if found not in known:
            found = next((one for one in known if one.endswith(f"-{name}")), name)
        if found not in known:
            near = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
            shown = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if known[5:] else "")
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise StoreError(
                f"there is no run {found!r}", where=str(self.path), cure=f"{hint}known: {shown}"
            )
        if not (self.runs_path / found).is_dir():
            raise StoreError(
                f"the folder of run {found} is gone",
                where=str(self.runs_path / found),
                cure="put it back, or name another run",
            )
        return self._run(found)

    def close(self) -> None:
        """Close the database connections; the object is of no use afterwards."""
        self.engine.dispose()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, name: str) -> Run:
        return Run(
            name,
            self.runs_path / name,
            row=partial(self._read_row, name),
            change=partial(self._change_row, name),
        )

    def _read_row(self, name: str) -> RunRow:
        with self.sessions() as session:
            return session.get_one(RunRow, name)

    def _change_row(self, name: str, change: Callable[[RunRow], None]) -> None:
        with self.writing() as session:
            change(session.get_one(RunRow, name))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(
            "is not a folder",
            where=str(folder),
            cure=f"choose another with --workspace or ${ENVIRONMENT_VARIABLE}",
        ) from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(folder, PermissionError(13, "Permission denied"))


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot be written ({error.strerror})",
        where=str(folder),
        cure=f"choose another with --workspace or ${ENVIRONMENT_VARIABLE}",
    )


@contextmanager
def _database_errors(database: Path) -> Iterator[None]:
    """Say what a failing database means for the person in front of it."""
    try:
        yield
    except DBAPIError as error:
        cause = str(error.orig)
        cures = {
            "readonly": "make the file and its folder writable, or choose another workspace",
            "unable to open": "make the file and its folder writable, or choose another workspace",
            "not a database": "the file is damaged: move it away, a new one is made",
            "malformed": "the file is damaged: move it away, a new one is made",
            "full": "free some space",
            "locked": "another process holds the database: wait for it to finish",
        }
        cure = next((advice for word, advice in cures.items() if word in cause), "")
        raise StoreError(f"database: {cause}", where=str(database), cure=cure) from error
