"""Whatever a client sends, it gets an answer that the OpenAPI document names."""

from __future__ import annotations

from typing import Any

import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tailorbird.serving.schemas import ErrorResponse


def statuses_of(
    app: FastAPI, mode: GenerationMode, *, n_each: int, has_wrong_ids: bool = False
) -> tuple[int, set[int]]:
    """How many operations were asked *n_each* times in all sorts of ways, and what came back.

    Each answer is one that the document names for its operation, never a 5xx, and refusals have
    the common form. Any text may stand for an id: without a body nothing is taken to be wrong,
    unless it *has_wrong_ids*.
    """
    document = app.openapi()
    schema = schemathesis.openapi.from_dict(document)
    operations = [
        (path, method, operation["responses"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if mode is GenerationMode.POSITIVE or has_wrong_ids or "requestBody" in operation
    ]
    seen: set[int] = set()
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        for path, method, named in operations:
            operation = schema[path][method.upper()]
            seen |= _statuses(client, operation.as_strategy(generation_mode=mode), named, n_each)
    return len(operations), seen


def _statuses(client: TestClient, cases: Any, named: Any, n_each: int) -> set[int]:
    seen: set[int] = set()

    @settings(
        max_examples=n_each,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def hold(case: schemathesis.Case) -> None:
        sent = case.as_transport_kwargs(base_url="http://testserver")
        parts = ("method", "url", "params", "headers", "json", "content")
        response = client.request(**{key: sent[key] for key in parts if key in sent})
        # A path of several parts may be that of another operation.
        assert str(response.status_code) in named or response.status_code in (307, 405)
        assert response.status_code < 500, (sent, response.text)
        if response.status_code >= 400:
            ErrorResponse.model_validate(response.json())
        seen.add(response.status_code)

    hold()
    return seen
