"""Overview, runs and bundles as a person uses them, on a workspace that has some of each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from safetensors.numpy import save_file

from tailorbird.bundle import BundleContents, registry, write_bundle
from tailorbird.config import Settings
from tailorbird.runs import CURVE
from tailorbird.store import Workspace
from tailorbird.store.tables import ConversationRow, DecisionRow, TurnRow, utc_now

pytestmark = pytest.mark.browser

Visit = Callable[..., Page]
LABELS = ("refund", "shipping")


def report(accuracy: float) -> dict[str, Any]:
    interval = {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02}
    test = {
        "split": "test",
        "n_rows": 100,
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
    return {"run": run, "test": test}


def add_bundle(workspace: Workspace, model: Path, accuracy: float) -> Any:
    return write_bundle(
        workspace.bundles_path,
        BundleContents(
            model_folder=model,
            labels=LABELS,
            templates={label: {} for label in LABELS},
            settings=Settings().to_json(),
            report=report(accuracy),
            temperature=1.0,
            threshold=0.5,
        ),
    )


def add_conversations(workspace: Workspace) -> None:
    time = utc_now() - timedelta(hours=2)
    with workspace.writing() as session:
        for status in ("closed", "closed", "closed", "waiting"):
            row = ConversationRow(created=time, updated=time, status=status, rating=1.0)
            session.add(row)
            session.flush()
            session.add(TurnRow(conversation_id=row.id, number=0, author="visitor", text="…"))
            kind, text = ("refusal", "<b>boats</b>?") if status == "waiting" else ("template", "…")
            session.add(
                DecisionRow(
                    time=time,
                    conversation_id=row.id,
                    text=text,
                    kind=kind,
                    intent="refund",
                    latency_ms=12,
                )
            )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("workspace")
    model = tmp_path_factory.mktemp("model")
    (model / "tokenizer").mkdir()
    save_file({"weight": np.zeros(2, np.float32)}, model / "model.safetensors")
    (model / "model.json").write_text(json.dumps({"labels": LABELS}), encoding="utf-8")
    (model / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with Workspace.open(path) as workspace:
        run = workspace.new_run("shop chats.jsonl", "shop")
        run.write_json("read.json", {"decisions": ["text: column 'q' (guessed from its name)"]})
        for stage in ("clean", "split"):
            run.write_json(f"{stage}.json", {})
        registry.publish(workspace, add_bundle(workspace, model, 0.8), "the first")
        add_bundle(workspace, model, 0.9)
        add_conversations(workspace)
    return path


def log_steps(folder: Path, first: int, last: int) -> None:
    """What a tuning writes, and flushes, from step *first* to *last*."""
    (run,) = (folder / "runs").iterdir()
    with (run / CURVE).open("a", encoding="utf-8") as file:
        for step in range(first, last + 1):
            row = {"event": "step", "step": step, "n_steps": 40, "loss": 2 / step, "metrics": {}}
            file.write(json.dumps(row | {"n_tokens": 100 * step, "elapsed_s": step / 10}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def test_the_overview_is_the_first_page(visit: Visit) -> None:
    page = visit("/")
    expect(page.get_by_role("heading", name="How your assistant is doing")).to_be_visible()
    expect(page.get_by_text("75 %")).to_be_visible()  # three of four needed no person
    expect(page.get_by_text("1 wait for a person now")).to_be_visible()
    expect(page.get_by_text("<b>boats</b>?")).to_be_visible()
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "true")
    expect(page.get_by_text("75 %")).to_be_visible()


def test_the_curve_of_a_running_run_grows_while_one_looks(visit: Visit, folder: Path) -> None:
    page = visit("/console/runs")
    page.get_by_role("link", name="shop").click()
    expect(page.get_by_text("The curves appear when tuning begins.")).to_be_visible()
    expect(page.locator("[aria-current=step]")).to_contain_text("tune")
    expect(page.get_by_text("column 'q' (guessed from its name)")).to_be_visible()
    log_steps(folder, 1, 5)
    expect(page.get_by_test_id("progress")).to_contain_text("step 5 of 40")
    before = page.locator(".tb-plot .line.right").get_attribute("d")
    log_steps(folder, 6, 20)
    expect(page.get_by_test_id("progress")).to_contain_text("step 20 of 40")
    assert page.locator(".tb-plot .line.right").get_attribute("d") != before


def test_a_bundle_is_made_live_for_a_reason_and_rolled_back(visit: Visit) -> None:
    page = visit("/console/bundles")
    live = page.get_by_test_id("live")
    expect(live).to_contain_text("80 %")
    page.get_by_role("link", name="Compare with the live one").click()
    expect(page.get_by_test_id("outcome")).to_contain_text("beyond what chance explains")
    page.get_by_role("link", name="Make live…").click()
    page.get_by_role("button", name="Make it live").click()
    expect(page.get_by_text("Say why")).to_be_visible()
    page.get_by_role("textbox").fill("ten points more")
    page.get_by_role("button", name="Make it live").click()
    expect(live).to_contain_text("90 %")
    expect(live).to_contain_text("ten points more")
    page.get_by_role("link", name="Roll back…").click()
    page.get_by_role("textbox").fill("too slow")
    page.get_by_role("button", name="Roll back").click()
    expect(live).to_contain_text("80 %")
    history = page.get_by_role("table", name="What was live, and why")
    expect(history.get_by_role("row")).to_have_count(4)
    expect(history.get_by_role("row").nth(1)).to_contain_text("too slow")
    expect(history.get_by_role("row").nth(1)).to_contain_text("local")


def test_bundles_are_chosen_by_keyboard_alone(visit: Visit) -> None:
    page = visit("/console/bundles/compare")
    first = page.get_by_label("First")
    expect(first).to_be_visible()
    other = page.get_by_label("Second").input_value()
    first.select_option(other)
    page.get_by_role("button", name="Compare").press("Enter")
    expect(page).to_have_url(re.compile(f"first={other}"))
    expect(page.get_by_label("First")).to_have_value(other)


@pytest.mark.parametrize("name", ["", "runs", "bundles", "bundles/compare", "bundles/rollback"])
def test_no_page_is_wider_than_a_phone(visit: Visit, name: str) -> None:
    page = visit(f"/console/{name}", width=390, locale="zh-CN")
    expect(page.get_by_role("heading").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    here = page.locator(".tb-nav [aria-current]")
    expect(here).to_be_in_viewport()
