"""A service with a bundle that was really tuned, for tests: ``python why_server.py FOLDER``.

FOLDER is its workspace, which gets the bundle and the run it came from. The address is printed when
it can be asked.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tailorbird.app import Wanted, create_app, run_server
from tailorbird.assistant_settings import DeskSettings
from tailorbird.config import ServingSettings
from tailorbird.store import Workspace
from tailorbird.testing.shop import write_shop_bundle


def main(folder: Path) -> None:
    settings = ServingSettings(port=0)
    with Workspace.open(folder) as workspace, tempfile.TemporaryDirectory() as scratch:
        bundle = write_shop_bundle(workspace, Path(scratch))
        app = create_app(workspace, bundle, settings, wanted=Wanted(DeskSettings()))
        run_server(app, settings, on_start=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
