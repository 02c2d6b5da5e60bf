"""A bundle with a real network, loaded by a freshly started process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tailorbird.bundle import BundleContents, load_bundle, write_bundle
from tailorbird.config import ModelSettings
from tailorbird.modeling import build_model, save_model
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone

TEXTS = ["where is my parcel", "退款", "我的包裹还没到", "a b c", ""]

LOAD_AND_ANSWER = """
import json, sys
from tailorbird.bundle import load_bundle
bundle = load_bundle(sys.argv[1])
assert "torch" not in sys.modules, "loading a bundle should not load torch"
texts = json.loads(sys.argv[2])
confidences = [prediction.confidence for prediction in bundle.predict(texts)]
print(json.dumps([bundle.id, bundle.classifier.logits(texts).tolist(), confidences]))
"""


def test_a_fresh_process_gives_the_logits_of_the_tuned_model(tmp_path: Path) -> None:
    tiny = write_tiny_backbone(tmp_path / "tiny")
    torch.manual_seed(0)
    backbone = resolve_backbone(str(tiny), cache=tmp_path)
    model = build_model(backbone, ["refund", "shipping", "other"], settings=ModelSettings())
    before = model.logits(TEXTS)
    save_model(model, tmp_path / "model", backbone=tiny)
    contents = BundleContents(
        tmp_path / "model", model.labels, {}, {}, {}, temperature=1.5, threshold=0.5
    )
    bundle = write_bundle(tmp_path / "bundles", contents)
    finished = subprocess.run(
        [sys.executable, "-c", LOAD_AND_ANSWER, str(bundle.path), json.dumps(TEXTS)],
        capture_output=True,
        text=True,
        check=True,
    )
    bundle_id, logits, confidences = json.loads(finished.stdout)
    assert bundle_id == bundle.id
    assert np.abs(np.array(logits) - before.numpy()).max() < 1e-5
    expected = torch.softmax(before / 1.5, -1).max(-1).values
    assert confidences == pytest.approx(expected.tolist(), abs=1e-6)
    here = load_bundle(bundle.path).predict(TEXTS)
    assert [prediction.confidence for prediction in here] == pytest.approx(confidences, abs=1e-6)
