"""Queries find their passages: negatives, prefixes, texts alone, similarities."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tailorbird.config import LossSettings, MethodSettings, ModelSettings, Settings
from tailorbird.errors import ConfigError
from tailorbird.modeling import TextModel, build_model, load_model, save_model
from tailorbird.records import Candidate, Example
from tailorbird.testing import write_tiny_backbone
from tailorbird.tuning import TuningRun, plan_tuning, tune
from tailorbird.tuning.tasks import TASKS, encode_examples
from tailorbird.tuning.tasks.retrieval import ranks_of
from tailorbird.weights import resolve_backbone

ModelOf = Callable[..., TextModel]
RunOf = Callable[..., TuningRun]
TASK = TASKS["retrieval"]
PAIRS = [Example("a b", second="c"), Example("d", second="e f"), Example("g", second="c")]


def unit(rows: list[list[float]]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=-1)


def test_the_same_passage_is_no_negative_of_another_query(model_of: ModelOf) -> None:
    rows = TASK.encode(model_of("retrieval"), PAIRS)
    outputs = unit([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0.1], [1, 0]])
    settings = LossSettings(temperature=1.0)
    found = TASK.loss("mnrl")(outputs, rows.truth([0, 1, 2]), settings)
    by_hand = []
    for i, passages in ((0, [0, 1]), (1, [1, 0, 2]), (2, [2, 1])):
        cosines = torch.stack([outputs[2 * i] @ outputs[2 * j + 1] for j in passages])
        by_hand.append(-cosines.log_softmax(0)[0])
    torch.testing.assert_close(found, torch.stack(by_hand).mean())
    both = TASK.loss("mnrl_symmetric")(outputs, rows.truth([0, 1, 2]), settings)
    assert both.item() != pytest.approx(found.item())


def test_ranks_are_over_all_passages_and_ties_stand_before() -> None:
    queries = unit([[1, 0], [1, 0], [0, 1]])
    passages = unit([[1, 0.1], [0, 1], [0.1, 1]])
    identities = torch.tensor([0, 3, 1, 4, 2, 5])
    assert ranks_of(queries, passages, identities).tolist() == [1, 3, 2]
    of_one_query = torch.tensor([0, 3, 0, 4, 2, 5])  # two passages are right for it
    assert ranks_of(queries, passages, of_one_query).tolist() == [1, 1, 2]
    once = torch.tensor([0, 3, 1, 3, 2, 5])  # a passage given twice is one, as it stands first
    assert ranks_of(queries, passages, once).tolist() == [1, 1, 1]
    passages[1] = passages[0]
    assert ranks_of(queries, passages, identities).tolist() == [2, 2, 1]


def test_texts_alone_are_learned_from_dropout_and_refused_without(run_of: RunOf) -> None:
    texts = [Example(text) for text in ("where is it", "refund please", "hello you", "bye")]
    run = run_of("retrieval", n_epochs=8)
    rows = encode_examples(run.model, texts)
    with pytest.raises(ConfigError, match=r"set model\.encoder_dropout=0\.1"):
        next(tune(run, rows, rows))
    run = run_of("retrieval", n_epochs=8, dropout=0.1)
    losses = [report.loss for report in tune(run, rows, rows) if report.event == "step"]
    assert losses[0] > 0
    assert losses[-1] < losses[0]


def test_similarities_are_learned_by_cosine_and_measured_by_rank(run_of: RunOf) -> None:
    pairs = [("a a", "a", 1.0), ("b", "a c", 0.0), ("c d", "c", 0.8), ("e f", "g", -0.5)]
    rows = [Example(first, second=second, value=value) for first, second, value in pairs]
    run = run_of("retrieval")
    encoded = encode_examples(run.model, rows)
    with pytest.raises(ConfigError, match=r"use loss\.name=cosine"):
        next(tune(run, encoded, encoded))
    run = run_of("retrieval", loss="cosine")
    reports = [one for one in tune(run, encoded, encoded) if one.event == "validation"]
    assert reports[-1].loss < reports[0].loss
    assert max(report.metrics["spearman"] for report in reports) >= 0.8
    encoded = encode_examples(run.model, PAIRS)
    run = run_of("retrieval", loss="cosine")
    with pytest.raises(ConfigError, match=r"cosine needs a value in every row"):
        next(tune(run, encoded, encoded))


def test_queries_and_passages_keep_their_own_prefixes(tiny: Path, tmp_path: Path) -> None:
    found = resolve_backbone(str(tiny), cache=tiny)
    backbone = dataclasses.replace(found, query_prefix="q: ", passage_prefix="p: ")
    model = build_model(backbone, [], settings=ModelSettings(), spec=TASK.spec)
    rows = TASK.encode(model, PAIRS[:1])
    ids = [model.tokenizer.tokenizer.encode(text).ids for text in ("q: a b", "p: c")]
    assert rows.batch([0]).token_ids.tolist() == ids[0] + ids[1]
    save_model(model, tmp_path / "saved", backbone=tiny)
    again = load_model(tmp_path / "saved")
    assert again.tokenizer.passage_prefix == "p: "
    torch.testing.assert_close(again.logits(rows.tokens), model.logits(rows.tokens))


def test_passage_prefixes_are_those_of_the_prompts_or_of_e5(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my-e5-small"
    folder.mkdir()
    for path in tiny.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert resolve_backbone(str(folder), cache=tmp_path).passage_prefix == "passage: "
    prompts = {"prompts": {"query": "search_query: ", "document": "search_document: "}}
    kept = folder / "config_sentence_transformers.json"
    kept.write_text(json.dumps(prompts))
    assert resolve_backbone(str(folder), cache=tmp_path).passage_prefix == "search_document: "
    kept.write_text('{"prompts": {"query": "ask: "}}')
    assert resolve_backbone(str(folder), cache=tmp_path).passage_prefix == ""


@pytest.mark.parametrize(
    ("name", "what"), [("head", "tunes the head alone"), ("lorra", "is no way of tuning")]
)
def test_a_head_without_weights_is_not_tuned_alone(name: str, what: str, model_of: ModelOf) -> None:
    with pytest.raises(ConfigError, match=what):
        plan_tuning(model_of("retrieval"), 10, Settings(method=MethodSettings(name=name)))


@pytest.mark.parametrize(("n_rows", "batch_size"), [(40, 10), (150, 37), (1000, 64), (5000, 64)])
def test_rows_that_are_compared_share_large_batches_of_any_lengths(
    n_rows: int, batch_size: int, model_of: ModelOf
) -> None:
    plan, decisions = plan_tuning(model_of("retrieval"), n_rows, Settings())
    assert plan.batch_size == batch_size
    assert f"batch size: {batch_size} ({n_rows:,} training rows, each compared" in str(decisions)
    batches = plan.batches(range(n_rows), epoch=0)
    assert sorted(row for batch in batches for row in batch) == list(range(n_rows))
    assert min(max(batch) - min(batch) for batch in batches) > n_rows / 2
    alone, _ = plan_tuning(model_of("single_label"), n_rows, Settings())
    of_like_length = [max(batch) - min(batch) for batch in alone.batches(range(5000), epoch=0)]
    assert min(of_like_length) < 500


def test_deep_models_keep_fewer_layers_as_pretrained_where_texts_are_compared(
    tmp_path: Path,
) -> None:
    folder = write_tiny_backbone(tmp_path, n_layers=12)
    backbone = resolve_backbone(str(folder), cache=tmp_path)
    found = {}
    for name, labels in (("retrieval", []), ("single_label", ["a", "b"])):
        spec = TASKS[name].spec
        model = build_model(backbone, labels, settings=ModelSettings(), spec=spec)
        plan, decisions = plan_tuning(model, 1000, Settings())
        found[name] = plan.n_frozen
        assert f"frozen layers: {plan.n_frozen} (the lower" in str(decisions)
    assert found == {"retrieval": 4, "single_label": 6}


def test_answers_are_similarities_of_pairs_and_vectors_of_texts(model_of: ModelOf) -> None:
    pair, alone = TASK.predict(model_of("retrieval"), [PAIRS[0], Example("a b")])
    assert -1 <= pair["similarity"] <= 1.0001
    assert len(alone["embedding"]) == 32
    assert sum(x * x for x in alone["embedding"]) == pytest.approx(1, abs=1e-5)


def test_hard_negatives_are_negatives_of_every_query_but_those_they_answer(
    model_of: ModelOf,
) -> None:
    model = model_of("retrieval")
    pairs = [
        Example("a b", second="c", candidates=(Candidate("e f", 0.0), Candidate("x", 0.0))),
        Example("d", second="e f"),
    ]
    rows = TASK.encode(model, pairs)
    assert rows.lengths == [
        sum(map(len, map(model.tokenizer.tokenizer.encode, texts)))
        for texts in (["a b", "c", "e f", "x"], ["d", "e f"])
    ]
    outputs = unit([[1, 0], [1, 0.2], [0.5, 1], [0, 1], [1, 1], [1, 0.5]])
    found = TASK.loss("mnrl")(outputs, rows.truth([0, 1]), LossSettings(temperature=1.0))
    by_hand = []
    for query, own, others in ((0, 1, [2, 3, 5]), (4, 5, [1, 3])):  # 2 says what 5 says
        cosines = torch.stack([outputs[query] @ outputs[j] for j in (own, *others)])
        by_hand.append(-cosines.log_softmax(0)[0])
    torch.testing.assert_close(found, torch.stack(by_hand).mean())
    loss, scores = TASK.measure(model, rows, TASK)
    assert loss > 0
    assert set(scores) == {"recall_at_1", "recall_at_10", "mrr"}


def test_a_batch_with_hard_negatives_is_learned(run_of: RunOf) -> None:
    run = run_of("retrieval", n_epochs=8)
    hard = (Candidate("hello hello", 0.0),)
    pairs = [Example(text, second=text[::-1], candidates=hard) for text in ("where", "refund")]
    rows = encode_examples(run.model, pairs)
    losses = [report.loss for report in tune(run, rows, rows) if report.event == "step"]
    assert losses[-1] < losses[0]
