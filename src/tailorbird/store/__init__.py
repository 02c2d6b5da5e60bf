"""The workspace: one folder and one database that remember runs, bundles and what was served.

Open it with `Workspace.open`; everything else hangs on that.
"""

from tailorbird.store.runs import Run
from tailorbird.store.served import record_feedback, record_served
from tailorbird.store.tables import BundleRow, DeploymentRow, RunRow, ServedRow
from tailorbird.store.workspace import Workspace

__all__ = [
    "BundleRow",
    "DeploymentRow",
    "Run",
    "RunRow",
    "ServedRow",
    "Workspace",
    "record_feedback",
    "record_served",
]
