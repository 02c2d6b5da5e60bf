"""How long lists that were shown are kept: they say who saw what, and are let go in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, delete, select

from tailorbird.store import Workspace
from tailorbird.store.tables import ImpressionRow
from tailorbird.store.writing import Writer

N_TOGETHER = 500
"""Lists that one change deletes: what others write waits for no more than that."""


def drop_old_lists(workspace: Workspace, writer: Writer, *, before: datetime) -> int:
    """Delete lists that were shown *before* a moment; how many.

    Lists of the night stay: each is replaced by the next. Events stay, too, and so does what was
    counted of the answers. Raises UnavailableError where nothing can be written.
    """
    old = select(ImpressionRow.id).where(ImpressionRow.time < before)
    with workspace.sessions() as session:  # looked for without holding up whoever writes
        names = list(session.scalars(old))
    for start in range(0, len(names), N_TOGETHER):
        writer.submit(partial(_delete, names=names[start : start + N_TOGETHER])).result()
    return len(names)


def _delete(connection: Connection, names: Sequence[str]) -> None:
    connection.execute(delete(ImpressionRow).where(ImpressionRow.id.in_(names)))
