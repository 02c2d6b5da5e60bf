"""A user who is forgotten is gone: every byte of the workspace is searched for them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailorbird.bundle import AdapterStore, BundleContents, load_bundle, registry, write_bundle
from tailorbird.evaluation import write_report
from tailorbird.modeling.adapters.weights import AdapterWeights
from tailorbird.personalise.forgetting import forget, still_there
from tailorbird.personalise.traces import Eraser, Traces, names_of
from tailorbird.personalise.tuned import job_name
from tailorbird.store import ServedRow, Workspace, record_served

USER = "ada-lovelace-1815"
MARKER = "my quilted raccoon ate the parcel"


def row(text: str, user: str, **more: object) -> dict[str, object]:
    return {"id": f"{user}-{len(text)}", "text": text, "user": user, "label": "lost", **more}


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)


def served(user: str, text: str) -> ServedRow:
    return ServedRow(
        user=user,
        text=text,
        intent="lost",
        confidence=0.9,
        in_scope=True,
        bundle_id="b",
        latency_ms=1.0,
    )


def report_with(mistake: str) -> dict[str, object]:
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    test = {
        "split": "test",
        "n_rows": 2,
        "loss": 0.5,
        "accuracy": interval,
        "macro_f1": interval,
        "ece": 0.1,
        "ece_before": 0.1,
        "per_class": [],
        "confusion": [[1, 0], [1, 0]],
        "labels": ["found", "lost"],
        "baselines": {},
    }
    wrong = {"text": mistake, "true": "lost", "predicted": "found", "confidence": 0.9}
    return {"test": test, "mistakes": [wrong], "run": {"name": "r"}}


@pytest.fixture
def lived_in(people: Any, tmp_path: Path) -> Iterator[tuple[Workspace, Any]]:
    """A workspace in which the user has left something everywhere."""
    with Workspace.open(tmp_path / "space") as workspace:
        run = workspace.new_run("logs.jsonl")
        rows = [row(MARKER, USER), row("where is it", USER), row("where is it", "bo")]
        for name in ("interactions.jsonl", "clean.jsonl", "examples.jsonl"):
            (run.path / name).write_text(lines(rows), encoding="utf-8")
        rejects = [
            {"file": "a", "line": 1, "cause": "x", "raw": json.dumps({"user": USER, "text": 3})},
            {"file": "a", "line": 2, "cause": "x", "raw": json.dumps({"user": "bo", "text": 3})},
        ]
        (run.path / "rejects.jsonl").write_text(lines(rejects), encoding="utf-8")
        run.write_json("clean.json", {"examples": [[MARKER.upper(), MARKER]], "n": 3})
        write_report(run.path, report_with(MARKER))
        (run.path / "jobs").mkdir()
        for ending in (".json", ".safetensors"):
            (run.path / "jobs" / f"{job_name(USER)}{ending}").write_text("{}", encoding="utf-8")
            (run.path / "jobs" / f"{job_name('bo')}{ending}").write_text("{}", encoding="utf-8")
        trunk = workspace.cache_path / "trunk"
        trunk.mkdir(parents=True)
        (trunk / "k.states").write_bytes(b"states")
        record_served(workspace, [served(USER, MARKER), served("bo", "hello there")])
        shelf = people.Shelf()
        shelf.kept = dict.fromkeys((USER, "bo"))  # type: ignore[arg-type]
        yield workspace, shelf


def files_with(folder: Path, text: str) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_no_byte_of_a_forgotten_user_is_left(lived_in: tuple[Workspace, Any]) -> None:
    workspace, shelf = lived_in
    assert len(files_with(workspace.path, MARKER)) >= 6  # it is all there before
    assert len(files_with(workspace.path, USER)) >= 5
    found = forget(workspace, USER, store=shelf)
    assert files_with(workspace.path, MARKER) == []
    assert files_with(workspace.path, USER) == []
    assert files_with(workspace.path, job_name(USER)) == []
    assert not list(workspace.path.rglob(f"*{job_name(USER)}*"))
    assert found.left == []
    assert (found.n_rows, found.n_served) == (7, 1)
    assert list(shelf.kept) == ["bo"]


def test_others_keep_what_is_theirs(lived_in: tuple[Workspace, Any]) -> None:
    workspace, shelf = lived_in
    forget(workspace, USER, store=shelf)
    run = workspace.run()
    for name in ("interactions.jsonl", "clean.jsonl", "examples.jsonl"):
        kept = [json.loads(line) for line in (run.path / name).read_text("utf-8").splitlines()]
        assert [(one["user"], one["text"]) for one in kept] == [("bo", "where is it")]
    assert "bo" in (run.path / "rejects.jsonl").read_text("utf-8")
    assert len(list((run.path / "jobs").glob(f"{job_name('bo')}*"))) == 2
    assert b"hello there" in (workspace.path / "tailorbird.db").read_bytes()


def test_reports_keep_their_figures_without_the_words(lived_in: tuple[Workspace, Any]) -> None:
    workspace, shelf = lived_in
    forget(workspace, USER, store=shelf)
    report = workspace.run().read_json("report.json")
    assert report["mistakes"][0]["text"] == "[forgotten]"
    assert report["test"]["accuracy"]["value"] == 0.5
    page = (workspace.run().path / "report.html").read_text("utf-8")
    assert "[forgotten]" in page


def test_cached_states_go_because_nobody_can_tell_whose_they_are(
    lived_in: tuple[Workspace, Any],
) -> None:
    workspace, shelf = lived_in
    forget(workspace, USER, store=shelf)
    assert not (workspace.cache_path / "trunk").exists()


def test_forgetting_twice_finds_nothing_more(lived_in: tuple[Workspace, Any]) -> None:
    workspace, shelf = lived_in
    forget(workspace, USER, store=shelf)
    again = forget(workspace, USER, store=shelf)
    assert (again.n_rows, again.n_served, again.n_files, again.n_rewritten) == (0, 0, 0, 0)


def test_what_cannot_be_removed_is_named(lived_in: tuple[Workspace, Any]) -> None:
    workspace, shelf = lived_in
    stray = workspace.path / "notes.txt"
    stray.write_text(f"call back: {MARKER}", encoding="utf-8")
    assert forget(workspace, USER, store=shelf).left == [stray]


def test_what_a_running_service_writes_meanwhile_is_waited_for(
    lived_in: tuple[Workspace, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, shelf = lived_in
    asked_by_both = "where is my blue umbrella"
    record_served(workspace, [served(USER, asked_by_both)])

    def write_late(_: float) -> None:
        record_served(workspace, [served(USER, "late words of mine"), served("bo", asked_by_both)])

    monkeypatch.setattr(time, "sleep", write_late)
    found = forget(workspace, USER, store=shelf, settle_s=1.0)
    assert (found.n_served, found.left) == (3, [])
    assert files_with(workspace.path, "late words of mine") == []
    assert files_with(workspace.path, asked_by_both) == ["tailorbird.db"]


def test_a_bundle_that_quotes_the_user_is_replaced_and_stays_live(
    lived_in: tuple[Workspace, Any], tmp_path: Path
) -> None:
    workspace, shelf = lived_in
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.json", "model.safetensors"):
        (model / name).write_text("{}", encoding="utf-8")
    (tmp_path / "report.html").write_text(f"<p>{MARKER}</p>", encoding="utf-8")
    bundle = write_bundle(
        workspace.bundles_path,
        BundleContents(
            model_folder=model,
            labels=("found", "lost"),
            templates={"found": {}, "lost": {}},
            settings={},
            report=report_with(MARKER),
            report_html=tmp_path / "report.html",
            temperature=1.0,
            threshold=0.5,
        ),
    )
    registry.publish(workspace, bundle, "first")
    found = forget(workspace, USER, store=shelf)
    new = found.bundles[bundle.id]
    live = registry.live_bundle(workspace)
    assert live is not None
    assert live.id == new != bundle.id
    assert load_bundle(workspace.bundles_path / new).report["mistakes"][0]["text"] == "[forgotten]"
    assert files_with(workspace.path, MARKER) == []
    assert not (workspace.bundles_path / bundle.id).exists()


def test_a_user_known_by_mail_is_found_under_the_code_that_cleaning_gave() -> None:
    traces = Traces("ada@example.com")
    traces.note({"user": names_of("ada@example.com")[1], "text": MARKER})
    assert traces.texts == [MARKER]


def test_words_are_found_whole_shortened_and_within_longer_ones() -> None:
    traces = Traces(USER)
    traces.note({"user": USER, "text": MARKER, "history": [{"content": "ok"}]})
    traces.note({"user": "bo", "text": "something else"})
    eraser = Eraser(traces)
    assert eraser.clean(["ok", "my quilted racco…", f"said: {MARKER}!", "look", 3]) == [
        "[forgotten]",
        "[forgotten]",
        "said: [forgotten]!",
        "look",
        3,
    ]


def test_words_in_json_and_html_are_found_too(tmp_path: Path) -> None:
    text = 'she said "早上好" & left'
    (tmp_path / "a.json").write_text(json.dumps(text), encoding="utf-8")
    (tmp_path / "b.html").write_text("she said &quot;早上好&quot; &amp; left", encoding="utf-8")
    (tmp_path / "c.txt").write_text("nothing", encoding="utf-8")
    assert [path.name for path in still_there(tmp_path, USER, [text])] == ["a.json", "b.html"]


def test_a_whole_run_forgets_a_user(
    people: Any, rated: tuple[Workspace, str, Any], tmp_path: Path
) -> None:
    workspace, name, shelf = rated
    user = "person-0003"  # of eleven characters, so that only this test looks for it everywhere
    shutil.copytree(workspace.path, tmp_path / "copy")
    kept = people.Shelf()
    kept.kept = dict(shelf.kept)
    with Workspace.open(tmp_path / "copy") as copy:
        lines_of_run = (copy.runs_path / name / "examples.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines_of_run]
        own = [row["text"] for row in rows if row["user"] == user]
        assert files_with(copy.path, user) != []
        forget(copy, user, store=kept)
        assert files_with(copy.path, user) == []
        assert [text for text in own if files_with(copy.path, text)] == []
        assert user not in kept.kept
        assert len(copy.run(name).read_json("personalise.json")["users"]) == 15


def test_adapters_of_the_store_are_files_of_numbers(rated: tuple[Workspace, str, Any]) -> None:
    _, _, shelf = rated
    assert all(isinstance(weights, AdapterWeights) for weights in shelf.kept.values())
    assert not any("user" in weights.facts for weights in shelf.kept.values())


def test_adapters_leave_every_store_of_the_workspace(
    lived_in: tuple[Workspace, Any], rated: tuple[Workspace, str, Any]
) -> None:
    workspace, shelf = lived_in
    weights = next(iter(rated[2].kept.values()))
    with AdapterStore(workspace.adapters_path / "some-run") as store:
        store.add(USER, weights)
        store.add("bo", weights)
    assert files_with(workspace.adapters_path, USER) != []
    forget(workspace, USER, store=shelf)
    assert files_with(workspace.path, USER) == []
    with AdapterStore(workspace.adapters_path / "some-run") as store:
        assert store.users() == ["bo"]
