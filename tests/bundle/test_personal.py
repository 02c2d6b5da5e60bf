"""Users with adapters of their own, served from one bundle."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tailorbird.bundle import AdapterStore, Bundle, BundleContents, load_bundle, write_bundle
from tailorbird.bundle.personal import PersonalBundle, for_users
from tailorbird.config import MethodSettings, ModelSettings, Settings, override_settings
from tailorbird.jobs import Job, run_jobs
from tailorbird.modeling import TextModel, adapters, build_model, load_model, save_model
from tailorbird.modeling.adapters.mixed import make_ready, mixed_outputs
from tailorbird.modeling.adapters.weights import AdapterWeights, trunk_hash
from tailorbird.records import Example
from tailorbird.store import Workspace
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone

LABELS = ("hello", "parcel", "refund")
OTHERS = ("no", "yes")
TEXTS = [
    "where is my parcel",
    "refund 3 please",
    "hi",
    "我的包裹",
    "a b c d e f",
    "退款",
    "hi 4 you",
]
KINDS = [
    {"rank": 2},
    {"rank": 8, "rslora": True},
    {"rank": 4, "targets": "query,value"},
    {"name": "head"},
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    tiny = write_tiny_backbone(folder / "tiny")
    torch.manual_seed(0)
    base = resolve_backbone(str(tiny), cache=folder)
    model = build_model(base, LABELS, settings=ModelSettings())
    save_model(model, folder / "model", backbone=tiny)
    contents = BundleContents(folder / "model", LABELS, {}, {}, {}, 1.5, 0.5)
    return write_bundle(folder / "bundles", contents)


@pytest.fixture(scope="module")
def trunk(bundle: Bundle) -> str:
    return trunk_hash(load_model(bundle.path / "model").backbone)


def weights_of(bundle: Bundle, seed: int, trunk: str) -> AdapterWeights:
    """Random ones: of several ranks, targets and label sets, or of a head alone."""
    model = load_model(bundle.path / "model")
    settings = MethodSettings(**{"name": "lora", **KINDS[seed % len(KINDS)]})  # type: ignore[arg-type]
    model.backbone.freeze(1)
    attachment = adapters.attach(model.backbone, settings)
    random = torch.Generator().manual_seed(seed)

    def draw(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=random) * 0.3

    labels = OTHERS if seed % 3 == 2 else LABELS
    head = {
        "linear.weight": draw(torch.empty(len(labels), 32)),
        "linear.bias": draw(torch.empty(len(labels))),
    }
    tensors = {name: draw(tensor) for name, tensor in attachment.tensors().items()}
    return AdapterWeights(settings, 1, tensors, head, labels, trunk, {"seed": seed})


def alone(bundle: Bundle, weights: AdapterWeights | None, texts: Sequence[str]) -> torch.Tensor:
    """(N, C) by a model that has this adapter and nothing else."""
    model: TextModel = load_model(bundle.path / "model")
    if weights is not None:
        model.backbone.freeze(weights.n_frozen)
        attachment = adapters.attach(model.backbone, weights.settings)
        attachment.load(weights.tensors)
        model.head.linear.weight.data = weights.head["linear.weight"]
        model.head.linear.bias.data = weights.head["linear.bias"]
    return model.logits(texts)


@pytest.fixture
def personal(bundle: Bundle, trunk: str, tmp_path: Path) -> Iterator[PersonalBundle]:
    """Eight users, all in memory."""
    store = AdapterStore(tmp_path / "adapters")
    for seed in range(8):
        store.add(f"user {seed}", weights_of(bundle, seed, trunk))
    served = PersonalBundle(load_bundle(bundle.path), store, 10**7)
    for seed in range(8):
        served.adapter_of(f"user {seed}")
    served.adapters.wait()
    yield served
    served.close()


def test_eight_users_mixed_get_what_each_gets_alone(
    personal: PersonalBundle, bundle: Bundle, trunk: str
) -> None:
    texts = TEXTS * 4
    users = [(5 * row) % 9 for row in range(len(texts))]  # the ninth has no adapter
    ready = [personal.adapter_of(f"user {user}") for user in users]
    assert sum(adapter is None for adapter in ready) == users.count(8) > 0
    outputs = mixed_outputs(personal.bundle.classifier, texts, ready)
    assert sorted(at for part in outputs for at in part.at) == list(range(len(texts)))
    assert sorted(part.labels for part in outputs) == [LABELS, OTHERS]
    for part in outputs:
        for at, row in zip(part.at, part.rows, strict=True):
            own = None if users[at] == 8 else weights_of(bundle, users[at], trunk)
            assert torch.allclose(row, alone(bundle, own, [texts[at]])[0], atol=1e-5), users[at]


def test_predictions_have_the_users_own_labels_and_calibration(
    personal: PersonalBundle, bundle: Bundle, trunk: str
) -> None:
    cold = replace(weights_of(bundle, 2, trunk), facts={"temperature": 0.5, "threshold": 1.0})
    personal.adapters.store.add("cold", cold)
    personal.adapter_of("cold")
    personal.adapters.wait()
    ready = [personal.adapter_of(user) for user in ("user 2", "cold", "user 0", "nobody")]
    found = personal.predict_with(["hi"] * 4, ready)
    logits = alone(bundle, cold, ["hi"])[0]
    for prediction, temperature in zip(found[:2], (1.5, 0.5), strict=True):
        probs = torch.softmax(logits / temperature, 0)
        assert prediction.intent == OTHERS[int(probs.argmax())]
        assert prediction.confidence == pytest.approx(float(probs.max()), abs=1e-6)
    assert (found[0].in_scope, found[1].in_scope) == (found[0].confidence >= 0.5, False)
    assert found[2].intent in LABELS
    (shared,) = bundle.predict(["hi"])
    assert found[3].intent == shared.intent
    assert found[3].confidence == pytest.approx(shared.confidence, abs=1e-6)


def test_what_is_served_is_what_the_job_gave(bundle: Bundle, tmp_path: Path) -> None:
    words = {"parcel": "where is my parcel {}", "refund": "refund {} please", "hello": "hi {}"}
    pool = [Example(t.format(i), label) for i in range(6) for label, t in words.items()]
    overrides = ["tuning.n_epochs=1", "tuning.batch_size=8", "tuning.dtype=float32"]
    overrides += ["method.name=lora", "model.freeze_layers=1"]
    jobs = [
        Job(
            name,
            train=range(12),
            validation=[],
            settings=override_settings(Settings(), [*overrides, f"tuning.seed={seed}"]),
            predict=range(12, 18),
        )
        for seed, name in enumerate(("ada", "bo"))
    ]
    done = list(run_jobs(bundle.path / "model", pool, jobs, tmp_path / "jobs"))
    assert [result.error for result in done] == ["", ""]
    store = AdapterStore(tmp_path / "adapters")
    served = PersonalBundle(load_bundle(bundle.path), store, 10**7)
    for result in done:
        assert result.weights is not None
        store.add(result.name, AdapterWeights.load(result.weights))
        served.adapter_of(result.name)
    served.adapters.wait()
    texts = [pool[row].text for row in range(12, 18)]
    ready = [served.adapter_of(name) for name in ("ada", "bo") for _ in texts]
    assert None not in ready
    (part,) = mixed_outputs(served.bundle.classifier, texts * 2, ready)
    found = part.rows[torch.tensor(part.at).argsort()]
    given = [np.load(result.outputs) for result in done if result.outputs]
    assert np.abs(found.numpy() - np.concatenate(given)).max() < 1e-5
    served.close()


def test_a_user_whose_adapter_is_not_in_memory_gets_the_shared_assistant_meanwhile(
    personal: PersonalBundle, bundle: Bundle, trunk: str
) -> None:
    weights = weights_of(bundle, 9, trunk)
    personal.adapters.store.add("new", weights)
    assert personal.adapter_of("new") is None
    personal.adapters.wait()
    ready = personal.adapter_of("new")
    assert ready is not None
    assert ready.hash == weights.hash


def test_the_user_who_asked_longest_ago_leaves_the_memory(
    bundle: Bundle, trunk: str, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    for seed in range(3):
        store.add(str(seed), weights_of(bundle, 4 * seed, trunk))
    size = weights_of(bundle, 0, trunk).n_bytes
    served = PersonalBundle(bundle, store, 2 * size + 2_500)

    def load(user: str) -> None:
        served.adapter_of(user)
        served.adapters.wait()

    load("0"), load("1"), load("0"), load("2")
    assert served.adapters.n_bytes <= 2 * size + 2_500
    assert [served.adapter_of(user) is not None for user in ("0", "2", "1")] == [True, True, False]
    served.close()


def test_a_new_version_is_followed_and_the_old_one_stays_whole(
    bundle: Bundle, trunk: str, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    first, second = weights_of(bundle, 0, trunk), weights_of(bundle, 4, trunk)
    store.add("ada", first)
    served = PersonalBundle(bundle, store, 10**7)
    served.adapters._check_s = 0.0
    served.adapter_of("ada"), served.adapters.wait()
    before = served.adapter_of("ada")
    with AdapterStore(tmp_path) as other:  # another process
        other.add("ada", second)
        other.compact()
        served.adapter_of("ada"), served.adapters.wait()
        after = served.adapter_of("ada")
        assert before is not None
        assert after is not None
        assert (before.hash, after.hash) == (first.hash, second.hash)
        other.remove("ada")
        served.adapter_of("ada"), served.adapters.wait()
        assert served.adapter_of("ada") is None
    for ready, weights in ((before, first), (after, second)):
        (part,) = mixed_outputs(served.bundle.classifier, ["hi"], [ready])
        assert torch.allclose(part.rows, alone(bundle, weights, ["hi"]), atol=1e-5)
    served.close()
    assert served.adapter_of("ada") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trunk": "another"}, "was tuned over the weights another"),
        ({"settings": MethodSettings(name="lora", dora=True)}, "DoRA cannot share a batch"),
        ({"settings": MethodSettings(name="bitfit")}, "bitfit cannot share a batch"),
        ({"labels": ("a", "b", "c", "d")}, "for 4 labels"),
        ({"head": {}, "labels": ("a", "b", "c")}, "labels and no head"),
        ({"facts": {"pooling": "cls"}}, "cls pooling does not fit"),
        (
            {"head": {"linear.weight": torch.ones(3, 32), "linear.bias": torch.full((3,), np.nan)}},
            "numbers that are none",
        ),
    ],
)
def test_an_adapter_that_does_not_fit_is_not_used_and_the_log_says_so(
    changes: dict[str, object],
    said: str,
    personal: PersonalBundle,
    bundle: Bundle,
    trunk: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    unfit = replace(weights_of(bundle, 0, trunk), **changes)  # type: ignore[arg-type]
    personal.adapters.store.add("unfit", unfit)
    with caplog.at_level(logging.ERROR):
        personal.adapter_of("unfit")
        personal.adapters.wait()
    assert personal.adapter_of("unfit") is None
    assert len(caplog.messages) == 1
    assert re.search(said, caplog.messages[0])


def test_an_adapter_of_another_shape_does_not_get_ready(bundle: Bundle, trunk: str) -> None:
    model = load_model(bundle.path / "model")
    weights = weights_of(bundle, 0, trunk)
    tensors = dict(weights.tensors)
    tensors["layers.1.query.adapter.a"] = torch.ones(2, 31)
    with pytest.raises(RuntimeError, match=r"does not fit layers\.1\.query"):
        make_ready(model, replace(weights, tensors=tensors))


def test_a_workspace_gives_each_bundle_a_store_of_its_own(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Workspace.open(tmp_path / "workspace") as workspace:
        assert for_users(workspace, bundle, limit_bytes=0) is bundle
        served = for_users(workspace, bundle, limit_bytes=10**6)
        assert isinstance(served, PersonalBundle)
        assert (served.id, served.path) == (bundle.id, bundle.path)  # the console looks there
        assert served.adapters.store.folder == workspace.path / "adapters" / bundle.id
        served.close()
        (served.adapters.store.folder / "index.db").write_bytes(b"no database at all" * 99)
        assert for_users(workspace, bundle, limit_bytes=10**6) is bundle
        assert "no user is served with an adapter" in caplog.text


def test_an_exported_adapter_is_read_by_peft_and_the_backbone_is_left_as_it_was(
    personal: PersonalBundle, bundle: Bundle, trunk: str, tmp_path: Path
) -> None:
    backbone = load_model(bundle.path / "model").backbone
    trainable = [parameter.requires_grad for parameter in backbone.parameters()]
    personal.adapters.store.export("user 0", tmp_path / "peft", backbone)
    assert [parameter.requires_grad for parameter in backbone.parameters()] == trainable
    assert backbone.n_frozen == 0
    assert trunk_hash(backbone) == trunk
    weights = weights_of(bundle, 0, trunk)
    read = adapters.load_peft(backbone, tmp_path / "peft").tensors()
    assert read.keys() == weights.tensors.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in weights.tensors.items())
    head = load_file(tmp_path / "peft" / "head.safetensors")
    assert torch.equal(head["linear.weight"], weights.head["linear.weight"])
    facts = json.loads((tmp_path / "peft" / "head.json").read_text(encoding="utf-8"))
    assert (facts["labels"], facts["hash"]) == (list(LABELS), weights.hash)
    peft = pytest.importorskip("peft")
    config = peft.PeftConfig.from_pretrained(str(tmp_path / "peft"))
    assert (config.r, config.lora_alpha) == (2, 16.0)
