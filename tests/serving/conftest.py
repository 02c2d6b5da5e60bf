from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tailorbird.app import create_app
from tailorbird.config import ServingSettings
from tailorbird.serving import Predictor
from tailorbird.testing import KeywordPredictor

from .doors import UNKNOWN, Clock, CountingHasher, open_door

__all__ = ["UNKNOWN", "Clock", "CountingHasher", "open_door"]

MakeClient = Callable[..., TestClient]


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """A client of a running app without the console; keywords are serving settings."""
    with ExitStack() as stack:

        def make(predictor: Predictor | str | None = "keywords", **settings: Any) -> TestClient:
            chosen = KeywordPredictor() if isinstance(predictor, str) else predictor
            app = create_app(None, chosen, ServingSettings(**settings), console=False)
            client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
            return stack.enter_context(client)

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()
