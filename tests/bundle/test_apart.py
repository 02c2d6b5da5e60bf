"""A bundle whose model is in a process of its own answers as it does here, to the last digit."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tailorbird.apart import Process
from tailorbird.bundle import AdapterStore, Bundle, load_bundle
from tailorbird.bundle.apart import ApartBundle
from tailorbird.bundle.passes import MixedPasses
from tailorbird.bundle.personal import PersonalBundle
from tailorbird.config import MethodSettings
from tailorbird.errors import CorruptBundleError, StoreError
from tailorbird.modeling import adapters, load_model
from tailorbird.modeling.adapters.weights import AdapterWeights, trunk_hash

TEXTS = ["where is my parcel", "refund please", "hi", "我的包裹", "退款", "a b c d e f"]


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    opened = Process(torch.get_num_threads())
    yield opened
    opened.close()


def weights_of(bundle: Bundle, seed: int, *, trunk: str = "") -> AdapterWeights:
    model = load_model(bundle.path / "model")
    trunk = trunk or trunk_hash(model.backbone)
    settings = MethodSettings(name="lora", rank=2)
    attachment = adapters.attach(model.backbone, settings)
    random = torch.Generator().manual_seed(seed)
    drawn = {
        name: torch.randn(tensor.shape, generator=random)
        for name, tensor in attachment.tensors().items()
    }
    return AdapterWeights(settings, 0, drawn, {}, (), trunk, {"temperature": 1.0 + seed})


@pytest.fixture(scope="module")
def personal(
    shop_bundle: Bundle, process: Process, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PersonalBundle]:
    """Three users, in memory over there."""
    store = AdapterStore(tmp_path_factory.mktemp("adapters"))
    for seed in range(3):
        store.add(f"user {seed}", weights_of(shop_bundle, seed))
    served = PersonalBundle(load_bundle(shop_bundle.path), store, 10**7).apart_in(process)
    for seed in range(3):
        assert served.adapter_of(f"user {seed}") is None  # being loaded
    served.adapters.wait()
    yield served
    served.close()


def test_what_is_served_is_what_was_tuned(shop_bundle: Bundle, process: Process) -> None:
    there = load_bundle(shop_bundle.path).apart_in(process)
    assert isinstance(there, ApartBundle)
    assert (there.id, there.labels, there.path) == (
        shop_bundle.id,
        shop_bundle.labels,
        shop_bundle.path,
    )
    for texts in (TEXTS, TEXTS[:1], []):
        assert there.predict(texts) == shop_bundle.predict(texts)


def test_the_weights_are_there_alone(process: Process, shop_bundle: Bundle) -> None:
    here = load_bundle(shop_bundle.path)
    here.apart_in(process).predict(TEXTS)
    assert "classifier" not in vars(here)


def test_users_mixed_in_one_batch_get_what_they_get_here(
    personal: PersonalBundle, shop_bundle: Bundle
) -> None:
    users = ["user 0", "nobody", "user 2", "user 1", "user 0", "user 2"]
    ready = [personal.adapter_of(user) for user in users]
    local, store = MixedPasses(shop_bundle), personal.adapters.store
    found = {user: store.find(user) for user in users}
    own = {user: local.make_ready(one) for user, one in found.items() if one is not None}
    assert list(own) == ["user 0", "user 2", "user 1"]
    expected = local.predict_with(TEXTS, [own.get(user) for user in users])
    assert personal.predict_with(TEXTS, ready) == expected
    assert [one and one.hash for one in ready] == [
        own[user].hash if user in own else None for user in users
    ]


def test_adapters_of_others_weights_are_left_aside_and_the_log_says_why(
    personal: PersonalBundle, shop_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    personal.adapters.store.add("strange", weights_of(shop_bundle, 7, trunk="f" * 32))
    with caplog.at_level(logging.ERROR):
        personal.adapter_of("strange")
        personal.adapters.wait()
    assert personal.adapter_of("strange") is None
    assert "was tuned over the weights ffffffff" in caplog.text


def test_adapters_in_use_outlive_the_process_that_held_them(
    personal: PersonalBundle, process: Process
) -> None:
    ready = [personal.adapter_of(f"user {n % 3}") for n in range(len(TEXTS))]
    before, pid = personal.predict_with(TEXTS, ready), process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert personal.predict_with(TEXTS, ready) == before
    assert process.pid != pid


def test_adapters_in_use_outlive_the_files_they_were_read_from(
    shop_bundle: Bundle, process: Process, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    store.add("a", weights_of(shop_bundle, 1))
    served = PersonalBundle(load_bundle(shop_bundle.path), store, 10**7).apart_in(process)
    served.adapter_of("a")
    served.adapters.wait()
    ready = [served.adapter_of("a")] * len(TEXTS)
    before = served.predict_with(TEXTS, ready)
    store.add("a", weights_of(shop_bundle, 2))
    store.compact()  # the version in use is on the disk no more
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    assert served.predict_with(TEXTS, ready) == before
    served.close()


def test_who_was_forgotten_is_answered_by_nobody_elses_adapter_and_the_process_goes_on(
    shop_bundle: Bundle, process: Process, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    store.add("a", weights_of(shop_bundle, 1))
    store.add("b", weights_of(shop_bundle, 2))
    served = ApartBundle(load_bundle(shop_bundle.path), process)
    forgotten = store.find("a")
    assert forgotten is not None
    store.remove("a")
    with pytest.raises(StoreError, match="is damaged between"):
        served.make_ready(forgotten)
    before, found = process.n_starts, store.find("b")
    assert found is not None
    assert served.predict_with(TEXTS[:1], [served.make_ready(found)])
    assert process.n_starts == before
    store.close()


def test_a_bundle_that_cannot_be_loaded_says_so(
    shop_bundle: Bundle, process: Process, tmp_path: Path
) -> None:
    gone = tmp_path / shop_bundle.id
    shutil.copytree(shop_bundle.path, gone)
    there = load_bundle(gone).apart_in(process)
    (gone / "labels.json").unlink()
    with pytest.raises(CorruptBundleError, match=r"labels\.json"):
        there.predict(TEXTS)
