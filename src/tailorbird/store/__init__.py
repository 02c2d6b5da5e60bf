"""The workspace: one folder and one database that remember runs, bundles and what was served.

Open it with `Workspace.open`; everything else hangs on that. `tables` holds the rows, `files`
writes files that are either the old ones or the new ones.
"""

from tailorbird.store import files, tables
from tailorbird.store.runs import Run
from tailorbird.store.served import record_feedback, record_served
from tailorbird.store.tables import RunRow, ServedRow
from tailorbird.store.workspace import Workspace

__all__ = [
    "Run",
    "RunRow",
    "ServedRow",
    "Workspace",
    "files",
    "record_feedback",
    "record_served",
    "tables",
]
