"""Whatever a client sends to the desk, it gets an answer that the OpenAPI document names."""

from __future__ import annotations

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.serving.schemas import ErrorResponse


@pytest.fixture
def app(service_desk: ServiceDesk) -> FastAPI:
    made = FastAPI()
    refuse_in_sentences(made)
    for router in service_desk.routers():
        made.include_router(router)
    return made


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_document_names(app: FastAPI, mode: GenerationMode) -> None:
    document = app.openapi()
    schema = schemathesis.openapi.from_dict(document)
    seen: set[int] = set()
    n_operations = 0
    with TestClient(app, raise_server_exceptions=False) as client:
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                documented = operation["responses"]
                n_operations += 1

                @settings(
                    max_examples=8,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=schema[path][method.upper()].as_strategy(generation_mode=mode))
                def hold(
                    case: schemathesis.Case, documented: dict[str, object] = documented
                ) -> None:
                    sent = case.as_transport_kwargs(base_url="http://testserver")
                    kept = {
                        key: sent[key]
                        for key in ("method", "url", "params", "headers", "json", "content")
                        if key in sent
                    }
                    response = client.request(**kept)
                    assert str(response.status_code) in documented or response.status_code == 405
                    assert response.status_code < 500, (kept, response.text)
                    if response.status_code >= 400:
                        ErrorResponse.model_validate(response.json())
                    seen.add(response.status_code)

                hold()
    assert n_operations == 20
    assert {404, 422} & seen
    assert (201 in seen) == (mode is GenerationMode.POSITIVE)
