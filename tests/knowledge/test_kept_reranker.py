"""The reranker that a workspace remembers puts what is found into order, in every process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.config import ModelSettings
from tailorbird.errors import KnowledgeError
from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.kept_reranker import CHOICE, KeptReranker, chosen_reranker, use_reranker
from tailorbird.knowledge.own_support import OwnSupport, open_base
from tailorbird.knowledge.reranking import TunedReranker
from tailorbird.modeling import build_model, save_model
from tailorbird.store import Workspace
from tailorbird.testing.encoder import WordEncoder
from tailorbird.tuning.tasks import find_task
from tailorbird.weights import resolve_backbone

DOCUMENT = b"# Tea\n\nTea is hot.\n\n# Ice\n\nIce is cold.\n\n# Soup\n\nSoup is hot, too.\n"


@pytest.fixture(scope="module")
def folder(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reranker that knows nothing, and is deterministic."""
    backbone = resolve_backbone(str(tiny_backbone), cache=tiny_backbone)
    spec = find_task("ranking").spec
    model = build_model(backbone, [], settings=ModelSettings(), spec=spec).eval()
    made = tmp_path_factory.mktemp("models") / "reranker"
    save_model(model, made, backbone=tiny_backbone)
    return made


@pytest.fixture
def base(workspace: Workspace, encoder: WordEncoder) -> KnowledgeBase:
    made = KnowledgeBase(workspace, encoder, reranker=KeptReranker(workspace))
    made.add("kitchen.md", DOCUMENT)
    return made


def test_searches_follow_the_choice_without_being_opened_anew(
    base: KnowledgeBase, folder: Path
) -> None:
    before = base.search("what is hot?", k=3)
    use_reranker(base.workspace, folder)
    after = base.search("what is hot?", k=3)
    assert {one.id for one in before} == {one.id for one in after}
    expected = TunedReranker.load(folder).scores("what is hot?", [one.text for one in after])
    assert [one.score for one in after] == pytest.approx(expected, abs=1e-4)
    assert expected == sorted(expected, reverse=True)
    assert [one.cosine for one in base.search("what is hot?", k=3, reranks=False)] == [
        one.cosine for one in before
    ]
    use_reranker(base.workspace, None)
    assert base.search("what is hot?", k=3) == before


def test_the_choice_is_that_of_every_process(workspace: Workspace, folder: Path) -> None:
    mine, theirs = KeptReranker(workspace), KeptReranker(workspace)
    assert not mine
    use_reranker(workspace, folder)
    assert mine
    assert theirs
    assert mine.scores("a", ["b", "c"]) == theirs.scores("a", ["b", "c"])
    assert json.loads((workspace.path / CHOICE).read_text("utf-8")) == {"reranker": str(folder)}


def test_a_base_is_opened_with_what_its_workspace_remembers(
    workspace: Workspace, folder: Path
) -> None:
    use_reranker(workspace, folder)
    base, _ = open_base(workspace)
    assert base.reranker
    use_reranker(workspace, None)
    assert not base.reranker


def test_a_reranker_that_is_gone_leaves_the_order_of_the_search(
    base: KnowledgeBase, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(folder)
    before = base.search("what is hot?", k=3)
    use_reranker(base.workspace, moved)
    moved.unlink()
    assert base.search("what is hot?", k=3) == before
    assert "the reranker is gone" in caplog.text


def test_what_is_no_reranker_is_refused(
    workspace: Workspace, tiny_backbone: Path, tmp_path: Path
) -> None:
    with pytest.raises(KnowledgeError, match="holds no tuned model"):
        use_reranker(workspace, tmp_path)
    backbone = resolve_backbone(str(tiny_backbone), cache=tiny_backbone)
    other = build_model(backbone, ["a", "b"], settings=ModelSettings())
    save_model(other, tmp_path / "other", backbone=tiny_backbone)
    with pytest.raises(KnowledgeError, match="was tuned for the task single_label"):
        use_reranker(workspace, tmp_path / "other")
    assert chosen_reranker(workspace.path) is None
    (workspace.path / CHOICE).write_text("{}", "utf-8")
    with pytest.raises(KnowledgeError, match="does not name a reranker"):
        chosen_reranker(workspace.path)


def test_support_is_fitted_to_the_search_without_it(base: KnowledgeBase) -> None:
    class Counts:
        n_calls = 0

        def scores(self, question: str, texts: Sequence[str]) -> list[float]:
            self.n_calls += 1
            return [0.0] * len(texts)

    base.reranker = counts = Counts()
    OwnSupport(base)._unjudged("what is hot?", 3)
    assert counts.n_calls == 0
    base.search("what is hot?")
    assert counts.n_calls == 1


def test_the_verb_shows_chooses_and_puts_aside(workspace: Workspace, folder: Path) -> None:
    place = ["--workspace", str(workspace.path)]

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["knowledge", "reranker", *words, *place, "--json"])
        assert done.exit_code == 0, done.output
        return str(json.loads(done.stdout)["reranker"])

    assert said() == ""
    assert said(str(folder)) == str(folder)
    assert said() == str(folder)
    assert said("none") == ""
    shown = CliRunner().invoke(app, ["knowledge", "reranker", *place])
    assert "no reranker is in use" in shown.stderr
