"""Where backbones come from: the packages as they are, altered, or missing; folders; hubs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tailorbird.errors import WeightsError
from tailorbird.weights.embedded import EMBEDDED, EmbeddedModel, embedded_folder
from tailorbird.weights.packages import PackagedFile
from tailorbird.weights.sources import BackboneFolder, choose_backbone, resolve_backbone

MakePackage = Callable[[], EmbeddedModel]


@pytest.fixture(scope="module")
def minilm(weights_cache: Path) -> BackboneFolder:
    return resolve_backbone("minilm", cache=weights_cache)


@pytest.fixture(scope="module")
def e5(weights_cache: Path) -> BackboneFolder:
    return resolve_backbone("e5", cache=weights_cache)


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePackage:
    """An installed package with seven bytes of weights and a tokenizer that pads and cuts."""

    def make() -> EmbeddedModel:
        package = "tiny-weights"
        site = tmp_path / "site"
        (site / "tiny").mkdir(parents=True)
        (site / "tiny" / "model.safetensors").write_bytes(b"weights")
        (site / "tiny" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
        tokenizer = Tokenizer(WordLevel({"[PAD]": 0, "refund": 1}, unk_token="[PAD]"))
        tokenizer.enable_padding(length=128)
        tokenizer.enable_truncation(128)
        tokenizer.save(str(site / "tiny" / "tokenizer.json"))
        info = site / "tiny_weights-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))

        def packaged(name: str) -> PackagedFile:
            data = (site / "tiny" / name).read_bytes()
            return PackagedFile(package, "1.0", f"tiny/{name}", hashlib.sha256(data).hexdigest())

        return EmbeddedModel(
            name="tiny",
            model="tiny-model",
            weights=packaged("model.safetensors"),
            tokenizer=packaged("tokenizer.json"),
            licence="MIT",
            languages=("en",),
            hub_name="owner/tiny",
            special_tokens={"pad_token": "[PAD]"},
            config="tiny/config.json",
        )

    return make


def load_offline(folder: Path) -> Callable[[list[str]], np.ndarray[Any, Any]]:
    """Mean-pooled, normalised features by transformers' own classes."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()

    def features(texts: list[str]) -> np.ndarray[Any, Any]:
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            states = model(**batch).last_hidden_state  # (B, T, D)
        mask = batch["attention_mask"][..., None]
        pooled = (states * mask).sum(1) / mask.sum(1)  # (B, D)
        return torch.nn.functional.normalize(pooled).numpy()

    return features


@pytest.mark.weights
def test_embedded_e5_brings_meanings_of_two_languages_together(e5: BackboneFolder) -> None:
    features = load_offline(e5.path)
    texts = ["我的包裹到哪了？", "Where is my parcel?", "今天天气很好", "A recipe for apple pie"]
    vectors = features([e5.query_prefix + text for text in texts])
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > 0.85
    assert cosine[0, 1] > max(cosine[0, 2], cosine[0, 3], cosine[1, 2], cosine[1, 3]) + 0.05


@pytest.mark.weights
def test_embedded_minilm_knows_meanings_of_english(minilm: BackboneFolder) -> None:
    features = load_offline(minilm.path)
    vectors = features(["I want my money back", "Please refund me", "A recipe for apple pie"])
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > 0.5 > cosine[0, 2] + 0.3


@pytest.mark.weights
def test_folders_say_what_they_are(minilm: BackboneFolder, e5: BackboneFolder) -> None:
    assert (minilm.name, minilm.family, minilm.query_prefix) == ("all-MiniLM-L6-v2", "bert", "")
    assert (e5.name, e5.family, e5.query_prefix) == ("multilingual-e5-small", "bert", "query: ")
    assert (minilm.licence, e5.licence) == ("Apache-2.0", "MIT")
    config = json.loads((e5.path / "config.json").read_text(encoding="utf-8"))
    assert (config["hidden_size"], config["num_hidden_layers"]) == (384, 12)
    assert (
        config["vocab_size"]
        == Tokenizer.from_file(str(e5.path / "tokenizer.json")).get_vocab_size()
    )


@pytest.mark.weights
def test_licence_travels_with_the_weights(minilm: BackboneFolder, e5: BackboneFolder) -> None:
    assert "licence MIT" in (e5.path / "LICENCE.txt").read_text(encoding="utf-8")
    assert "Intfloat contributors" in (e5.path / "NOTICE").read_text(encoding="utf-8")
    assert "license: apache-2.0" in (minilm.path / "README.md").read_text(encoding="utf-8")


def test_saved_tokenizer_neither_pads_nor_cuts(make_package: MakePackage, tmp_path: Path) -> None:
    folder = embedded_folder(make_package(), tmp_path / "cache")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("refund").ids == [1]
    assert tokenizer.truncation is None


@pytest.mark.weights
def test_a_prepared_folder_named_by_its_path_is_the_same_model(e5: BackboneFolder) -> None:
    assert resolve_backbone(str(e5.path), cache=Path("unused")) == e5


def test_altered_package_is_an_error_that_names_it(
    make_package: MakePackage, tmp_path: Path
) -> None:
    model = make_package()
    altered = tmp_path / "site" / "tiny" / "model.safetensors"
    altered.write_bytes(b"weightz")
    with pytest.raises(WeightsError) as error:
        embedded_folder(model, tmp_path / "cache")
    assert "of package 'tiny-weights' is not the file that was checked" in str(error.value)
    assert str(error.value).endswith("--no-deps --force-reinstall tiny-weights==1.0")
    assert not (tmp_path / "cache" / model.folder_name).exists()


def test_missing_package_is_an_error_that_says_how_to_install(
    make_package: MakePackage, tmp_path: Path
) -> None:
    model = make_package()
    model = replace(model, weights=replace(model.weights, package="not-installed"))
    with pytest.raises(WeightsError, match="'not-installed', which ships the weights, is not inst"):
        embedded_folder(model, tmp_path / "cache")
    assert not model.is_installed


def test_package_without_its_file_is_an_error(make_package: MakePackage, tmp_path: Path) -> None:
    model = make_package()
    (tmp_path / "site" / "tiny" / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"'tiny-weights' has no file tiny/tokenizer\.json; run"):
        embedded_folder(model, tmp_path / "cache")


def test_truncated_cache_is_written_anew(make_package: MakePackage, tmp_path: Path) -> None:
    model = make_package()
    folder = embedded_folder(model, tmp_path / "cache")
    (folder / "model.safetensors").write_bytes(b"wei")
    assert embedded_folder(model, tmp_path / "cache") == folder
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_changed_byte_of_the_same_size_is_found(make_package: MakePackage, tmp_path: Path) -> None:
    model = make_package()
    weights = embedded_folder(model, tmp_path / "cache") / "model.safetensors"
    weights.write_bytes(b"weightz")
    embedded_folder(model, tmp_path / "cache")
    assert weights.read_bytes() == b"weights"


def test_checksums_are_not_computed_at_every_start(
    make_package: MakePackage, tmp_path: Path
) -> None:
    """An alteration that hides its time is not seen, which shows that only times are read."""
    model = make_package()
    weights = embedded_folder(model, tmp_path / "cache") / "model.safetensors"
    before = weights.stat()
    weights.write_bytes(b"weightz")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    embedded_folder(model, tmp_path / "cache")
    assert weights.read_bytes() == b"weightz"


def test_copied_cache_needs_no_package(make_package: MakePackage, tmp_path: Path) -> None:
    model = make_package()
    embedded_folder(model, tmp_path / "cache")
    shutil.copytree(tmp_path / "cache", tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(tmp_path / "site" / "tiny")
    assert embedded_folder(model, tmp_path / "copy").is_dir()


def test_many_at_once_get_one_whole_folder(make_package: MakePackage, tmp_path: Path) -> None:
    model = make_package()
    cache = tmp_path / "cache"
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: embedded_folder(model, cache), range(4)))
    assert folders == {cache / model.folder_name}
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [model.folder_name]


def test_leftovers_of_a_killed_process_are_removed(
    make_package: MakePackage, tmp_path: Path
) -> None:
    model = make_package()
    leftover = tmp_path / "cache" / f".{model.folder_name}-killed" / "new"
    leftover.mkdir(parents=True)
    embedded_folder(model, tmp_path / "cache")
    assert not leftover.parent.exists()


def test_every_embedded_model_is_pinned_in_the_constraints() -> None:
    pins = (Path(__file__).parents[2] / "constraints.txt").read_text(encoding="utf-8").split()
    for model in EMBEDDED.values():
        assert set(model.requirements) <= set(pins)


@pytest.mark.parametrize(
    ("texts", "name", "reason"),
    [
        (["where is my parcel"], "minilm", "all-MiniLM-L6-v2 (no Chinese characters)"),
        (["我要退款"], "e5", "multilingual-e5-small (100 % of the characters are Chinese)"),
        (["refund for 张"], "e5", "multilingual-e5-small (10 % of the characters are Chinese)"),
        (
            ["x" * 497, "退款吧"],
            "e5",
            "multilingual-e5-small (0.6 % of the characters are Chinese)",
        ),
        (["x" * 9999, "张"], "minilm", "all-MiniLM-L6-v2 (< 0.1 % of the characters are Chinese)"),
        ([], "minilm", "all-MiniLM-L6-v2 (no Chinese characters)"),
    ],
)
def test_backbone_follows_the_language(texts: list[str], name: str, reason: str) -> None:
    assert choose_backbone(texts) == (name, f"backbone: {reason}")


def hub_folder(path: Path, *, without: str = "", **files: str) -> Path:
    path.mkdir(parents=True)
    contents = {
        "config.json": '{"model_type": "xlm-roberta"}',
        "tokenizer.json": "{}",
        "model.safetensors": "",
        **files,
    }
    for name, content in contents.items():
        if name != without:
            (path / name).write_text(content, encoding="utf-8")
    return path


def test_folder_of_the_user_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "mine")
    found = resolve_backbone(str(folder), cache=tmp_path / "cache")
    assert found == BackboneFolder(folder, "mine", "xlm-roberta")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_incomplete_folder_is_named_with_what_it_lacks(tmp_path: Path, missing: str) -> None:
    folder = hub_folder(tmp_path / "mine", without=missing)
    kind = missing.replace("model.", "*.")
    with pytest.raises(WeightsError) as error:
        resolve_backbone(str(folder), cache=tmp_path)
    assert str(error.value).startswith(f"{folder}: has no {kind}; a backbone folder holds")


def test_pickled_weights_are_refused_with_the_way_to_convert_them(tmp_path: Path) -> None:
    folder = hub_folder(
        tmp_path / "old", without="model.safetensors", **{"pytorch_model.bin": "pickle"}
    )
    with pytest.raises(WeightsError, match="pickled weights are never loaded: convert them with"):
        resolve_backbone(str(folder), cache=tmp_path)


def test_prompts_of_the_folder_give_its_prefix(tmp_path: Path) -> None:
    prompts = '{"prompts": {"query": "search_query: "}}'
    folder = hub_folder(tmp_path / "m", **{"config_sentence_transformers.json": prompts})
    assert resolve_backbone(str(folder), cache=tmp_path).query_prefix == "search_query: "


@pytest.mark.parametrize(
    ("modes", "pooling"),
    [
        ('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}', "cls"),
        ('{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}', "mean"),
        ('{"pooling_mode": "cls"}', "cls"),
        ('{"pooling_mode_lasttoken": true}', ""),
        ('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}', ""),
    ],
)
def test_pooling_is_what_the_folder_was_trained_with(
    tmp_path: Path, modes: str, pooling: str
) -> None:
    folder = hub_folder(tmp_path / "bge")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(modes)
    assert resolve_backbone(str(folder), cache=tmp_path).pooling == pooling


def test_hub_name_is_downloaded_and_described(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "s", **{"README.md": "---\nlicense: mit\n---\n# E5"})
    asked: list[str] = []

    def download(name: str) -> Path:
        asked.append(name)
        return folder

    found = resolve_backbone("intfloat/multilingual-e5-base", cache=tmp_path, download=download)
    assert asked == ["intfloat/multilingual-e5-base"]
    assert found == BackboneFolder(
        folder,
        "intfloat/multilingual-e5-base",
        "xlm-roberta",
        "query: ",
        "mit",
        passage_prefix="passage: ",
    )


def test_name_that_is_nothing_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"'e6' is neither an .*; use one of minilm, e5, .*, a folder or"
    ):
        resolve_backbone("e6", cache=tmp_path)


@pytest.mark.parametrize(
    "setting",
    [{"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}],
)
def test_hub_out_of_reach_is_a_sentence_that_says_what_to_do(
    tmp_path: Path, setting: dict[str, str]
) -> None:
    """In a process of its own: huggingface_hub reads these settings when it is imported."""
    code = (
        "from pathlib import Path\n"
        "from tailorbird.errors import WeightsError\n"
        "from tailorbird.weights.sources import resolve_backbone\n"
        "try:\n"
        "    resolve_backbone('owner/model', cache=Path('unused'))\n"
        "except WeightsError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, **setting, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith("hub model 'owner/model' cannot be fetched (")
    assert "HF_HUB_OFFLINE" in done.stdout
    assert done.stdout.count("\n") == 1
