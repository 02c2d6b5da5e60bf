"""Encoders are found by name, remembered, and told from each other by their weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tailorbird.config import ModelSettings
from tailorbird.errors import KnowledgeError, WeightsError
from tailorbird.hardware import compute_dtype
from tailorbird.knowledge import open_encoder
from tailorbird.modeling import build_model, save_model
from tailorbird.modeling.heads import HeadSpec
from tailorbird.store import Workspace
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import BackboneFolder

TEXTS = ["where is my parcel", "我的包裹到哪了", "refund"]


@pytest.fixture
def e5_like(tmp_path: Path) -> Path:
    """A tiny backbone that wants prefixes, and names them as sentence-transformers does."""
    folder = write_tiny_backbone(tmp_path / "e5-like")
    prompts = {"prompts": {"query": "query: ", "passage": "passage: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts), "utf-8")
    return folder


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(
    workspace: Workspace, tiny_backbone: Path
) -> None:
    encoder = open_encoder(workspace, str(tiny_backbone))
    together = encoder.embed(TEXTS * 9, is_query=False)
    assert together.shape == (27, 32)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.concatenate([encoder.embed([text], is_query=False) for text in TEXTS])
    np.testing.assert_allclose(together[:3], alone, atol=1e-5)
    assert encoder.embed([], is_query=True).shape[0] == 0


def test_questions_and_passages_have_prefixes_of_their_own(
    workspace: Workspace, e5_like: Path, tmp_path: Path
) -> None:
    plain = write_tiny_backbone(tmp_path / "plain")
    without = open_encoder(workspace, str(plain))
    encoder = open_encoder(workspace, str(e5_like))
    for is_query, prefix in ((True, "query: "), (False, "passage: ")):
        np.testing.assert_allclose(
            encoder.embed(["parcel"], is_query=is_query),
            without.embed([f"{prefix}parcel"], is_query=False),
            atol=1e-6,
        )


def test_the_hash_is_of_the_weights_and_of_how_they_are_used(
    workspace: Workspace, tmp_path: Path, e5_like: Path
) -> None:
    one = write_tiny_backbone(tmp_path / "one")
    copy = Path(shutil.copytree(one, tmp_path / "copy"))
    other = write_tiny_backbone(tmp_path / "other", seed=1)
    hashes = [open_encoder(workspace, str(folder)).hash for folder in (one, copy, other, e5_like)]
    assert hashes[0] == hashes[1]
    assert len({*hashes}) == 3
    assert all(len(found) == 64 for found in hashes)


def test_the_encoder_named_last_is_remembered(workspace: Workspace, tiny_backbone: Path) -> None:
    named = open_encoder(workspace, str(tiny_backbone))
    assert open_encoder(workspace).hash == named.hash


def test_an_encoder_that_is_not_there_is_not_remembered(
    workspace: Workspace, tiny_backbone: Path
) -> None:
    named = open_encoder(workspace, str(tiny_backbone))
    with pytest.raises(WeightsError, match="neither an embedded model, a folder, nor a hub name"):
        open_encoder(workspace, "nowhere")
    assert open_encoder(workspace).hash == named.hash


def test_a_damaged_choice_is_said(workspace: Workspace) -> None:
    (workspace.path / "knowledge.json").write_text("[]", "utf-8")
    with pytest.raises(KnowledgeError, match=r"knowledge.json: does not name an encoder"):
        open_encoder(workspace)


def test_a_tuned_model_embeds_as_it_was_tuned(
    workspace: Workspace, tiny_backbone: Path, tmp_path: Path
) -> None:
    backbone = BackboneFolder(
        tiny_backbone, "tiny", "bert", "query: ", pooling="mean", passage_prefix="passage: "
    )
    spec = HeadSpec(task="retrieval", name="embedding")
    model = build_model(backbone, (), settings=ModelSettings(), spec=spec).eval()
    save_model(model, tmp_path / "run" / "model", backbone=tiny_backbone)
    encoder = open_encoder(workspace, str(tmp_path / "run"))
    tokens = model.tokenizer.searched(["parcel"], ["我的包裹"])
    wanted = model.logits(tokens).numpy()

    def found() -> np.ndarray:
        asked, given = encoder.embed(["parcel"], is_query=True), ["我的包裹"]
        return np.concatenate([asked, encoder.embed(given, is_query=False)])

    assert encoder.model.backbone.compute_dtype == compute_dtype()[0]  # what is quick here
    cosines = (found() * wanted).sum(1)
    assert (cosines > 0.999).all()  # whatever it is
    encoder.model.backbone.compute_dtype = torch.float32
    np.testing.assert_allclose(found(), wanted, atol=1e-6)
    assert encoder.hash != open_encoder(workspace, str(tiny_backbone)).hash
