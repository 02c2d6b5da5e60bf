"""What the OpenAPI document says of ``/v1/knowledge`` is kept, whatever a client sends."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tailorbird.assistants.service_desk.http.knowledge_routes import knowledge_routes
from tailorbird.knowledge import KnowledgeBase
from tailorbird.serving.refusals import refuse_in_sentences
from tailorbird.store import Workspace
from tailorbird.testing.encoder import WordEncoder

OPERATIONS = [
    ("/v1/knowledge/search", "POST"),
    ("/v1/knowledge/documents/{name}", "PUT"),
    ("/v1/knowledge/documents/{name}", "DELETE"),
]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_the_document_names(
    tmp_path: Path, path: str, method: str, mode: GenerationMode
) -> None:
    app = FastAPI()
    refuse_in_sentences(app)
    with Workspace.open(tmp_path) as workspace:
        base = KnowledgeBase(workspace, WordEncoder())
        base.add("faq.csv", b"question,answer\nHow long?,3 days.\n")
        app.include_router(knowledge_routes(base))
        document = app.openapi()
        (known,) = [one for one in document["paths"] if one.split(":")[0] in (path, path[:-1])]
        operation = schemathesis.openapi.from_dict(document)[known][method]
        documented = document["paths"][known][method.lower()]["responses"]

        @settings(
            max_examples=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def hold(case: schemathesis.Case) -> None:
            request = case.as_transport_kwargs(base_url="http://testserver")
            kept = {key: request[key] for key in ("headers", "json", "content") if key in request}
            if isinstance(request.get("data"), bytes):
                kept["content"] = request["data"]
            response = client.request(method, request["url"], **kept)
            assert str(response.status_code) in {*documented, "405"}, response.text
            assert response.status_code < 500, response.text

        with TestClient(app, raise_server_exceptions=False) as client:
            hold()
