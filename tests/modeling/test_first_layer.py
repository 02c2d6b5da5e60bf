"""States of the first layer, heard in the pass that gives the logits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tailorbird.config import MethodSettings, ModelSettings
from tailorbird.modeling import TextModel, adapters, build_model
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone

TEXTS = ["where is my parcel", "退款", "a b c", "hi there you"]


@pytest.fixture
def model(tiny_backbone: Path, tmp_path: Path) -> TextModel:
    torch.manual_seed(0)
    folder = resolve_backbone(str(tiny_backbone), cache=tmp_path)
    return build_model(folder, ["a", "b", "c"], settings=ModelSettings())


def test_outputs_are_logits_features_and_the_first_layer_of_one_pass(
    model: TextModel, tiny_backbone: Path
) -> None:
    logits, states = model.outputs(TEXTS)
    assert torch.equal(logits, model.logits(TEXTS))
    assert torch.equal(states[:, 0], model.features(TEXTS))
    assert torch.allclose(model.classify(states[:, 0]), logits, atol=1e-6)
    hub, tokenizer = (
        AutoModel.from_pretrained(tiny_backbone),
        AutoTokenizer.from_pretrained(tiny_backbone),
    )
    for text, state in zip(TEXTS, states[:, 1], strict=True):
        with torch.no_grad():
            found = hub(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
        assert torch.allclose(state, found.hidden_states[1][0].mean(0), atol=1e-5)
    assert not model.backbone.layers[0]._forward_hooks


def test_of_no_texts_there_are_no_outputs(model: TextModel) -> None:
    logits, _ = model.outputs([])
    assert len(logits) == 0


def test_rows_that_stand_before_a_text_hide_the_first_layer(model: TextModel) -> None:
    adapters.attach(model.backbone, MethodSettings(name="prompt", n_prefix=3))
    logits, states = model.outputs(TEXTS)
    assert (logits.shape, states.shape) == ((4, 3), (4, 1, 32))


def test_a_backbone_of_one_layer_has_no_other_to_hear(tmp_path: Path) -> None:
    folder = resolve_backbone(
        str(write_tiny_backbone(tmp_path / "one", n_layers=1)), cache=tmp_path
    )
    model = build_model(folder, ["a", "b"], settings=ModelSettings())
    assert model.outputs(TEXTS)[1].shape == (4, 1, 32)
