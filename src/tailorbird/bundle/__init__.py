"""Bundles: what is served, in one folder whose name is the hash of its content.

`write_bundle` makes one, `load_bundle` trusts none before every byte is checked, `registry`
says which one is live, `templates` picks and edits the answers, an `AdapterStore` holds what is
tuned for single users, `personal` answers them with it.
"""

from tailorbird.bundle import personal, registry, templates
from tailorbird.bundle.adapter_store import AdapterStore
from tailorbird.bundle.loading import Bundle, load_bundle
from tailorbird.bundle.writing import BundleContents, write_bundle

__all__ = [
    "AdapterStore",
    "Bundle",
    "BundleContents",
    "load_bundle",
    "personal",
    "registry",
    "templates",
    "write_bundle",
]
