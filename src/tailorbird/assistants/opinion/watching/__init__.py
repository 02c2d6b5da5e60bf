"""Posts → series → surges → alerts → deliveries, and the report of a day.

`Watcher` looks at what the tables hold, `replay` at a list of posts; both go through
`alerts.Ledger`, so both find the same. How surges are found, and why the stated rate of false
alarms is kept, is said in `surges`; what is usual in `baseline`.
"""

from tailorbird.assistants.opinion.watching.delivering import Deliverer
from tailorbird.assistants.opinion.watching.handling import acknowledge, silence
from tailorbird.assistants.opinion.watching.replaying import replay
from tailorbird.assistants.opinion.watching.report import daily_report
from tailorbird.assistants.opinion.watching.series import Series, series_of
from tailorbird.assistants.opinion.watching.settings import WatchSettings
from tailorbird.assistants.opinion.watching.watcher import Watcher

__all__ = [
    "Deliverer",
    "Series",
    "WatchSettings",
    "Watcher",
    "acknowledge",
    "daily_report",
    "replay",
    "series_of",
    "silence",
]
