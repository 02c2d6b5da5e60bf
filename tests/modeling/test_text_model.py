"""Tokens, packing, heads, and a model that is the same after it was saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tailorbird.config import ModelSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling import TextModel, build_model, load_model, save_model
from tailorbird.modeling.heads import LinearHead
from tailorbird.modeling.packing import TokenizedTexts, inference_batches
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone
from tailorbird.weights.sources import BackboneFolder

TEXTS = ["where is my parcel", "退款", "a b c d e f", "hello there", "x"]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_backbone(tmp_path / "tiny")


@pytest.fixture
def model(tiny: Path) -> TextModel:
    torch.manual_seed(0)
    backbone = resolve_backbone(str(tiny), cache=tiny)
    return build_model(backbone, ["a", "b", "c"], settings=ModelSettings())


def test_reloaded_model_gives_the_same_logits(model: TextModel, tiny: Path, tmp_path: Path) -> None:
    model.tokenizer.prefix = "q: "
    before = model.logits(TEXTS)
    save_model(model, tmp_path / "saved", backbone=tiny)
    again = load_model(tmp_path / "saved")
    assert torch.equal(again.logits(TEXTS), before)
    assert again.labels == ("a", "b", "c")


@pytest.mark.parametrize("quick", [torch.bfloat16, torch.float32])
def test_a_model_is_asked_in_the_type_it_was_built_for_where_that_is_quick(
    quick: torch.dtype, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailorbird.hardware.compute_dtype", lambda wanted: (quick, ""))
    torch.manual_seed(0)
    backbone = resolve_backbone(str(tiny), cache=tiny)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings(dtype="bfloat16"))
    save_model(model, tmp_path / "saved", backbone=tiny)
    again = load_model(tmp_path / "saved")
    assert again.asked_in == "bfloat16"  # what is tuned further and saved is asked so, too
    assert again.backbone.compute_dtype == quick
    exact = model.logits(TEXTS)
    model.backbone.compute_dtype = quick
    assert torch.equal(again.logits(TEXTS), model.logits(TEXTS))
    assert torch.equal(again.logits(TEXTS), exact) is (quick == torch.float32)
    assert torch.allclose(again.logits(TEXTS), exact, atol=0.05)


def test_models_of_before_are_asked_in_fp32(
    model: TextModel, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailorbird.hardware.compute_dtype", lambda wanted: (torch.bfloat16, ""))
    save_model(model, tmp_path / "saved", backbone=tiny)
    facts = json.loads((tmp_path / "saved" / "model.json").read_text(encoding="utf-8"))
    del facts["dtype"]
    (tmp_path / "saved" / "model.json").write_text(json.dumps(facts), encoding="utf-8")
    assert load_model(tmp_path / "saved").backbone.compute_dtype == torch.float32


def test_saved_folder_loads_by_from_pretrained(
    model: TextModel, tiny: Path, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "saved", backbone=tiny)
    encoder = AutoModel.from_pretrained(tmp_path / "saved").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    encoded = tokenizer(["退款"], return_tensors="pt")
    with torch.no_grad():
        states = encoder(**encoded).last_hidden_state[0]
    assert torch.allclose(model.features(["退款"])[0], states.mean(0), atol=1e-5)


def test_a_text_gets_the_same_logits_alone_and_in_a_batch(model: TextModel) -> None:
    together = model.logits(TEXTS)
    for i, text in enumerate(TEXTS):
        assert torch.allclose(model.logits([text])[0], together[i], atol=1e-6)


def test_inference_leaves_training_mode_as_it_was(model: TextModel) -> None:
    model.train()
    first, second = model.logits(TEXTS), model.logits(TEXTS)
    assert torch.equal(first, second)
    assert model.training


@pytest.mark.parametrize(
    ("setting", "trained", "pooling"),
    [("auto", "cls", "cls"), ("auto", "", "mean"), ("mean", "cls", "mean")],
)
def test_pooling_follows_the_backbone_unless_set(
    tiny: Path, setting: Literal["auto", "mean"], trained: str, pooling: str
) -> None:
    backbone = BackboneFolder(tiny, "tiny", "bert", pooling=trained)
    settings = ModelSettings(pooling=setting)
    assert build_model(backbone, ["a", "b"], settings=settings).pooling == pooling


def test_long_texts_are_cut_at_max_tokens(tiny: Path) -> None:
    backbone = resolve_backbone(str(tiny), cache=tiny)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings(max_tokens=10))
    assert model.tokenizer(["abcdefghijklmnop"]).lengths == [10]


def test_max_tokens_fits_the_texts_and_never_falls_below_64(model: TextModel) -> None:
    assert model.tokenizer.fit_max_tokens(["ab"] * 10) == 64
    model.tokenizer.max_tokens = 128
    model.tokenizer.tokenizer.enable_truncation(128)
    assert model.tokenizer.fit_max_tokens(["a" * 98] * 10) == 100


def test_a_folder_without_tokenizer_json_is_refused(tiny: Path) -> None:
    from tailorbird.modeling.tokens import load_tokenizer

    (tiny / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"tokenizer\.json"):
        load_tokenizer(tiny, max_tokens=10)


def test_inference_batches_cover_each_text_once_within_the_budget() -> None:
    lengths = [5, 1, 9, 2, 2, 30]
    batches = list(inference_batches(lengths, budget_tokens=10))
    assert sorted(i for batch in batches for i in batch) == [0, 1, 2, 3, 4, 5]
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 10


def test_subset_keeps_texts_in_the_order_asked_for() -> None:
    tokens = TokenizedTexts.from_lists([[1], [2, 2], [3, 3, 3]])
    assert tokens.subset([2, 0]).take([0, 1]).token_ids.tolist() == [3, 3, 3, 1]


def test_head_from_features_separates_what_is_separable() -> None:
    torch.manual_seed(0)
    centres = torch.randn(4, 16)
    targets = torch.arange(4).repeat(20)
    features = centres[targets] + 0.3 * torch.randn(80, 16)
    head = LinearHead(16, 4).eval()
    head.start_from_features(features, targets)
    assert (head(features).argmax(-1) == targets).float().mean() > 0.97


def test_head_from_features_stands_a_class_without_rows() -> None:
    head = LinearHead(8, 3).eval()
    head.start_from_features(torch.randn(10, 8), torch.tensor([0, 1] * 5))
    assert torch.isfinite(head(torch.randn(2, 8))).all()
