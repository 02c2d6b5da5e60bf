"""Every task keeps the contract, refuses rows without its truth, and learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tailorbird.errors import TuningError
from tailorbird.modeling import TextModel
from tailorbird.records import Example, Span
from tailorbird.testing import check_task
from tailorbird.tuning import TuningRun, tune
from tailorbird.tuning.tasks import TASKS, encode_examples

RowsOf = Callable[[str], list[Example]]
ModelOf = Callable[..., TextModel]


@pytest.mark.parametrize("name", list(TASKS))
def test_task_keeps_the_contract(name: str, rows_of: RowsOf, tmp_path: Path) -> None:
    check_task(TASKS[name], rows_of(name)[:8], tmp_path)


def test_the_contract_finds_parts_that_do_not_add_up(rows_of: RowsOf, tmp_path: Path) -> None:
    wrong = replace(TASKS["token_classification"], counts_rows=True)
    TASKS[wrong.name], right = wrong, TASKS[wrong.name]
    try:
        with pytest.raises(AssertionError, match=r"in parts"):
            check_task(wrong, rows_of(wrong.name)[:8], tmp_path)
    finally:
        TASKS[right.name] = right


@pytest.mark.parametrize(
    ("name", "score", "least"),
    [
        ("single_label", "accuracy", 0.9),
        ("pairs", "accuracy", 0.8),
        ("binary", "f1", 0.9),
        ("multi_label", "micro_f1", 0.9),
        ("regression", "r2", 0.8),
        ("token_classification", "span_f1", 0.9),
        ("retrieval", "recall_at_1", 0.5),
        ("ranking", "ndcg_at_10", 0.9),
        ("joint", "joint", 0.9),
    ],
)
def test_task_is_learned_in_a_few_steps(
    name: str, score: str, least: float, rows_of: RowsOf, run_of: Callable[..., TuningRun]
) -> None:
    run = run_of(name)
    rows = encode_examples(run.model, rows_of(name))
    before, _ = run.task.measure(run.model, rows, run.task)
    reports = [report for report in tune(run, rows, rows) if report.event == "validation"]
    assert next(iter(reports[0].metrics)) == score
    assert max(report.metrics[score] for report in reports) >= least
    assert min(report.loss for report in reports) < before


@pytest.mark.parametrize(
    ("name", "example", "what"),
    [
        ("single_label", Example("a"), "a label"),
        ("pairs", Example("a", "same"), "a second text"),
        ("binary", Example("a"), "a label"),
        ("multi_label", Example("a", labels=("nobody",)), "the label 'nobody' is none"),
        ("regression", Example("a"), "a value"),
        ("token_classification", Example("a", spans=(Span(0, 1, "x"),)), "the label 'x' is none"),
        ("retrieval", Example(""), "a text"),
        ("retrieval", Example("a", second="b", value=4.0), "values from -1 to 1, not 4"),
        ("ranking", Example("a"), "candidates"),
        ("joint", Example("a", lacks=("labels",)), "labels or a label"),
        ("joint", Example("a", "nobody"), "the label .nobody. is none"),
    ],
)
def test_row_without_truth_is_refused(
    name: str, example: Example, what: str, model_of: ModelOf
) -> None:
    model = model_of(name)
    with pytest.raises(TuningError, match=what):
        encode_examples(model, [example])


def test_rows_without_any_span_at_all_are_refused() -> None:
    with pytest.raises(TuningError, match=r"'a': the task token_classification needs spans"):
        TASKS["token_classification"].labels([Example("a")])


@pytest.mark.parametrize(
    ("name", "tells"),
    [
        ("single_label", "3 labels"),
        ("multi_label", "2 labels, each decided on its own"),
        ("regression", "a number a row, which counts as 4 labels"),
        ("token_classification", "5 tags a word"),
        ("retrieval", "which counts as 8 labels; few rows, 0.32 times that"),
        ("ranking", "better or worse, which counts as 2 labels"),
        ("joint", "1 labels beside 3 classes"),
    ],
)
def test_the_plan_says_what_the_rate_depends_on(name: str, tells: str, model_of: ModelOf) -> None:
    from tailorbird.config import Settings
    from tailorbird.tuning import plan_tuning

    _, decisions = plan_tuning(model_of(name), 100, Settings())
    (said,) = [one for one in decisions if one.startswith("learning rate")]
    assert f", {tells})" in said


def test_frozen_layers_are_cached_with_types_and_picked_tokens(
    model_of: ModelOf, rows_of: RowsOf
) -> None:
    for name in ("token_classification", "pairs"):
        model = model_of(name)
        model.backbone.freeze(1)
        rows = encode_examples(model, rows_of(name))
        cached = model.with_trunk(rows.tokens)
        assert cached.states is not None
        torch.testing.assert_close(model.logits(cached), model.logits(rows.tokens))


def test_yes_begins_at_the_threshold_that_validation_chose(
    run_of: Callable[..., TuningRun], rows_of: RowsOf
) -> None:
    for name in ("binary", "multi_label"):
        run = run_of(name, n_epochs=2)
        rows: Any = encode_examples(run.model, rows_of(name))
        list(tune(run, rows, rows))
        first = next(iter(run.task.measure(run.model, rows, run.task)[1].values()))
        said = run.task.finish(run.model, rows_of(name))
        assert said.startswith("threshold")
        assert not torch.equal(run.model.head.thresholds, torch.tensor(0.5))
        assert next(iter(run.task.measure(run.model, rows, run.task)[1].values())) >= first


def test_the_class_that_is_looked_for_is_the_positive_one() -> None:
    labels = TASKS["binary"].labels
    assert labels([Example("", "ham"), Example("", "spam")]) == ["ham", "spam"]
    assert labels([Example("", "Yes"), Example("", "no")]) == ["no", "Yes"]
    assert labels([Example("", "Positive"), Example("", "unknown")]) == ["unknown", "Positive"]
    with pytest.raises(TuningError, match=r"two classes and finds 3: a, b, c"):
        labels([Example("", label) for label in "abc"])


def test_numbers_are_given_in_the_units_of_the_rows(model_of: ModelOf) -> None:
    rows = [Example("a", value=100.0), Example("b", value=300.0)]
    model = model_of("regression", rows)
    assert encode_examples(model, rows).targets.tolist() == [-1.0, 1.0]
    (said,) = TASKS["regression"].predict(model, [Example("c")])
    assert said["value"] == pytest.approx(200, abs=60)
    _, scores = TASKS["regression"].measure(
        model, encode_examples(model, rows), TASKS["regression"]
    )
    assert scores["mae"] == pytest.approx(100, abs=60)
