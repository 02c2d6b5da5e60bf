"""``tailorbird recommend fit`` and ``compare``: files in, a model or figures out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.assistants.recommend import tea_shop
from typer.testing import CliRunner

from tailorbird.assistants.recommend.ranking.model import RecommendModel
from tailorbird.cli.recommend_fit import app
from tailorbird.errors import ConfigError


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    with (tmp_path / "items.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "title", "tags", "price"])
        for item in tea_shop.items():
            rows.writerow([item.id, item.title, "|".join(item.tags), item.features["price"]])
    with (tmp_path / "events.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "rating", "time"])
        for event in tea_shop.events():
            rows.writerow([event.user, event.item, event.value, event.time.isoformat()])
    return tmp_path


def test_fit_leaves_a_model_in_the_workspace_and_says_what_it_decided(
    shop: Path, tiny_backbone: Path
) -> None:
    files = [str(shop / "items.csv"), str(shop / "events.csv")]
    options = ["--backbone", str(tiny_backbone), "--epochs", "2", "-w", str(shop / "home")]
    done = CliRunner().invoke(app, ["fit", *files, *options, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    folder = shop / "home" / "recommend" / "model"
    assert told["folder"] == str(folder)
    assert RecommendModel.load(folder).id == told["id"]
    assert any("the ranker learns from the last" in sentence for sentence in told["decisions"])


def test_compare_prints_every_way_on_the_same_moments(shop: Path, tiny_backbone: Path) -> None:
    files = [str(shop / "items.csv"), str(shop / "events.csv")]
    options = ["--backbone", str(tiny_backbone), "--epochs", "5", "-w", str(shop / "home")]
    done = CliRunner().invoke(app, ["compare", *files, *options, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    ways = {"popularity", "als", "neighbours", "match", "all together"}
    assert set(found["ndcg_at_10"]) == ways
    assert found["n_users"] >= 8
    assert found["ndcg_at_10"]["all together"] > found["ndcg_at_10"]["popularity"]


def test_a_wrong_column_option_is_refused(shop: Path) -> None:
    files = [str(shop / "items.csv"), str(shop / "events.csv")]
    done = CliRunner().invoke(app, ["fit", *files, "--column", "title=x"])
    assert isinstance(done.exception, ConfigError)
