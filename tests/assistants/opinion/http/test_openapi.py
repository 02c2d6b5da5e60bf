"""Whatever a client sends to opinion monitoring, the answer is one that the document names."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tailorbird.serving.schemas import ErrorResponse


def statuses(client: TestClient, operation: Any, mode: GenerationMode, named: Any) -> set[int]:
    """What *client* is answered to all sorts of requests for one *operation*."""
    seen: set[int] = set()

    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
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


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_document_names(app: FastAPI, mode: GenerationMode) -> None:
    document = app.openapi()
    schema = schemathesis.openapi.from_dict(document)
    operations = [
        (path, method, operation["responses"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        # Any text may stand for an id: without a body there is nothing that could be wrong.
        if mode is GenerationMode.POSITIVE or "requestBody" in operation
    ]
    seen: set[int] = set()
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        for path, method, named in operations:
            seen |= statuses(client, schema[path][method.upper()], mode, named)
    assert len(operations) >= 20 or mode is GenerationMode.NEGATIVE
    assert 422 in seen
