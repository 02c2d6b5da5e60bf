"""A server for tests, in a process of its own: ``python server_to_stop.py FOLDER [console] [KEY]``.

FOLDER is its workspace. A text with "slow" in it is answered once the file FOLDER/go exists;
FOLDER/asked says that such a text has arrived. FOLDER/report.html is its report, where it is.
The address is printed when it can be asked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tailorbird.app import create_app, run_server
from tailorbird.config import ServingSettings
from tailorbird.records import Prediction
from tailorbird.store import Workspace
from tailorbird.testing import KeywordPredictor


class SlowPredictor(KeywordPredictor):
    def __init__(self, path: Path) -> None:
        super().__init__("slow")
        self.path = path

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        if any("slow" in text for text in texts):
            (self.path / "asked").touch()
            while not (self.path / "go").exists():
                time.sleep(0.01)
        return super().predict(texts)


def main(folder: Path, console: str = "", key: str = "") -> None:
    settings = ServingSettings(port=0, api_key=key)
    with Workspace.open(folder) as workspace:
        app = create_app(workspace, SlowPredictor(folder), settings, console=bool(console))
        run_server(app, settings, on_start=lambda address: print(address, flush=True))
    print("stopped", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
