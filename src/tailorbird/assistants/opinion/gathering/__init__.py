"""Posts from files, feeds, endpoints and webhooks, each taken once; and whom they name.

`Gatherer` looks at the sources, `Webhooks` receives; both hand items to the one `Intake`.
"""

from tailorbird.assistants.opinion.gathering.entities import EntityTable, Tags
from tailorbird.assistants.opinion.gathering.gatherer import Gatherer
from tailorbird.assistants.opinion.gathering.growing_file import FileSource
from tailorbird.assistants.opinion.gathering.intake import Intake
from tailorbird.assistants.opinion.gathering.items import Item, Taken
from tailorbird.assistants.opinion.gathering.webhook import Webhooks

__all__ = [
    "EntityTable",
    "FileSource",
    "Gatherer",
    "Intake",
    "Item",
    "Tags",
    "Taken",
    "Webhooks",
]
