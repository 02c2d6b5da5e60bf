"""The data room: reading, cleaning, labelling and splitting logs; floor 1."""

from tailorbird.data.reading import load_interactions, read, write_interactions
from tailorbird.data.splitting import split

__all__ = ["load_interactions", "read", "split", "write_interactions"]
