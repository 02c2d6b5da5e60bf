"""Two heads over one trunk: rows lack a part, and each part has its own loss and scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tailorbird.data.tasks import load_rows
from tailorbird.modeling import TextModel
from tailorbird.records import Example
from tailorbird.tuning.tasks import TASKS, encode_examples
from tailorbird.tuning.tasks.joint import labels_of, losses_of_parts

ModelOf = Callable[..., TextModel]
ROWS = [
    Example("a", "bad", labels=("price", "size")),
    Example("b", "good", lacks=("labels",)),
    Example("c", labels=("price",)),
    Example("d", "bad"),
]


def test_what_a_row_lacks_has_no_loss() -> None:
    truth = torch.tensor([[1, 0, 1], [-1, -1, 0], [0, 1, -1]])
    of_labels, of_class = losses_of_parts(torch.zeros(3, 2 + 4), truth)
    assert of_labels.tolist() == pytest.approx([2 * math.log(2), 0, 2 * math.log(2)])
    assert of_class.tolist() == pytest.approx([math.log(4), math.log(4), 0])


def test_a_row_without_labels_has_none_unless_it_lacks_them(model_of: ModelOf) -> None:
    model = model_of("joint", ROWS)
    assert model.labels == ("labels:price", "labels:size", "label:bad", "label:good")
    assert encode_examples(model, ROWS).targets.tolist() == [
        [1, 1, 0],
        [-1, -1, 1],
        [1, 0, -1],
        [0, 0, 0],
    ]


def test_a_label_and_a_class_of_one_name_are_two(model_of: ModelOf) -> None:
    rows = [Example("a", "price", labels=("price",)), Example("b", "size")]
    assert labels_of(rows) == ["labels:price", "label:price", "label:size"]
    assert encode_examples(model_of("joint", rows), rows).targets.tolist() == [[1, 0], [0, 1]]


def test_scores_are_those_of_the_parts_that_rows_have(model_of: ModelOf) -> None:
    model, task = model_of("joint", ROWS), TASKS["joint"]
    rows = encode_examples(model, ROWS)
    outputs = torch.tensor([[9.0, -9, 9, -9], [9, 9, 9, -9], [9, 9, 9, -9], [-9, -9, 9, -9]])
    found = task.scores(outputs, rows.truth(range(4)), model)
    assert found["accuracy"] == pytest.approx(2 / 3)  # rows a, b, d
    assert found["micro_f1"] == pytest.approx(
        2 / 3
    )  # rows a, c, d: two right, one missed, one wrong
    assert found["joint"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    alone = task.scores(outputs[1:2], rows.truth([1]), model)
    assert "micro_f1" not in alone
    assert alone["joint"] == alone["accuracy"] == 0.0


def test_the_class_starts_from_features_and_the_labels_do_not(model_of: ModelOf) -> None:
    model = model_of("joint", ROWS)
    before = model.head.linear.weight.clone()
    rows = encode_examples(model, ROWS)
    model.head.start_from_features(model.features(rows.tokens), rows.targets)
    assert torch.equal(model.head.linear.weight[:2], before[:2])
    assert not torch.equal(model.head.linear.weight[2:], before[2:])


def test_rows_are_read_with_either_part_or_both(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"text": "a", "topics": ["x", "y"], "sentiment": "good"}\n'
        '{"text": "b", "topics": null, "sentiment": "bad", "entity": "B"}\n'
        '{"text": "c", "topics": []}\n'
        '{"text": "d"}\n'
        '{"text": "e", "topics": ["x"], "sentiment": null}\n',
        encoding="utf-8",
    )
    rejects: list[object] = []
    rows = load_rows(path, "joint", split=None, on_reject=rejects.append).examples
    assert [(r.labels, r.label, r.lacks, r.second) for r in rows] == [
        (("x", "y"), "good", (), ""),
        ((), "bad", ("labels",), "B"),
        ((), "", (), ""),
        (("x",), "", (), ""),
    ]
    assert len(rejects) == 1
