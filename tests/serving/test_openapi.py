"""What the OpenAPI document promises is kept, whatever a client sends."""

from __future__ import annotations

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tailorbird.app import create_app
from tailorbird.config import ServingSettings
from tailorbird.serving.schemas import ErrorResponse, PredictResponse
from tailorbird.testing import KeywordPredictor


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_document_names(mode: GenerationMode) -> None:
    app = create_app(None, KeywordPredictor(), ServingSettings(), console=False)
    document = app.openapi()
    operation = schemathesis.openapi.from_dict(document)["/v1/predict"]["POST"]
    documented = document["paths"]["/v1/predict"]["post"]["responses"]
    seen: set[int] = set()

    @settings(
        max_examples=80,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def hold(case: schemathesis.Case) -> None:
        request = case.as_transport_kwargs(base_url="http://testserver")
        kept = {key: request[key] for key in ("headers", "json", "content") if key in request}
        response = client.post("/v1/predict", **kept)
        assert str(response.status_code) in documented
        shape = PredictResponse if response.status_code == 200 else ErrorResponse
        shape.model_validate(response.json())
        seen.add(response.status_code)

    with TestClient(app, raise_server_exceptions=False) as client:
        hold()
    assert 422 in seen
    assert (200 in seen) == (mode is GenerationMode.POSITIVE)
