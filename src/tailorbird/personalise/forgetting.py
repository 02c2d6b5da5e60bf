"""Forgetting a user: rows, adapter, job files, cached states, and their words in reports.

What is gone: rows of theirs in every run, beside a tuned search and among what was served; their
conversations at the service desk, with decisions and drafts; what they did with items, and the
lists that they were shown; their adapter and own rows in the store; the files of their adapter
jobs; cached states of texts (all of them: which text a state came from cannot be told from it, and
they are computed again when needed); their words in reports and bundles, where nobody else wrote
the same.

What stays: weights that were tuned on everybody's rows (the shared assistant's, and those of
`shared_models`: `Forgotten.tuned` says which, and what makes each anew), figures over many users,
and the source that the rows were read from, which is not ours.
"""

from __future__ import annotations

import json
import mmap
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from tailorbird.bundle import AdapterStore
from tailorbird.bundle.rewriting import rewrite_bundle
from tailorbird.evaluation import write_report
from tailorbird.personalise import report
from tailorbird.personalise.desk_rows import forget_desk, note_desk
from tailorbird.personalise.giving import Keeps
from tailorbird.personalise.recommend_rows import forget_recommend
from tailorbird.personalise.shared_models import tuned_with
from tailorbird.personalise.traces import MIN_CHARS, ROW_FILES, Eraser, Traces, names_of, rows_of
from tailorbird.personalise.tuned import job_name
from tailorbird.store import ServedRow, Workspace, files

MODEL_FILES = {".safetensors", ".states", ".gguf", ".npy"}
"""Numbers alone: no text is looked for in them."""

BUSY_S = 10.0
"""How long readers of the database are waited for."""


@dataclass
class Forgotten:
    """What was removed, and where something still is."""

    n_rows: int = 0
    """Rows of runs."""
    n_served: int = 0
    n_desk: int = 0
    """Rows of the service desk: conversations, turns, decisions, drafts."""
    n_recommend: int = 0
    """Rows of recommendation: events, lists that were shown, lists of the night."""
    n_files: int = 0
    """Files that were removed."""
    n_rewritten: int = 0
    """Files that were written anew without this user's words."""
    bundles: dict[str, str] = field(default_factory=dict)
    """Bundles that quoted the user: old id → new id."""
    tuned: dict[str, str] = field(default_factory=dict)
    """Models whose weights this user's rows may be in, among all others': where → the command that
    makes it anew without them."""
    left: list[Path] = field(default_factory=list)
    """Files in which the user's id or words were found afterwards; none, if all is well."""


def forget(
    workspace: Workspace,
    user: str,
    *,
    store: Keeps | None = None,
    settle_s: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> Forgotten:
    """Remove *user* from the workspace and from *store*; then look through every file for them.

    A service that runs beside it writes down what it has answered a second later (`Recorder`). Give
    *settle_s* more than that, and what came meanwhile is removed, too.
    """
    found, traces = Forgotten(), Traces(user)
    runs = [path for path in sorted(workspace.runs_path.iterdir()) if path.is_dir()]
    encoders = sorted((workspace.path / "encoders").glob("*/"))
    for path in (folder / name for folder in (*runs, *encoders) for name in ROW_FILES):
        if path.is_file():
            for _, row in rows_of(path):
                traces.note(row)
    _note_database(workspace, traces)
    if traces.mine:  # states first: once the rows are gone, nobody knows that there were any
        for folder in (workspace.cache_path, *(run / "jobs" for run in runs)):
            _remove(folder / "trunk", found)
    else:
        say(f"no row of {user} is known here")
    eraser = Eraser(traces)
    if store is not None:
        store.remove(user)
    _forget_adapters(workspace, user)
    for run in runs:
        _forget_rows(run, user, traces, found)
        _forget_words(run, user, eraser, found)
        for path in run.rglob(f"*{job_name(user)}*"):
            _remove(path, found)
    for folder in encoders:
        _forget_rows(folder, user, traces, found)
    _forget_served(workspace, user, found)
    _forget_in_bundles(workspace, eraser, found)
    if settle_s:
        time.sleep(settle_s)
        _note_database(workspace, traces)  # others may have asked the same, written only now
        _forget_served(workspace, user, found)
    found.tuned = tuned_with(
        workspace,
        logs=bool(found.n_rows or found.n_served),
        desk=bool(found.n_desk),
        events=bool(found.n_recommend),
    )
    found.left = list(still_there(workspace.path, user, traces.texts))
    say(
        f"forgotten: {found.n_rows:,} rows of runs, {found.n_served:,} of what was served, "
        f"{found.n_desk:,} of the service desk, {found.n_recommend:,} of recommendation, "
        f"{found.n_files:,} files removed, {found.n_rewritten:,} written anew"
    )
    for old, new in found.bundles.items():
        say(f"bundle {old} quoted the user; without that it is {new}")
    for name, command in found.tuned.items():
        say(f"{name} was tuned on everybody's rows; without theirs it is made by: {command}")
    for path in found.left:
        say(f"still there: {path}")
    return found


def _note_database(workspace: Workspace, traces: Traces) -> None:
    """Tell *traces* what was served, and what was said at the service desk."""
    with workspace.sessions() as session:
        for served in session.scalars(select(ServedRow)):
            traces.note({"user": served.user, "text": served.text})
        note_desk(session, traces)


def _forget_rows(run: Path, user: str, traces: Traces, found: Forgotten) -> None:
    for name in ROW_FILES:
        path = run / name
        if path.is_file():
            kept = [line for line, row in rows_of(path) if row.get("user") not in names_of(user)]
            found.n_rows += _rewrite_lines(path, kept, found)
    rejects = run / "rejects.jsonl"
    if rejects.is_file():
        kept = [line for line, _ in rows_of(rejects) if not traces.is_of_user(line)]
        found.n_rows += _rewrite_lines(rejects, kept, found)


def _rewrite_lines(path: Path, kept: list[str], found: Forgotten) -> int:
    """Write *kept* where that is less than there was; how many lines are gone."""
    with path.open(encoding="utf-8", errors="replace") as file:
        n_gone = sum(1 for _ in file) - len(kept)
    if n_gone:
        files.write_atomically(path, "".join(kept).encode("utf-8", errors="replace"))
        found.n_rewritten += 1
    return n_gone


def _forget_words(run: Path, user: str, eraser: Eraser, found: Forgotten) -> None:
    """Take the user's words out of the JSON files of a run; pages are made again from them."""
    for path in sorted(run.glob("*.json")):
        before = json.loads(path.read_text(encoding="utf-8"))
        after = eraser.clean(before)
        if path.name == report.JSON_NAME:
            users = [one for one in after["users"] if one["user"] not in names_of(user)]
            after = after | {"users": users}
        if after == before:
            continue
        found.n_rewritten += 1
        files.write_atomically(path, files.to_json_bytes(after, where=str(path)))
        if path.name == report.JSON_NAME:
            report.write_page(run, after)
        elif path.name == "report.json":
            write_report(run, after)


def _forget_served(workspace: Workspace, user: str, found: Forgotten) -> None:
    """Delete what the user asked and was answered, down to the free pages of the database."""
    with workspace.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.commit()
    with workspace.writing() as session:
        done = session.execute(delete(ServedRow).where(ServedRow.user.in_(names_of(user))))
        found.n_served += int(done.rowcount)  # type: ignore[attr-defined]
        found.n_desk += forget_desk(session, user)
        found.n_recommend += forget_recommend(session, user)
    if workspace.engine.dialect.name == "sqlite":
        _leave_no_free_pages(workspace)


def _leave_no_free_pages(workspace: Workspace) -> None:
    """Write the database anew, and empty its log once nobody reads what was before."""
    raw = workspace.engine.raw_connection()
    connection: Any = raw.driver_connection
    try:  # outside of any transaction, as both want it
        connection.execute("VACUUM")
        deadline = time.monotonic() + BUSY_S
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:  # is it busy?
            if time.monotonic() > deadline:
                return  # what is left is found by who looks through all files
            time.sleep(0.05)
    finally:
        raw.close()


def _forget_in_bundles(workspace: Workspace, eraser: Eraser, found: Forgotten) -> None:
    for folder in sorted(workspace.bundles_path.iterdir()):
        path = folder / "report.json"
        if not path.is_file():
            continue
        before = json.loads(path.read_text(encoding="utf-8"))
        after = eraser.clean(before)
        if after == before:
            continue
        with tempfile.TemporaryDirectory() as name_of_folder:
            made = Path(name_of_folder)
            write_report(made, after)
            changed = {
                name: (made / name).read_bytes()
                for name in ("report.json", "report.html")
                if (folder / name).is_file()
            }
        found.bundles[folder.name] = rewrite_bundle(workspace, folder.name, changed).id


def _forget_adapters(workspace: Workspace, user: str) -> None:
    """Take the user out of every store of the workspace, and their bytes off the disk."""
    if workspace.adapters_path.is_dir():
        for folder in sorted(workspace.adapters_path.iterdir()):
            if folder.is_dir():
                with AdapterStore(folder) as kept:
                    kept.remove(*names_of(user))
                    kept.compact()


def _remove(path: Path, found: Forgotten) -> None:
    if path.is_dir():
        found.n_files += sum(1 for one in path.rglob("*") if one.is_file())
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
        found.n_files += 1


def still_there(folder: Path, user: str, texts: list[str]) -> Iterator[Path]:
    """Files below *folder* with the user's id or words, as they are or as JSON or HTML has them.

    Ids and texts of fewer than 12 characters are not looked for: they may be anybody's.
    """
    wanted: set[bytes] = set()
    for text in (*names_of(user), *texts):
        if len(text) >= MIN_CHARS:
            wanted |= {text.encode(), json.dumps(text)[1:-1].encode(), escape(text).encode()}
            wanted.add(json.dumps(text, ensure_ascii=False)[1:-1].encode())
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in MODEL_FILES or not path.stat().st_size:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as map_:
            if any(map_.find(one) >= 0 for one in wanted):
                yield path
