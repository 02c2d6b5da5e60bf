"""What all tests share: no network, one thread a worker, one cache of unpacked weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tailorbird.bundle import Bundle

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported, which reads it once
if "TAILORBIRD_TEST_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is exact is exact on a CPU
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def weights_cache(request: pytest.FixtureRequest) -> Path:
    """Where embedded models are unpacked: kept between test runs, shared by all workers."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("weights")


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random encoder that is tuned in milliseconds."""
    from tailorbird.testing import write_tiny_backbone

    return write_tiny_backbone(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def shop_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of a tiny shop that was really tuned, in a workspace with its run."""
    from tailorbird.store import Workspace
    from tailorbird.testing.shop import write_shop_bundle

    folder = tmp_path_factory.mktemp("shop")
    with Workspace.open(folder / "space") as workspace:
        return write_shop_bundle(workspace, folder / "scratch")


@pytest.fixture
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without plug-ins before, and without those that the test loads afterwards."""
    from tailorbird import plugins
    from tailorbird.modeling import adapters, heads
    from tailorbird.tuning.tasks import TASKS

    monkeypatch.setattr(plugins, "_LOADED", plugins._Loaded())
    registries: list[dict[str, object]] = [TASKS, heads.HEADS, adapters.METHODS]  # type: ignore[list-item]
    before = [dict(registry) for registry in registries]
    modules = set(sys.modules)
    yield
    for registry, kept in zip(registries, before, strict=True):
        registry.clear()
        registry.update(kept)
    for name in set(sys.modules) - modules:
        if name.startswith("tailorbird_plugin"):
            del sys.modules[name]
