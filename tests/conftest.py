"""What all tests share: no network, one thread a worker, one cache of unpacked weights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported, which reads it once
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def weights_cache(request: pytest.FixtureRequest) -> Path:
    """Where embedded models are unpacked: kept between test runs, shared by all workers."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("weights")
