from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from tailorbird.app import create_app
from tailorbird.config import ServingSettings
from tailorbird.serving import Predictor
from tailorbird.testing import KeywordPredictor

MakeClient = Callable[..., TestClient]

UNKNOWN = "tb_00ff00ff00ff_" + "0" * 48


class CountingHasher:
    """Argon2 that is quick, and counts."""

    def __init__(self) -> None:
        self.inner = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.n_verified = 0

    def hash(self, secret: str, /) -> str:
        return self.inner.hash(secret)

    def verify(self, kept: str, secret: str, /) -> bool:
        self.n_verified += 1
        return self.inner.verify(kept, secret)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


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
