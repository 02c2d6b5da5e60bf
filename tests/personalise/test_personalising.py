"""From ratings of users to what each of them gets, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tailorbird.errors import ConfigError, DataError
from tailorbird.modeling import load_model
from tailorbird.modeling.adapters.own_rows import without_rows
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.personalise import divide_by_user, giving, proving, view
from tailorbird.personalise.candidates import HeadAdapters
from tailorbird.personalising import go_on, start_from
from tailorbird.runs import load_examples
from tailorbird.store import Workspace

Rated = tuple[Workspace, str, Any]


def report_of(rated: Rated) -> dict[str, object]:
    workspace, name, _ = rated
    found: dict[str, object] = workspace.run(name).read_json("personalise.json")
    return found


def test_users_who_rate_their_own_way_are_understood_better(rated: Rated) -> None:
    losses = report_of(rated)["losses"]
    assert losses["gated"] < 0.6 * losses["none"]
    assert report_of(rated)["gain"]["low"] > 0
    assert report_of(rated)["worse_users_fraction"] == 0.0


def test_every_user_is_reported_with_interval_and_reason(rated: Rated) -> None:
    users = report_of(rated)["users"]
    assert [user["user"] for user in users] == [f"person-{k:04d}" for k in range(16)]
    for user in users:
        assert (user["n_train"], user["n_validation"], user["n_test"]) == (8, 4, 3)
        assert user["gain"]["low"] <= user["gain"]["value"] <= user["gain"]["high"]
        assert user["why"]["key"] in ("begun", "spared", "won", "unsure", "harms")


def test_the_page_says_it_in_both_languages_and_loads_nothing(rated: Rated) -> None:
    workspace, name, _ = rated
    page = (workspace.run(name).path / "personalise.html").read_text(encoding="utf-8")
    assert "person-0003" in page
    assert "Each user what wins" in page
    assert "每人取其最优" in page
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_what_is_kept_answers_as_the_candidate_did(rated: Rated) -> None:
    workspace, name, shelf = rated
    run = workspace.run(name)
    model = load_model(run.path / "model")
    examples = [row for rows in load_examples(run).values() for row in rows]
    assert shelf.kept
    for user, weights in list(shelf.kept.items())[:4]:
        plain, own = without_rows(weights)
        model.head.load_state_dict(dict(plain.head))
        texts = [row.text for row in examples if row.user == user]
        truth = torch.tensor([row.value for row in examples if row.user == user])
        pooled = model.features(texts)
        numbers = model.head.numbers(model.head(pooled)).double()
        if own is not None:
            numbers = own.numbers(pooled, numbers)
        assert (numbers.detach() - truth).abs().mean() < 0.6
        assert weights.facts["candidate"] in ("retrieval", "adapter", "both")
        assert plain.settings.name == "head"


def test_a_kept_head_gives_the_very_numbers_that_were_proven(people: Any, rated: Rated) -> None:
    workspace, name, _ = rated
    run = workspace.run(name)
    model = load_model(run.path / "model")
    examples = [row for rows in load_examples(run).values() for row in rows]
    settings = people.small_settings(run.path)
    seen = view.view_rows(model, examples)
    users = divide_by_user(examples, settings.personalise)
    candidates = proving.make_candidates(seen, users)
    assert isinstance(candidates.adapters, HeadAdapters)
    heads, prior = candidates.adapters.heads, candidates.adapters.prior
    fit = heads.fit(users[1].train, prior)
    proven = heads.answer(fit, users[1].test)[:, 0]
    kept = giving.Shared(model, "").adapter(seen, heads.deltas(fit), {})
    model.head.load_state_dict(dict(kept.head))
    pooled = model.features([examples[row].text for row in users[1].test])
    with torch.no_grad():
        served = model.head.numbers(model.head(pooled))
    assert torch.allclose(served.double(), proven, atol=1e-4)


def test_kept_rows_survive_a_file(rated: Rated, tmp_path: Path) -> None:
    _, _, shelf = rated
    weights = next(w for w in shelf.kept.values() if without_rows(w)[1] is not None)
    weights.save(tmp_path / "own.safetensors")
    again, own = without_rows(AdapterWeights.load(tmp_path / "own.safetensors"))
    assert own is not None
    assert len(own.features) == 15
    assert torch.allclose(F.normalize(own.features.float(), dim=1).norm(dim=1), torch.ones(15))
    assert again.trunk == weights.trunk != ""


def test_a_second_look_at_the_test_rows_is_refused(
    people: Any, rated: Rated, tmp_path: Path
) -> None:
    workspace, name, _ = rated
    with pytest.raises(DataError, match="already opened"):
        go_on(workspace.run(name), workspace, people.small_settings(tmp_path))


def test_rows_without_users_are_refused(people: Any, tmp_path: Path) -> None:
    rows = [{"text": "a", "rating": 1.0}, {"text": "b", "rating": 2.0}]
    source = people.write_rows(tmp_path / "rows.jsonl", rows)
    with (
        Workspace.open(tmp_path / "space") as workspace,
        pytest.raises(DataError, match=r"says whose it is.*--user"),
    ):
        start_from(source, workspace, people.small_settings(tmp_path))


def test_a_task_that_cannot_be_personal_is_refused(people: Any, tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "space") as workspace:
        settings = people.small_settings(tmp_path, "ranking")
        with pytest.raises(ConfigError, match="ranking cannot be made personal"):
            start_from("rows.jsonl", workspace, settings)


def test_the_rows_of_a_run_are_divided_along_each_users_time(rated: Rated) -> None:
    workspace, name, _ = rated
    lines = (workspace.run(name).path / "examples.jsonl").read_text("utf-8").splitlines()
    of_user = [row for row in map(json.loads, lines) if row["user"] == "person-0005"]
    by_time = [row["split"] for row in sorted(of_user, key=lambda row: row["time"])]
    assert by_time == ["train"] * 8 + ["validation"] * 4 + ["test"] * 3


def test_adapter_jobs_may_take_the_place_of_heads(people: Any, tmp_path: Path) -> None:
    source = people.write_rows(tmp_path / "rows.jsonl", people.ratings(4, 12))
    shelf = people.Shelf()
    with Workspace.open(tmp_path / "space") as workspace:
        settings = people.small_settings(
            tmp_path,
            "regression",
            "personalise.adapter=lora",
            "personalise.confidence=0.5",
            "method.rank=2",
            "tuning.learning_rate=0.01",
        )
        settings_of_base = people.small_settings(tmp_path, "regression", "personalise.adapter=lora")
        run = start_from(source, workspace, settings_of_base)
        done = go_on(run, workspace, settings)
        assert done is not None
        done.give(shelf)
    assert done.outcome.losses["adapter"] < done.outcome.losses["none"]
    kinds = {w.facts["candidate"]: w.settings.name for w in shelf.kept.values()}
    assert kinds.get("adapter", "lora") == kinds.get("both", "lora") == "lora"
