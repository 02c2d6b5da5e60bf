"""The same bundle with other bytes in some of its files: what forgetting a person needs.

A bundle is named by its content, so the new one has a new id; whatever the workspace remembers of
the old one, it then remembers of the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from sqlalchemy import update

from tailorbird.bundle.loading import Bundle, load_bundle
from tailorbird.bundle.manifest import NAME, Manifest, entry_of, read_manifest
from tailorbird.bundle.writing import settle, staging_folder
from tailorbird.store import Workspace
from tailorbird.store.tables import BundleRow, DeploymentRow


def rewrite_bundle(workspace: Workspace, bundle_id: str, changed: Mapping[str, bytes]) -> Bundle:
    """Replace files of a bundle of the workspace, by name, and go over to the new one.

    Whatever interrupts it, one of the two is there and is the one that the workspace knows. What
    serves the old one follows, as it does after any publication.
    """
    old = workspace.bundles_path / bundle_id
    manifest = read_manifest(old)
    with staging_folder(workspace.bundles_path) as staging:
        for name in manifest.files:
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name in changed:
                target.write_bytes(changed[name])
            else:
                try:
                    os.link(old / name, target)
                except OSError:
                    shutil.copyfile(old / name, target)
        files = {
            name: entry_of(staging / name) if name in changed else entry
            for name, entry in manifest.files.items()
        }
        new = Manifest(files)
        (staging / NAME).write_bytes(new.to_bytes())
        settle(staging, workspace.bundles_path / new.id)
    _move_adapters(workspace, bundle_id, new.id)
    with workspace.writing() as session:
        row = session.get(BundleRow, bundle_id)
        if row is not None and session.get(BundleRow, new.id) is None:
            again = BundleRow(id=new.id, created=row.created, run=row.run, accuracy=row.accuracy)
            session.add(again)
            session.flush()
        if row is not None:
            of_old = update(DeploymentRow).where(DeploymentRow.bundle_id == bundle_id)
            session.execute(of_old.values(bundle_id=new.id))
            session.delete(row)
    if new.id != bundle_id:
        shutil.rmtree(old)
    return load_bundle(workspace.bundles_path / new.id)


def _move_adapters(workspace: Workspace, old: str, new: str) -> None:
    """Those of the old bundle's users are the new one's: the weights under them are the same.

    They go before anybody can learn of the new bundle, who would open a store of its own for it.
    """
    source, target = workspace.adapters_path / old, workspace.adapters_path / new
    if source.is_dir() and not target.exists():
        source.rename(target)
