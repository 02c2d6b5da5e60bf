"""``tailorbird recommend``: items and events in, lists out, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.assistants.recommend.live_fakes import ITEMS, TagModel, posted, recommender_in
from typer.testing import CliRunner, Result

from tailorbird.assistants.recommend import opening
from tailorbird.assistants.recommend.live import Recommender, Wish
from tailorbird.assistants.recommend.ranking.model import RecommendModel
from tailorbird.assistants.recommend.seam import Scored
from tailorbird.cli.recommend import app
from tailorbird.errors import ConfigError, DataError, UnavailableError

GOODS = """id,title,genres,price
a,Tea one,tea,3
b,Tea two,tea,4
c,羊毛,wool,9
bare,,,
"""
EVENTS = """customer,sku,action,ts
ada,a,buy,2026-03-01T10:00:00+08:00
ada,c,click,2026-03-01T11:00:00+08:00
bo,gone,click,2026-03-02T11:00:00Z
bo,b,stares at,2026-03-02T11:00:00Z
li@example.com,b,click,2026-03-02T11:00:00Z
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files, and a workspace in which a small model was fitted."""
    (tmp_path / "items.csv").write_text(GOODS, encoding="utf-8")
    (tmp_path / "events.csv").write_text(EVENTS, encoding="utf-8")
    monkeypatch.setenv("TAILORBIRD_WORKSPACE", str(tmp_path / "space"))

    def follow(recommender: Recommender) -> bool:
        recommender.replace(TagModel("m-1"))
        return True

    monkeypatch.setattr(opening, "follow_model", follow)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def run_json(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def test_items_and_events_are_kept_once_and_bad_rows_are_counted(folder: Path) -> None:
    items, events = str(folder / "items.csv"), str(folder / "events.csv")
    facts = run_json("items", items)
    assert (facts["n_new"], facts["n_without_text"], facts["n_rejected"]) == (4, 1, 0)
    assert run_json("items", items)["n_unchanged"] == 4
    facts = run_json("events", events)
    assert (facts["n_new"], facts["n_rejected"], facts["unknown_items"]) == (4, 1, ["gone"])
    assert run_json("events", events)["n_known"] == 4
    said = run("events", events).output
    assert "events: 0 new, 4 known before" in said
    assert "of 1 items that are not here yet (first: gone)" in said
    assert "1 bad rows were left out" in said


def test_what_a_file_does_not_have_any_more_is_withdrawn(folder: Path) -> None:
    items = folder / "items.csv"
    run_json("items", str(items))
    items.write_text("\n".join(GOODS.splitlines()[:3]), encoding="utf-8")
    assert run_json("items", str(items))["n_withdrawn"] == 0
    assert run_json("items", str(items), "--withdraw-others")["n_withdrawn"] == 2


def test_a_list_says_why_and_a_batch_makes_them_all(folder: Path) -> None:
    run("items", str(folder / "items.csv"))
    run("events", str(folder / "events.csv"))
    told = run_json("list", "ada", "-n", "2")
    assert [one["item"] for one in told["items"]] == ["b", "c"]
    assert told["items"][0]["reason"]["text"] == "Because you liked “Tea one”"
    said = run("list", "nobody-yet", "--language", "zh").output
    assert "for nobody-yet (nobody has seen them yet), by model m-1" in said
    assert "最近很受欢迎" in said
    assert "user-" not in run("list", "li@example.com").output
    assert run_json("list", "li@example.com", "-n", "1")["items"][0]["reason"]["kind"] == "liked"
    told = run_json("batch")
    assert told == {"n_made": 3, "n_kept": 0, "model": "m-1", "n_old_deleted": 0}
    assert "0 made, 3 still fresh" in run("batch").output


def test_another_model_is_judged_by_what_was_drawn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is shown a fifth kind of tea takes it; the other model would always show that."""
    with recommender_in(folder / "space", explore_positions=1, explore_pool=3) as recommender:
        for n in range(300):
            listing = recommender.recommend(Wish(user=f"u{n % 60}", n=3))
            (drawn,) = [one.scored.item for one in listing.choices if one.is_explored]
            if drawn == "tea-4":
                recommender.take(
                    [posted(f"u{n % 60}", drawn, id=str(n), impression=listing.impression)]
                )

    class Tea4(TagModel):
        def scores(self, user: str | None, history: Any, **wish: Any) -> list[Scored]:
            found = super().scores(user, history, **wish)
            return sorted(found, key=lambda one: one.item != "tea-4")

    monkeypatch.setattr(RecommendModel, "load", lambda path, cache: Tea4("other", ITEMS))
    told = run_json("judge", str(folder))
    assert (told["model"], told["n_lists"], told["n_decisions"]) == ("other", 300, 300)
    assert told["support"]["is_enough"]
    assert told["snips"]["value"] == pytest.approx(1.0)
    assert told["gain"]["low"] > 0
    said = run("judge", str(folder), "--since", "2026-01-01").stdout
    assert "doubly robust" in said
    assert "better than what was shown: +0." in said
    late = run("judge", str(folder), "--since", "2030-01-01")
    assert isinstance(late.exception, DataError)


def test_a_fit_without_files_needs_a_workspace_with_some(folder: Path) -> None:
    done = run("fit")
    assert isinstance(done.exception, DataError)
    assert "has 0 items and 0 events" in str(done.exception)


def test_what_cannot_be_done_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run("list", "ada", "--language", "fr").exception, ConfigError)
    done = run("items", str(folder / "items.csv"), "--column", "title")
    assert isinstance(done.exception, ConfigError)
    done = run("events", str(folder / "items.csv"))
    assert isinstance(done.exception, DataError)
    monkeypatch.setattr(opening, "follow_model", lambda recommender: False)
    done = run("batch")
    assert isinstance(done.exception, UnavailableError)
    assert "tailorbird recommend fit" in str(done.exception)


def test_settings_of_the_service_are_those_of_the_verbs(folder: Path) -> None:
    run("items", str(folder / "items.csv"))
    run("events", str(folder / "events.csv"))
    config = folder / "shop.toml"
    config.write_text("[recommend]\nn_history = 1\n", encoding="utf-8")
    reason = run_json("list", "ada", "-n", "1")["items"][0]["reason"]
    assert reason["kind"] == "liked"  # for the tea that she bought first
    reason = run_json("list", "ada", "-n", "1", "--config", str(config))["items"][0]["reason"]
    assert reason["kind"] == "popular"  # of the wool that she saw last there is no other
    refused = run("batch", "--set", "recommend.n_histori=1")
    assert isinstance(refused.exception, ConfigError)
    with recommender_in(folder / "space") as recommender:
        recommender.recommend(Wish(user="ada"))  # in March 2026
    far = {"recommend.keep_lists_days=1", "recommend.explore_days=1"}
    told = run_json("batch", *(word for one in sorted(far) for word in ("--set", one)))
    assert told["n_old_deleted"] == 1
