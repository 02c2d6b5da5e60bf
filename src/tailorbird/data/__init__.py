"""The data room: reading, cleaning, labelling and splitting logs; floor 1."""

from tailorbird.data.cleaning import clean
from tailorbird.data.labelling import label
from tailorbird.data.pii import mask_pii
from tailorbird.data.reading import load_interactions, read, write_interactions
from tailorbird.data.splitting import split
from tailorbird.data.task_rows import load_rows

__all__ = [
    "clean",
    "label",
    "load_interactions",
    "load_rows",
    "mask_pii",
    "read",
    "split",
    "write_interactions",
]
