"""Whatever a client sends to opinion monitoring, the answer is one that the document names."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from schemathesis import GenerationMode
from tests.openapi import statuses_of


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_document_names(app: FastAPI, mode: GenerationMode) -> None:
    n_operations, seen = statuses_of(app, mode, n_each=6)
    assert n_operations >= 20 or mode is GenerationMode.NEGATIVE
    assert 422 in seen
