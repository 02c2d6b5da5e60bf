"""A fresh workspace for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tailorbird.store import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened
