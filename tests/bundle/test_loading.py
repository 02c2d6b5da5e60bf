import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailorbird.bundle import Bundle, BundleContents, load_bundle, write_bundle
from tailorbird.bundle.manifest import FileEntry, Manifest, entry_of, files_in
from tailorbird.errors import BundleError, CorruptBundleError

from .conftest import KEYWORDS, LABELS, KeywordClassifier


def seal(folder: Path, extra: dict[str, FileEntry] | None = None) -> None:
    """Give a changed folder a manifest that fits it, as a clever attacker would."""
    (folder / "manifest.json").unlink()
    entries = {name: entry_of(folder / name) for name in files_in(folder)}
    (folder / "manifest.json").write_bytes(Manifest(entries | (extra or {})).to_bytes())


def test_a_changed_byte_is_found_in_every_file_wherever_it_is(bundle: Bundle) -> None:
    for path in sorted(bundle.path.rglob("*")):
        if path.is_dir():
            continue
        whole = path.read_bytes()
        for position in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
            changed = bytearray(whole)
            changed[position] ^= 1
            path.write_bytes(changed)
            with pytest.raises(CorruptBundleError, match=re.escape(str(path))):
                load_bundle(bundle.path)
        path.write_bytes(whole)
    assert load_bundle(bundle.path).id == bundle.id


def test_a_missing_file_is_named(bundle: Bundle) -> None:
    (bundle.path / "model" / "model.safetensors").unlink()
    with pytest.raises(CorruptBundleError, match=r"model/model.safetensors: is missing; build it"):
        load_bundle(bundle.path)


def test_a_shortened_file_is_named_with_its_sizes(bundle: Bundle) -> None:
    path = bundle.path / "labels.json"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CorruptBundleError, match=r"labels.json: has \d+ bytes, the manifest says"):
        load_bundle(bundle.path, verify=False)


@pytest.mark.parametrize("name", ["notes.txt", "model/.hidden", "model/deep/er.json"])
def test_an_extra_file_is_named(bundle: Bundle, name: str) -> None:
    (bundle.path / name).parent.mkdir(exist_ok=True)
    (bundle.path / name).write_text("")
    with pytest.raises(CorruptBundleError, match=f"{name}: is not listed in the manifest; nobody"):
        load_bundle(bundle.path)


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".bin", ".pt", ".pth", ".PKL"])
def test_pickles_are_refused_even_where_the_manifest_lists_them(
    bundle: Bundle, suffix: str
) -> None:
    path = bundle.path / "model" / f"weights{suffix}"
    entry = FileEntry(hashlib.sha256(b"").hexdigest(), 0)
    seal(bundle.path, {f"model/weights{suffix}": entry})
    path.write_bytes(b"")
    with pytest.raises(BundleError, match=rf"weights{suffix}: .* may hold a pickle, which can run"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    "name",
    ["../secret.json", "model/../../x", "/etc/passwd", "a//b", "./a", "C:\\x", "manifest.json"],
)
def test_a_path_that_leads_outside_is_refused(bundle: Bundle, name: str) -> None:
    seal(bundle.path, {name: FileEntry("0" * 64, 0)})
    with pytest.raises(
        CorruptBundleError, match=rf"names {re.escape(repr(name))}, which is not a plain path"
    ):
        load_bundle(bundle.path)


def test_a_link_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    labels = bundle.path / "labels.json"
    shutil.copy(labels, tmp_path / "labels.json")
    labels.unlink()
    labels.symlink_to(tmp_path / "labels.json")
    with pytest.raises(CorruptBundleError, match=r"labels.json: is a link; a bundle holds plain"):
        load_bundle(bundle.path)


def test_a_truncated_manifest_is_refused_wherever_it_was_cut(bundle: Bundle) -> None:
    path = bundle.path / "manifest.json"
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptBundleError, match=r"manifest.json: is cut short or not a manif"):
            load_bundle(bundle.path)


@pytest.mark.parametrize(
    "text", ["[]", "null", '{"format": 1}', '{"id": 1, "files": []}', "[" * 9999]
)
def test_a_manifest_of_another_shape_is_refused(bundle: Bundle, text: str) -> None:
    (bundle.path / "manifest.json").write_text(text)
    with pytest.raises(CorruptBundleError, match=r"manifest.json: is cut short or not a manifest"):
        load_bundle(bundle.path)


def test_a_manifest_whose_id_was_changed_is_refused(bundle: Bundle) -> None:
    path = bundle.path / "manifest.json"
    path.write_text(path.read_text().replace(bundle.id, "0" * 16))
    with pytest.raises(
        CorruptBundleError, match=f"was altered: its content gives the id {bundle.id}, it says 0000"
    ):
        load_bundle(bundle.path)


def test_a_manifest_of_another_format_says_which_version_is_needed(bundle: Bundle) -> None:
    path = bundle.path / "manifest.json"
    path.write_text(path.read_text().replace("tailorbird-bundle/1", "tailorbird-bundle/9"))
    with pytest.raises(BundleError, match=r"format 'tailorbird-bundle/9', this version reads '"):
        load_bundle(bundle.path)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(
        CorruptBundleError, match=r"has no manifest.json that can be read \(No such"
    ):
        load_bundle(tmp_path)


@pytest.mark.parametrize("part", ["labels.json", "report.json", "MODEL_CARD.md"])
def test_a_bundle_without_a_needed_part_is_refused(bundle: Bundle, part: str) -> None:
    (bundle.path / part).unlink()
    seal(bundle.path)
    with pytest.raises(CorruptBundleError, match=f"is not a whole bundle: it has no {part}"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("labels.json", '{"a": 1}'),
        ("labels.json", "[1]"),
        ("report.json", "[1]"),
        ("calibration.json", "{}"),
        ("templates.json", '{"refund": {"en": [1]}}'),
        ("templates.json", '{"unknown": {}}'),
    ],
)
def test_a_part_that_holds_something_else_is_refused(
    bundle: Bundle, part: str, content: str
) -> None:
    (bundle.path / part).write_text(content)
    seal(bundle.path)
    with pytest.raises(CorruptBundleError, match=part):
        load_bundle(bundle.path)


def test_loading_reads_the_model_only_when_it_is_needed_and_once(bundle: Bundle) -> None:
    loaded_from: list[Path] = []

    def load_model(folder: Path) -> KeywordClassifier:
        loaded_from.append(folder)
        return KeywordClassifier()

    loaded = load_bundle(bundle.path, load_model=load_model)
    assert loaded_from == []
    assert loaded.predict([]) == []
    assert loaded_from == []
    loaded.predict(["hello"])
    loaded.predict(["hello"])
    assert loaded_from == [bundle.path / "model"]


def test_a_model_of_other_labels_is_refused(bundle: Bundle) -> None:
    other = KeywordClassifier(labels=LABELS[:2])
    loaded = load_bundle(bundle.path, load_model=lambda _: other)
    with pytest.raises(
        BundleError, match=r"the model knows 2 labels, labels.json 3, and they diff"
    ):
        loaded.predict(["hello"])


@pytest.fixture
def serving(bundle: Bundle) -> Bundle:
    return load_bundle(bundle.path, load_model=lambda _: KeywordClassifier())


def test_a_prediction_has_intent_calibrated_confidence_and_alternatives(serving: Bundle) -> None:
    prediction = serving.predict(["give my money back"])[0]
    weights = np.exp(np.array([0.0, 2.0, 0.0]) / 1.25)  # logits over the temperature
    expected = weights / weights.sum()
    assert prediction.intent == "refund"
    assert prediction.confidence == pytest.approx(expected[1], abs=1e-12)
    assert prediction.in_scope is True
    assert prediction.alternatives == (
        ("greeting", pytest.approx(expected[0], abs=1e-12)),
        ("shipping", pytest.approx(expected[2], abs=1e-12)),
    )


def test_below_the_threshold_is_out_of_scope(serving: Bundle) -> None:
    prediction = serving.predict(["what is the weather"])[0]
    assert prediction.confidence == pytest.approx(1 / 3)
    assert prediction.in_scope is False
    exact = replace(serving, threshold=prediction.confidence)
    assert exact.predict(["what is the weather"])[0].in_scope is True


def test_the_answer_speaks_the_language_of_the_text_else_the_other_one(serving: Bundle) -> None:
    texts = ["我要退款", "my money", "我的包裹", "my parcel"]
    assert [prediction.answer for prediction in serving.predict(texts)] == [
        "退款五天内到账。",
        "The money is back within 5 days.",
        "包裹在路上。",
        "包裹在路上。",
    ]
    assert [prediction.language for prediction in serving.predict(texts)] == ["zh", "en"] * 2


def test_an_intent_without_templates_has_no_answer(serving: Bundle) -> None:
    silent = replace(serving, templates={"refund": {"zh": [], "en": []}})
    assert [p.answer for p in silent.predict(["我要退款", "hello"])] == [None, None]


def test_two_classes_leave_one_alternative(
    tmp_path: Path, contents: Callable[..., BundleContents]
) -> None:
    made = write_bundle(tmp_path / "two", contents(labels=LABELS[:2], templates={}))
    loaded = load_bundle(made.path, load_model=lambda _: KeywordClassifier(labels=LABELS[:2]))
    assert [name for name, _ in loaded.predict(["hello"])[0].alternatives] == ["refund"]


def test_predictions_come_in_the_order_of_the_texts_from_one_call(bundle: Bundle) -> None:
    model = KeywordClassifier()
    loaded = load_bundle(bundle.path, load_model=lambda _: model)
    texts: list[Any] = [KEYWORDS[label][0] for label in LABELS] * 5
    assert [prediction.intent for prediction in loaded.predict(texts)] == [*LABELS] * 5
    assert model.n_calls == 1


def test_a_tensor_gives_the_same_predictions_as_an_array(bundle: Bundle, serving: Bundle) -> None:
    torch = pytest.importorskip("torch")

    class TensorClassifier(KeywordClassifier):
        def logits(self, texts: Any) -> Any:
            return torch.from_numpy(super().logits(texts))

    tensors = load_bundle(bundle.path, load_model=lambda _: TensorClassifier())
    assert tensors.predict(["hello", "退款"]) == serving.predict(["hello", "退款"])


def test_the_manifest_lists_every_file_with_the_sum_that_sha256_tools_give(bundle: Bundle) -> None:
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    assert manifest["id"] == bundle.id
    for name, row in manifest["files"].items():
        data = (bundle.path / name).read_bytes()
        assert row == {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
