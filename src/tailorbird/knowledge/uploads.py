"""Documents that are taken in aside: a bounded queue on disk, which a restart does not empty.

An upload is two files in the workspace, what was sent and a sheet that says how far it is. Of all
processes that serve a workspace one, which holds a lock, works through them; where it ends, another
one goes on, or it itself once it is started again. What was being read then is read again, and
given up as lost where that was cut off twice.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from tailorbird.errors import (
    ConflictError,
    KnowledgeError,
    NotFoundError,
    TailorbirdError,
    UnavailableError,
)
from tailorbird.knowledge.documents import check_name
from tailorbird.store import Workspace
from tailorbird.store.files import to_json_bytes, write_atomically
from tailorbird.store.tables import AdminActionRow, new_id, utc_now

if TYPE_CHECKING:
    from tailorbird.knowledge.base import Added

log = logging.getLogger(__name__)

State = Literal["waiting", "reading", "done", "failed", "cancelled", "lost"]
FOLDER = "uploads"
MAX_WAITING = 50
MAX_WAITING_BYTES = 500_000_000
MAX_TRIES = 2
"""How often a document is begun: one that ends the process shall not do so for ever."""
KEPT_S = 7 * 24 * 3600.0
"""How long it is told what became of an upload."""
LOOK_S = 1.0
"""How often it is looked for what other processes were given."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One document on its way in."""

    id: str
    name: str
    """Of the document."""
    who: str
    """Whose key sent it."""
    n_bytes: int
    created: str
    """ISO 8601, as `updated`."""
    updated: str
    state: State = "waiting"
    n_tries: int = 0
    n_done: int = 0
    """Pieces that are embedded, of `n_all`, which is 0 until it was read."""
    n_all: int = 0
    status: str = ""
    """Of one that is done: ``added``, ``changed`` or ``unchanged``."""
    kind: str = ""
    n_chunks: int = 0
    n_embedded: int = 0
    error: dict[str, str] = field(default_factory=dict)
    """Of one that failed or is lost: ``what``, ``where`` and ``cure``."""

    @property
    def is_over(self) -> bool:
        """Whether nothing becomes of it any more."""
        return self.state not in ("waiting", "reading")

    @property
    def problem(self) -> KnowledgeError | None:
        """Why it failed, or is lost."""
        if not self.error:
            return None
        error = self.error
        return KnowledgeError(error["what"], where=error["where"], cure=error["cure"])


class CancelledError(Exception):
    """Somebody does not want the document any more."""


Add = Callable[[str, bytes, Callable[[int, int], None]], "Added"]
"""(name, content, progress) → what became of it; *progress* may raise to end it."""


class Uploads:
    """The uploads of *workspace*, which *add* takes in one by one; threads may share it."""

    def __init__(
        self,
        workspace: Workspace,
        add: Add,
        *,
        max_waiting: int = MAX_WAITING,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self.workspace = workspace
        self.max_waiting = max_waiting
        self.max_waiting_bytes = max_waiting_bytes
        self._add = add
        self._folder = workspace.path / FOLDER
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def put(self, name: str, content: bytes, *, who: str = "") -> Upload:
        """Keep *content* until it is taken in as the document *name*.

        Raises KnowledgeError for a name that cannot be, UnavailableError where too much waits.
        """
        check_name(name)
        now = utc_now().isoformat()
        upload = Upload(new_id(), name, who, len(content), now, now)
        with self._lock:
            waiting = [one for one in self.list() if not one.is_over]
            n_bytes = sum(one.n_bytes for one in waiting) + len(content)
            if len(waiting) >= self.max_waiting or n_bytes > self.max_waiting_bytes:
                raise UnavailableError(
                    f"{len(waiting):,} documents wait to be read",
                    where="uploads",
                    cure="send it again when some of them are done",
                )
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._content(upload.id), content)
            self._write(upload)  # last: what has a sheet is whole
        self.start()
        self._news.set()
        return upload

    def list(self) -> list[Upload]:
        """All of the last week, the newest first."""
        sheets = self._folder.glob("*.json")
        found = [one for one in map(self._read, sheets) if one is not None]
        return sorted(found, key=lambda one: (one.created, one.id), reverse=True)

    def get(self, upload_id: str) -> Upload:
        """The one with this id; NotFoundError where there is none."""
        found = self._read(self._sheet(upload_id)) if upload_id.isalnum() else None
        if found is None:
            raise NotFoundError(
                f"there is no upload {upload_id[:40]!r}",
                where="uploads",
                cure="GET /v1/knowledge/uploads lists them",
            )
        return found

    def cancel(self, upload_id: str) -> Upload:
        """Do not take it in; the document of its name stays as it is.

        One that is being read ends at its next piece. ConflictError where it is over already.
        """
        with self._lock:
            upload = self.get(upload_id)
            if upload.is_over:
                raise ConflictError(
                    f"the upload of {upload.name!r} is {upload.state} already", where="uploads"
                )
            return self._finish(upload, state="cancelled")

    def start(self) -> None:
        """Let a thread work through what waits, if none does."""
        with self._lock:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(
                    target=self._run, name="tailorbird-uploads", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Begin nothing more, and leave what waits for the next start."""
        self._is_closed = True
        self._news.set()
        if self._thread is not None:
            self._thread.join(LOOK_S)

    def _run(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as turn:
            while not self._is_closed and not _is_ours(turn):
                self._pause()
            while not self._is_closed:
                try:
                    self._work()
                except Exception:
                    log.exception("uploads could not be worked through; will try again")
                self._pause()

    def _pause(self) -> None:
        self._news.wait(LOOK_S)
        self._news.clear()

    def _work(self) -> None:
        """Take in what waits, the oldest first, and forget what is long over."""
        oldest = (utc_now() - timedelta(seconds=KEPT_S)).isoformat()
        for upload in reversed(self.list()):
            if self._is_closed:
                return
            if not upload.is_over:
                self._take_in(upload)
            elif upload.updated < oldest:
                self._sheet(upload.id).unlink(missing_ok=True)

    def _take_in(self, upload: Upload) -> None:
        if upload.n_tries >= MAX_TRIES:
            cure = "send it again; where that fails, too, cut it into parts"
            error = _error("was cut off twice while it was read", upload.name, cure)
            self._change(upload, state="lost", error=error)
            return
        begun = self._change(upload, state="reading", n_tries=upload.n_tries + 1)
        if begun is None:
            return
        try:
            content = self._content(upload.id).read_bytes()
            added = self._add(upload.name, content, self._progress(begun))
        except CancelledError:
            if self._is_closed:  # the next start begins it anew, and nothing was wrong with it
                self._change(begun, state="waiting", n_tries=upload.n_tries, n_done=0, n_all=0)
        except TailorbirdError as error:
            where = error.where or upload.name
            self._change(begun, state="failed", error=_error(error.what, where, error.cure))
        except Exception:
            log.exception("%s could not be taken in", upload.name)
            what = "could not be read; the log of the service says why"
            self._change(begun, state="failed", error=_error(what, upload.name))
        else:
            self._done(begun, added)

    def _done(self, upload: Upload, added: Added) -> None:
        """Say so, also where somebody cancelled it a moment too late."""
        row = AdminActionRow(who=upload.who, action="add document", target=upload.name)
        with self.workspace.writing() as session:
            session.add(row)
        with self._lock:
            self._finish(
                upload,
                state="done",
                status=added.status,
                kind=added.kind,
                n_chunks=added.n_chunks,
                n_embedded=added.n_embedded,
                n_done=added.n_embedded,
                n_all=added.n_embedded,
            )

    def _progress(self, begun: Upload) -> Callable[[int, int], None]:
        def progress(n_done: int, n_all: int) -> None:
            if self._is_closed or self._change(begun, n_done=n_done, n_all=n_all) is None:
                raise CancelledError

        return progress

    def _change(self, upload: Upload, **changes: Any) -> Upload | None:
        """Write what changed; None where it was cancelled meanwhile."""
        with self._lock:
            now = self._read(self._sheet(upload.id))
            if now is None or now.is_over:
                return None
            if changes.get("state", "reading") in ("reading", "waiting"):
                return self._write(replace(now, **changes))
            return self._finish(now, **changes)

    def _finish(self, upload: Upload, **changes: Any) -> Upload:
        upload = self._write(replace(upload, **changes))
        self._content(upload.id).unlink(missing_ok=True)
        return upload

    def _write(self, upload: Upload) -> Upload:
        upload = replace(upload, updated=utc_now().isoformat())
        path = self._sheet(upload.id)
        write_atomically(path, to_json_bytes(asdict(upload), where=str(path)))
        return upload

    def _read(self, path: Path) -> Upload | None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Upload(**json.loads(path.read_text(encoding="utf-8")))
        return None

    def _sheet(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.json"

    def _content(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.bin"


def _error(what: str, where: str, cure: str = "") -> dict[str, str]:
    return {"what": what, "where": where, "cure": cure}


def _is_ours(turn: IO[str]) -> bool:
    """Whether this process is the one that works; the lock ends with the process."""
    if os.name == "nt":
        return True
    import fcntl

    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
