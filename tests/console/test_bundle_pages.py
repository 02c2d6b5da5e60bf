"""Bundles as the console compares and changes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save_file
from sqlalchemy import select

from tailorbird.app import create_app
from tailorbird.bundle import BundleContents, registry, write_bundle
from tailorbird.config import ServingSettings, Settings
from tailorbird.console import deploying
from tailorbird.console.bundle_facts import (
    BundleFacts,
    are_rows_same,
    compare,
    list_bundles,
    outcome,
)
from tailorbird.errors import CorruptBundleError, StoreError
from tailorbird.serving.access import Person
from tailorbird.store import Workspace
from tailorbird.store.tables import AdminActionRow
from tailorbird.testing import KeywordPredictor

LABELS = ("greeting", "refund")
ADA, BOB = Person("ada", "admin"), Person("bob", "admin")


def report(accuracy: float, *, margin: float = 0.02, n_rows: int = 100) -> dict[str, Any]:
    interval = {"value": accuracy, "low": accuracy - margin, "high": accuracy + margin}
    test = {
        "split": "test",
        "n_rows": n_rows,
        "loss": 0.3,
        "accuracy": interval,
        "macro_f1": interval,
        "ece": 0.05,
        "ece_before": 0.06,
        "per_class": [],
        "confusion": [[50, 0], [0, 50]],
        "labels": list(LABELS),
        "baselines": {},
    }
    run = {
        "name": "20260101-shop",
        "source": "shop.jsonl",
        "seed": 0,
        "version": "0",
        "created": "",
    }
    return {"run": run, "test": test, "tuning": {"backbone": "tiny", "train_s": 61.2}}


def facts(name: str, content: dict[str, Any]) -> BundleFacts:
    return BundleFacts(name, Path(name), datetime(2026, 1, 1, tzinfo=UTC), False, content)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def bundles(workspace: Workspace, tmp_path: Path) -> list[str]:
    """The ids of three bundles, of 80, 90 and 91 % accuracy; none is live."""
    model = tmp_path / "model"
    (model / "tokenizer").mkdir(parents=True)
    save_file({"weight": np.zeros(2, np.float32)}, model / "model.safetensors")
    (model / "model.json").write_text(json.dumps({"labels": LABELS}), encoding="utf-8")
    (model / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    page = tmp_path / "report.html"
    page.write_text("<h1>figures</h1>", encoding="utf-8")
    return [
        write_bundle(
            workspace.bundles_path,
            BundleContents(
                model_folder=model,
                labels=LABELS,
                templates={label: {} for label in LABELS},
                settings=Settings().to_json(),
                report=report(accuracy),
                report_html=page,
                temperature=1.0,
                threshold=0.5,
            ),
        ).id
        for accuracy in (0.8, 0.9, 0.91)
    ]


def visit(workspace: Workspace, path: str, **settings: Any) -> str:
    app = create_app(workspace, KeywordPredictor(), ServingSettings(**settings))
    with TestClient(app) as client:
        return client.get(path, headers={"accept-language": "en"}).text


def test_a_gain_is_said_only_where_the_intervals_do_not_meet() -> None:
    low, high = facts("a", report(0.8)), facts("b", report(0.9))
    near, none = facts("c", report(0.91)), facts("d", {})
    assert outcome(low, high) == "above"
    assert outcome(high, low) == "below"
    assert outcome(high, near) == "same"
    assert outcome(high, none) == "unknown"


def test_measures_of_other_rows_are_told_apart() -> None:
    one = facts("a", report(0.8))
    assert are_rows_same(one, facts("b", report(0.9)))
    assert not are_rows_same(one, facts("b", report(0.9, n_rows=99)))


def test_figures_stand_side_by_side_with_their_difference_in_points() -> None:
    better, worse = report(0.9), report(0.8)
    better["test"]["ece"] = 0.09
    lines = {line.key: line for line in compare(facts("a", worse), facts("b", better))}
    accuracy, ece = lines["accuracy"], lines["ece"]
    assert (accuracy.first, accuracy.second, accuracy.better) == ("80 %", "90 %", "second")
    assert accuracy.difference == "+10.0"
    assert (ece.difference, ece.better) == ("+4.0", "first")  # an error: less is better
    assert "language_zh" not in lines  # neither has it
    assert (lines["train"].first, lines["rows"].first) == ("1 min 1 s", "100")


def test_promoting_needs_a_reason_and_remembers_who_gave_it(
    workspace: Workspace, bundles: list[str]
) -> None:
    with pytest.raises(StoreError, match="no reason"):
        deploying.promote(workspace, bundles[0], person=ADA, reason="  ")
    assert registry.live_bundle(workspace) is None
    deploying.promote(workspace, bundles[0], person=ADA, reason="the first one")
    (done,) = deploying.deployments(workspace)
    assert (done.record.id, done.record.reason, done.who) == (bundles[0], "the first one", "ada")
    with workspace.sessions() as session:
        (row,) = session.scalars(select(AdminActionRow))
    assert (row.action, row.target, row.who) == ("publish bundle", bundles[0], "ada")


def test_rolling_back_goes_to_the_one_before_and_not_past_it(
    workspace: Workspace, bundles: list[str]
) -> None:
    first, second, third = bundles
    for bundle in (first, second):
        deploying.promote(workspace, bundle, person=ADA, reason="better")
    assert deploying.earlier_bundle(workspace) == first
    deploying.promote(workspace, third, person=BOB, reason="better still")
    with pytest.raises(StoreError, match="no longer"):  # what the page showed is not true any more
        deploying.roll_back(workspace, person=ADA, reason="worse", expected=first)
    deploying.roll_back(workspace, person=ADA, reason="worse", expected=second)
    live = registry.live_bundle(workspace)
    assert live is not None
    assert live.id == second
    assert [one.who for one in deploying.deployments(workspace)] == ["ada", "bob", "ada", "ada"]


def test_a_damaged_candidate_does_not_go_live(workspace: Workspace, bundles: list[str]) -> None:
    deploying.promote(workspace, bundles[0], person=ADA, reason="first")
    (workspace.bundles_path / bundles[1] / "labels.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CorruptBundleError):
        deploying.promote(workspace, bundles[1], person=ADA, reason="second")
    assert len(deploying.deployments(workspace)) == 1
    with pytest.raises(StoreError, match="no bundle"):
        deploying.promote(workspace, "../runs", person=ADA, reason="a way out")


def test_the_page_shows_what_is_live_and_what_could_be(
    workspace: Workspace, bundles: list[str]
) -> None:
    deploying.promote(workspace, bundles[1], person=ADA, reason="the <b>best</b> of them")
    page = visit(workspace, "/console/bundles")
    assert all(bundle in page for bundle in bundles)
    assert f"/console/bundles/promote?bundle={bundles[0]}" in page
    assert f"/console/bundles/promote?bundle={bundles[1]}" not in page  # it is live
    assert "Roll back" not in page  # there is nothing to go back to
    assert "<b>best</b>" not in page
    assert [one.id for one in list_bundles(workspace) if one.is_live] == [bundles[1]]


def test_the_pages_that_change_something_say_what(workspace: Workspace, bundles: list[str]) -> None:
    for bundle in bundles[:2]:
        deploying.promote(workspace, bundle, person=ADA, reason="better")
    page = visit(workspace, f"/console/bundles/promote?bundle={bundles[2]}")
    assert f"Make {bundles[2]} live?" in page
    assert "the difference may be chance" in page
    page = visit(workspace, "/console/bundles/rollback")
    assert f"Roll back to {bundles[0]}?" in page
    assert "answers fewer of the test rows right" in page
    assert "Nothing here" in visit(workspace, "/console/bundles/promote?bundle=..")


def test_strangers_see_no_bundles_and_no_reports(workspace: Workspace, bundles: list[str]) -> None:
    app = create_app(workspace, KeywordPredictor(), ServingSettings(api_key="k3y"))
    with TestClient(app) as client:
        for path in ("bundles", f"bundles/promote?bundle={bundles[0]}", "bundles/compare", "runs"):
            page = client.get(f"/console/{path}", headers={"accept-language": "en"}).text
            assert "This console needs the API key" in page
            assert bundles[1] not in page
        assert client.get(f"/console/bundles/{bundles[0]}/report.html").status_code == 404
    open_to_all = create_app(workspace, KeywordPredictor(), ServingSettings())
    with TestClient(open_to_all) as client:
        response = client.get(f"/console/bundles/{bundles[0]}/report.html")
        assert response.text == "<h1>figures</h1>"
        assert "sandbox allow-scripts" in response.headers["content-security-policy"]
