"""A bundle with a scope score: what it says of a text, with and without users' adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tailorbird.bundle import AdapterStore, Bundle, BundleContents, load_bundle, write_bundle
from tailorbird.bundle.personal import PersonalBundle
from tailorbird.config import MethodSettings, ModelSettings
from tailorbird.errors import CorruptBundleError
from tailorbird.modeling import TextModel, adapters, build_model, load_model, save_model
from tailorbird.modeling.adapters.weights import AdapterWeights, trunk_hash
from tailorbird.scope import FACTS, WEIGHTS, Distance, Known, ScopeScorer, unit
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone

from .conftest import KeywordClassifier
from .test_loading import seal

LABELS = ("greeting", "refund", "shipping")
KNOWN = ["hello there", "give my money back", "where is my parcel"]
STRANGE = ["play the piano", "您会弹钢琴吗"]


def by_distance(states: Any, threshold: float) -> ScopeScorer:
    """In scope is what lies on one of *states* (N, K, D), each a class of its own."""
    places = np.asarray(states, np.float32)
    layers = tuple(
        Distance(np.eye(places.shape[2], dtype=np.float32), unit(places[:, k]))
        for k in range(places.shape[1])
    )
    n_signals = 1 + len(layers)
    steep = np.array([0.0] + [20.0] * len(layers), np.float32)
    ones = np.ones(n_signals, np.float32)
    known = Known(layers, np.zeros((0, places.shape[2]), np.float32))
    return ScopeScorer(known, 0 * ones, ones, steep, 3.0, threshold)


class KeywordModel(KeywordClassifier):
    """Its states are how many of each letter a text has."""

    def outputs(self, texts: Sequence[str]) -> tuple[Any, Any]:
        states = [[text.count(letter) for letter in "aeionrsty"] for text in texts]
        return self.logits(texts), np.array(states, np.float32)[:, None]


def test_the_score_decides_and_not_the_confidence(
    tmp_path: Path, contents: Callable[..., BundleContents]
) -> None:
    scorer = by_distance(KeywordModel().outputs(KNOWN)[1], 0.5)
    made = write_bundle(tmp_path, contents(scope=scorer.to_files()))
    served = load_bundle(made.path, load_model=lambda _: KeywordModel())
    (known, sure_of_a_stranger, unsure) = served.predict(
        ["hello there", "hello, hello: zzzz aaaa tttt", "where is my parcel"]
    )
    assert known.in_scope
    assert known.scope_score > 0.7
    assert sure_of_a_stranger.confidence == known.confidence > served.threshold
    assert not sure_of_a_stranger.in_scope
    assert sure_of_a_stranger.scope_score < 0.5
    assert unsure.in_scope


def test_a_bundle_without_a_score_goes_by_its_confidence(bundle: Bundle) -> None:
    served = load_bundle(bundle.path, load_model=lambda _: KeywordClassifier())
    assert served.scope is None
    for prediction in served.predict([*KNOWN, "nothing of it"]):
        assert prediction.scope_score == prediction.confidence
        assert prediction.in_scope == (prediction.confidence >= served.threshold)


@pytest.mark.parametrize("name", [FACTS, WEIGHTS])
@pytest.mark.parametrize("content", [b"{}", None])
def test_a_damaged_score_is_named(
    name: str, content: bytes | None, tmp_path: Path, contents: Callable[..., BundleContents]
) -> None:
    scorer = by_distance(np.eye(3)[:, None], 0.5)
    made = write_bundle(tmp_path, contents(scope=scorer.to_files()))
    if content is None:
        (made.path / name).unlink()
    else:
        (made.path / name).write_bytes(content)
    seal(made.path)
    with pytest.raises(CorruptBundleError, match=r"scope\.\w+: does not hold what it should"):
        load_bundle(made.path)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny network that knows three texts, and a threshold that only these pass."""
    folder = tmp_path_factory.mktemp("scope")
    tiny = write_tiny_backbone(folder / "tiny")
    torch.manual_seed(0)
    base = resolve_backbone(str(tiny), cache=folder)
    model = build_model(base, LABELS, settings=ModelSettings())
    save_model(model, folder / "model", backbone=tiny)
    scorer = by_distance(model.outputs(KNOWN)[1], 0.5)
    contents = BundleContents(
        folder / "model", LABELS, {}, {}, {}, 1.5, 0.5, scope=scorer.to_files()
    )
    return write_bundle(folder / "bundles", contents)


def test_what_is_loaded_answers_as_what_was_built(real: Bundle) -> None:
    texts = [*KNOWN, *STRANGE]
    model: TextModel = load_model(real.path / "model")
    logits, states = model.outputs(texts)
    assert torch.equal(logits, model.logits(texts))
    assert torch.equal(states[:, 0], model.features(texts))
    assert states.shape == (5, 2, 32)
    built = by_distance(model.outputs(KNOWN)[1], 0.5).probabilities(logits, states)
    found = load_bundle(real.path).predict(texts)
    assert [one.scope_score for one in found] == built.tolist()
    assert [one.in_scope for one in found] == [True] * 3 + [False] * 2


def weights(bundle: Bundle, method: str, **facts: float) -> AdapterWeights:
    model = load_model(bundle.path / "model")
    trunk = trunk_hash(model.backbone)
    settings = MethodSettings(name=method, rank=2)
    model.backbone.freeze(1)
    attachment = adapters.attach(model.backbone, settings)
    draw = torch.Generator().manual_seed(1)
    tensors = {
        name: 0.3 * torch.randn(tensor.shape, generator=draw)
        for name, tensor in attachment.tensors().items()
    }
    head = {"linear.weight": torch.randn(3, 32, generator=draw), "linear.bias": torch.zeros(3)}
    return AdapterWeights(settings, 1, tensors, head, LABELS, trunk, facts)


def test_users_share_the_score_unless_they_have_a_network_or_a_threshold_of_their_own(
    real: Bundle, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    head = weights(real, "head")
    store.add("head", head)
    store.add("lora", weights(real, "lora"))
    store.add("strict", replace(head, facts={"threshold": 1.0, "temperature": 1.0}))
    store.add("other", replace(head, labels=("a", "b", "c")))
    served = PersonalBundle(load_bundle(real.path), store, 10**7)
    users = ("nobody", "head", "lora", "strict", "other")
    for user in users:
        served.adapter_of(user)
    served.adapters.wait()
    ready = [served.adapter_of(user) for user in users for _ in range(2)]
    texts = [KNOWN[0], STRANGE[0]] * len(users)
    found = served.predict_with(texts, ready)
    shared = real.predict(texts[:2])
    for at in (0, 2):  # nobody, head
        for one, other in zip(found[at : at + 2], shared, strict=True):
            assert one.scope_score == pytest.approx(other.scope_score, abs=1e-5)
            assert one.in_scope == other.in_scope
    assert [one.in_scope for one in found[:4]] == [True, False] * 2
    assert all(one.scope_score == one.confidence for one in found[4:])
    assert [one.in_scope for one in found[6:8]] == [False, False]
    served.close()
