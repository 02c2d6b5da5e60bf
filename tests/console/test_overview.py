"""The overview as a browser's first request sees it; its numbers are tested where they are made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tailorbird.app import create_app
from tailorbird.assistants.service_desk.figures import Share
from tailorbird.config import ServingSettings
from tailorbird.console.ask import tried
from tailorbird.console.overview import View, Views, against, read_view
from tailorbird.console.words import WORDS
from tailorbird.records import Prediction
from tailorbird.serving import Answer, Predictor
from tailorbird.store import Workspace
from tailorbird.store.tables import ConversationRow, DecisionRow, TurnRow, utc_now
from tailorbird.testing import KeywordPredictor


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


def visit(
    workspace: Workspace, path: str, *, language: str = "en", predictor: Predictor | None = None
) -> str:
    app = create_app(workspace, predictor, ServingSettings())
    with TestClient(app) as client:
        return client.get(path, headers={"accept-language": language}).text


def answered(workspace: Workspace, *, days: float, text: str = "where is it") -> None:
    time = utc_now() - timedelta(days=days)
    row = ConversationRow(created=time, updated=time, status="closed", rating=1.0)
    with workspace.writing() as session:
        session.add(row)
        session.flush()
        session.add(TurnRow(conversation_id=row.id, number=0, author="visitor", text=text))
        session.add(
            DecisionRow(
                time=time,
                conversation_id=row.id,
                text=text,
                kind="refusal" if "boat" in text else "template",
                intent="shipping",
                latency_ms=12.0,
            )
        )


def test_before_anything_is_built_the_overview_says_how_to(workspace: Workspace) -> None:
    page = visit(workspace, "/console/")
    assert "No assistant yet" in page
    assert "tailorbird build LOGS" in page


def test_before_anybody_asks_the_overview_invents_no_figures(workspace: Workspace) -> None:
    page = visit(workspace, "/console/", predictor=KeywordPredictor())
    assert "Nobody has asked anything in this time" in page
    assert "0 %" not in page
    assert "100 %" not in page


def test_the_overview_shows_what_happened(workspace: Workspace) -> None:
    answered(workspace, days=0.5)
    answered(workspace, days=0.5, text="do you sell <boats>")
    page = visit(workspace, "/console/", predictor=KeywordPredictor())
    assert "2 of 2 conversations" in page
    assert "median; 95 % within 12 ms" in page
    assert "2 answers, 1 refused" in page
    assert "<boats>" not in page
    assert "独立解决" in visit(workspace, "/console/", language="zh", predictor=KeywordPredictor())


def test_one_looks_back_as_far_as_one_chooses(workspace: Workspace) -> None:
    answered(workspace, days=5)
    predictor = KeywordPredictor()
    assert "Nobody has asked" in visit(workspace, "/console/", predictor=predictor)
    assert "1 of 1 conversations" in visit(workspace, "/console/?back=7d", predictor=predictor)
    assert "Nobody has asked" in visit(workspace, "/console/?back=ever", predictor=predictor)


def test_a_share_is_compared_with_the_time_before(workspace: Workspace) -> None:
    words = WORDS["en"]
    told = against("7d", Share(3, 4), Share(4, 4), words)
    assert told == "\u221225.0 points against the 7 days before"
    assert against("7d", Share(1, 2), Share(1, 2), words).startswith("±0")
    assert against("7d", Share(1, 2), Share(0, 0), words) == ""
    answered(workspace, days=1.5)
    view = read_view(workspace, "24h", utc_now())
    assert (view.now.shares.n_conversations, view.before.n_conversations) == (0, 1)


def test_figures_that_took_long_are_kept_for_everybody(workspace: Workspace) -> None:
    clock, n_read = [0.0], [0]

    def read(name: str) -> View:
        n_read[0] += 1
        clock[0] += 2.0  # seconds that it takes
        return read_view(workspace, name, utc_now())

    views = Views(read, now_s=lambda: clock[0])
    first = views.of("24h")
    clock[0] += 39.0
    assert views.of("24h") is first
    assert views.of("7d").name == "7d"
    clock[0] += 1.0
    assert views.of("24h") is not first
    assert n_read == [3]


def test_a_try_knows_the_adapter_it_was_answered_with() -> None:
    prediction = Prediction("refund", 0.9, True, None, "en")
    answer = Answer(bundle="b1", predictions=(prediction,), adapters=("c0ffee",))
    assert tried("money", answer, 5.0).adapter == "c0ffee"
    assert tried("money", Answer("b1", (prediction,)), 5.0).adapter == ""
