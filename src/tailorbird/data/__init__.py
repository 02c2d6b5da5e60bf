"""The data room: reading, cleaning, labelling and splitting logs; floor 1."""

from tailorbird.data.reading import load_interactions, read, write_interactions

__all__ = ["load_interactions", "read", "write_interactions"]
