"""Whatever a client sends to the desk, it gets an answer that the OpenAPI document names."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from schemathesis import GenerationMode
from tests.openapi import statuses_of

from tailorbird.assistants.service_desk.assembly import ServiceDesk
from tailorbird.serving.refusals import refuse_in_sentences


@pytest.fixture
def app(service_desk: ServiceDesk) -> FastAPI:
    made = FastAPI()
    refuse_in_sentences(made)
    for router in service_desk.routers():
        made.include_router(router)
    return made


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_document_names(app: FastAPI, mode: GenerationMode) -> None:
    n_operations, seen = statuses_of(app, mode, n_each=8)
    assert n_operations == (22 if mode is GenerationMode.POSITIVE else 8)
    assert {404, 422} & seen
    assert (201 in seen) == (mode is GenerationMode.POSITIVE)
