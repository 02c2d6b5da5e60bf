import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tailorbird.bundle import Bundle, BundleContents, load_bundle, write_bundle
from tailorbird.errors import BundleError, ConfigError, StoreError

MakeContents = Callable[..., BundleContents]


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_holds_everything_that_serving_needs(bundle: Bundle) -> None:
    assert files_of(bundle.path) == {
        "MODEL_CARD.md",
        "calibration.json",
        "labels.json",
        "manifest.json",
        "model/model.json",
        "model/model.safetensors",
        "model/tokenizer/tokenizer.json",
        "report.json",
        "settings.json",
        "templates.json",
    }
    assert re.fullmatch("[0-9a-f]{16}", bundle.id)
    assert bundle.path.name == bundle.id


def test_what_was_written_is_loaded(tmp_path: Path, contents: MakeContents) -> None:
    page = tmp_path / "report.html"
    page.write_text("<p>报告</p>", encoding="utf-8")
    given = contents(report_html=page)
    loaded = load_bundle(write_bundle(tmp_path / "bundles", given).path)
    assert loaded.labels == tuple(given.labels)
    assert loaded.templates == given.templates
    assert (loaded.temperature, loaded.threshold) == (1.25, 0.4321)
    assert loaded.settings == json.loads(json.dumps(given.settings))
    assert loaded.report == given.report
    assert (loaded.path / "report.html").read_text(encoding="utf-8") == "<p>报告</p>"


def test_the_same_content_has_the_same_id_and_no_second_copy(
    tmp_path: Path, contents: MakeContents
) -> None:
    first = write_bundle(tmp_path / "bundles", contents())
    manifest = (first.path / "manifest.json").stat()
    second = write_bundle(tmp_path / "bundles", contents())
    elsewhere = write_bundle(tmp_path / "other", contents())
    assert first.id == second.id == elsewhere.id
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [first.id]
    assert (second.path / "manifest.json").stat().st_mtime_ns == manifest.st_mtime_ns


@pytest.mark.parametrize(
    "change",
    [{"threshold": 0.5}, {"temperature": 1.5}, {"report": {}}, {"settings": {}}, {"templates": {}}],
)
def test_other_content_has_another_id(
    tmp_path: Path, contents: MakeContents, bundle: Bundle, change: dict[str, object]
) -> None:
    assert write_bundle(tmp_path / "bundles", contents(**change)).id != bundle.id


def test_a_damaged_copy_of_the_same_content_is_replaced(
    tmp_path: Path, contents: MakeContents, bundle: Bundle
) -> None:
    (bundle.path / "labels.json").write_text("[]")
    again = write_bundle(tmp_path / "bundles", contents())
    assert again.path == bundle.path
    assert load_bundle(again.path).labels == bundle.labels
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [bundle.id]


@pytest.mark.parametrize("consume", [False, True])
def test_later_changes_of_the_run_folder_do_not_reach_the_bundle(
    tmp_path: Path, contents: MakeContents, model_folder: Path, consume: bool
) -> None:
    weights = model_folder / "model.safetensors"
    with weights.open("r+b") as handle:  # open while the bundle is made, changed afterwards
        bundle = write_bundle(tmp_path / "bundles", contents(consume_model=consume))
        if not consume:
            handle.write(b"changed!")
    assert model_folder.exists() is not consume
    model_folder.mkdir(exist_ok=True)
    weights.write_bytes(b"another model")
    assert load_bundle(bundle.path).id == bundle.id


def test_a_consumed_model_is_moved_not_copied(
    tmp_path: Path, contents: MakeContents, model_folder: Path
) -> None:
    before = (model_folder / "model.safetensors").stat()
    bundle = write_bundle(tmp_path / "bundles", contents(consume_model=True))
    after = (bundle.path / "model" / "model.safetensors").stat()
    assert (after.st_ino, after.st_nlink) == (before.st_ino, 1)


def test_a_file_that_others_link_to_is_copied(
    tmp_path: Path, contents: MakeContents, model_folder: Path
) -> None:
    other_name = tmp_path / "kept.safetensors"
    other_name.hardlink_to(model_folder / "model.safetensors")
    bundle = write_bundle(tmp_path / "bundles", contents(consume_model=True))
    other_name.write_bytes(b"changed")
    assert load_bundle(bundle.path).id == bundle.id


def test_weights_behind_a_link_are_copied_as_files(
    tmp_path: Path, contents: MakeContents, model_folder: Path
) -> None:
    moved = (model_folder / "model.safetensors").rename(tmp_path / "blob")
    (model_folder / "model.safetensors").symlink_to(moved)
    bundle = write_bundle(tmp_path / "bundles", contents())
    assert not (bundle.path / "model" / "model.safetensors").is_symlink()
    assert load_bundle(bundle.path).id == bundle.id


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": ()}, "are empty or repeated"),
        ({"labels": ("a", "a")}, "are empty or repeated"),
        ({"temperature": 0.0}, "temperature 0.0 is not above 0"),
        ({"temperature": float("nan")}, "temperature nan is not above 0"),
        ({"threshold": 1.5}, "threshold 1.5 is not between 0 and 1"),
        (
            {"model_folder": Path("/nowhere")},
            "/nowhere: there is no saved model here; tune the run",
        ),
        ({"report_html": Path("/none.html")}, "/none.html: is missing; evaluate the run first"),
    ],
)
def test_contents_that_do_not_fit_are_refused(
    tmp_path: Path, contents: MakeContents, change: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BundleError, match=re.escape(sentence)):
        write_bundle(tmp_path / "bundles", contents(**change))
    assert not (tmp_path / "bundles").exists()


def test_templates_of_an_unknown_intent_are_refused_and_nothing_is_left(
    tmp_path: Path, contents: MakeContents
) -> None:
    with pytest.raises(ConfigError, match=r"templates: \[refunds\] is not an intent.*'refund'\?"):
        write_bundle(tmp_path / "bundles", contents(templates={"refunds": {"en": ["Yes."]}}))
    assert list((tmp_path / "bundles").iterdir()) == []


def test_a_report_that_is_not_json_is_refused_and_nothing_is_left(
    tmp_path: Path, contents: MakeContents
) -> None:
    with pytest.raises(StoreError, match=r"report.json: a value cannot be written as JSON"):
        write_bundle(tmp_path / "bundles", contents(report={"loss": float("nan")}))
    assert list((tmp_path / "bundles").iterdir()) == []


def test_pickles_are_not_packed(tmp_path: Path, contents: MakeContents, model_folder: Path) -> None:
    (model_folder / "optimizer.pt").write_bytes(b"")
    with pytest.raises(BundleError, match=r"optimizer.pt: .pt files may hold a pickle, which can"):
        write_bundle(tmp_path / "bundles", contents())
    assert list((tmp_path / "bundles").iterdir()) == []


def test_a_model_folder_without_weights_is_refused(
    tmp_path: Path, contents: MakeContents, model_folder: Path
) -> None:
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(BundleError, match="holds no safetensors file"):
        write_bundle(tmp_path / "bundles", contents())


def test_what_a_killed_writer_left_is_cleared_after_a_day(
    tmp_path: Path, contents: MakeContents
) -> None:
    old, young = (tmp_path / "bundles" / f".partial-{name}" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"half")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    write_bundle(tmp_path / "bundles", contents())
    assert not old.exists()
    assert young.exists()


WRITE_WITH_LITTLE_DISK = """
import resource, sys
from pathlib import Path
from tailorbird.bundle import BundleContents, write_bundle
from tailorbird.errors import BundleError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
contents = BundleContents(Path(sys.argv[1]), ("a",), {}, {}, {}, 1.0, 0.5)
try:
    write_bundle(sys.argv[2], contents)
except BundleError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_is_named_and_nothing_is_left(tmp_path: Path, model_folder: Path) -> None:
    with (model_folder / "model.safetensors").open("r+b") as handle:
        handle.truncate(1_000_000)
    finished = subprocess.run(
        [sys.executable, "-c", WRITE_WITH_LITTLE_DISK, str(model_folder), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the bundle cannot be written (File too large); free some space" in finished.stdout
    assert list((tmp_path / "out").iterdir()) == []


def test_a_copied_bundle_loads_anywhere(tmp_path: Path, bundle: Bundle) -> None:
    shutil.copytree(bundle.path, tmp_path / "my favourite")
    assert load_bundle(tmp_path / "my favourite").id == bundle.id
