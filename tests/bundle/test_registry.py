import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tailorbird.bundle import Bundle, BundleContents, load_bundle, registry, write_bundle
from tailorbird.errors import CorruptBundleError, StoreError
from tailorbird.store import Workspace

MakeContents = Callable[..., BundleContents]


@pytest.fixture
def make(workspace: Workspace, contents: MakeContents) -> Callable[[float], Bundle]:
    """Makes a bundle that differs by its threshold."""
    return lambda threshold: write_bundle(workspace.bundles_path, contents(threshold=threshold))


def live_id(workspace: Workspace) -> str:
    record = registry.live_bundle(workspace)
    assert record is not None
    return record.id


def test_nothing_is_live_at_first(workspace: Workspace) -> None:
    assert registry.live_bundle(workspace) is None
    assert registry.history(workspace) == []


def test_a_published_bundle_is_live_with_its_reason_and_accuracy(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    bundle = make(0.1)
    record = registry.publish(workspace, bundle, "first build")
    assert record == registry.live_bundle(workspace)
    assert (record.id, record.path, record.action) == (bundle.id, bundle.path, "publish")
    assert (record.reason, record.until, record.is_live) == ("first build", None, True)
    assert record.accuracy == bundle.report["test"]["accuracy"]["value"]
    assert record.run is None  # the report's run was not made in this workspace
    assert load_bundle(record.path).id == bundle.id


def test_the_run_of_a_bundle_is_remembered_where_the_workspace_knows_it(
    workspace: Workspace, contents: MakeContents, report: dict[str, object]
) -> None:
    run = workspace.new_run("shop.jsonl")
    own = contents(report=report | {"run": {"name": run.name}})
    record = registry.publish(workspace, write_bundle(workspace.bundles_path, own), "own run")
    assert record.run == run.name


def test_a_report_without_figures_can_be_published(
    workspace: Workspace, contents: MakeContents
) -> None:
    bundle = write_bundle(workspace.bundles_path, contents(report={}))
    assert registry.publish(workspace, bundle, "no report").accuracy is None


def test_history_tells_what_was_live_from_when_to_when(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    first, second = make(0.1), make(0.2)
    registry.publish(workspace, first, "first")
    registry.publish(workspace, second, "better")
    registry.roll_back(workspace, "complaints")
    records = registry.history(workspace)
    assert [(r.id, r.action, r.reason) for r in records] == [
        (first.id, "roll back", "complaints"),
        (second.id, "publish", "better"),
        (first.id, "publish", "first"),
    ]
    assert [r.is_live for r in records] == [True, False, False]
    assert records[2].until == records[1].since
    assert records[1].until == records[0].since
    assert records[2].since < records[1].since < records[0].since


def test_publishing_what_is_live_changes_nothing(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    first = registry.publish(workspace, make(0.1), "first")
    assert registry.publish(workspace, make(0.1), "again") == first
    assert len(registry.history(workspace)) == 1


def test_rolling_back_twice_goes_further_back_and_never_forth(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    a, b, c = make(0.1), make(0.2), make(0.3)
    for bundle in (a, b, c):
        registry.publish(workspace, bundle, "next")
    assert registry.roll_back(workspace, "c is bad").id == b.id
    assert registry.roll_back(workspace, "b is bad too").id == a.id
    with pytest.raises(StoreError, match=f"no bundle was live before {a.id}, so there is nothing"):
        registry.roll_back(workspace, "a as well")
    assert live_id(workspace) == a.id


def test_a_roll_back_after_publishing_again_returns_to_what_was_live_then(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    a, b, c = make(0.1), make(0.2), make(0.3)
    registry.publish(workspace, a, "")
    registry.publish(workspace, b, "")
    registry.roll_back(workspace, "")
    registry.publish(workspace, c, "")
    assert registry.roll_back(workspace, "").id == a.id


def test_nothing_to_roll_back_is_said(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    with pytest.raises(StoreError, match="no bundle is live, so there is nothing to roll back; pu"):
        registry.roll_back(workspace, "")
    registry.publish(workspace, make(0.1), "first")
    with pytest.raises(StoreError, match="so there is nothing to roll back to; publish another on"):
        registry.roll_back(workspace, "")


def test_a_damaged_bundle_is_not_published(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    good, bad = make(0.1), make(0.2)
    registry.publish(workspace, good, "good")
    (bad.path / "model" / "model.safetensors").write_bytes(b"damaged after it was loaded")
    with pytest.raises(CorruptBundleError, match=r"model.safetensors: has 27 bytes"):
        registry.publish(workspace, bad, "bad")
    assert live_id(workspace) == good.id


def test_a_folder_that_holds_another_bundle_by_now_is_not_published(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    first, second = make(0.1), make(0.2)
    shutil.rmtree(first.path)
    second.path.rename(first.path)
    with pytest.raises(CorruptBundleError, match=f"holds bundle {second.id}, not {first.id} as wh"):
        registry.publish(workspace, first, "swapped")
    assert registry.live_bundle(workspace) is None


def test_a_roll_back_to_a_damaged_bundle_leaves_the_live_one(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    first, second = make(0.1), make(0.2)
    registry.publish(workspace, first, "")
    registry.publish(workspace, second, "")
    (first.path / "labels.json").unlink()
    with pytest.raises(CorruptBundleError, match=r"labels.json: is missing"):
        registry.roll_back(workspace, "")
    assert live_id(workspace) == second.id


def test_a_bundle_from_elsewhere_is_copied_into_the_workspace(
    tmp_path: Path, workspace: Workspace, bundle: Bundle
) -> None:
    downloaded = tmp_path / "downloads" / "bundle"
    shutil.copytree(bundle.path, downloaded)
    record = registry.publish(workspace, load_bundle(downloaded), "from a colleague")
    shutil.rmtree(downloaded)
    assert record.path == workspace.bundles_path / bundle.id
    assert load_bundle(record.path).id == bundle.id


def test_the_record_survives_opening_the_workspace_again(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    record = registry.publish(workspace, make(0.1), "first")
    workspace.close()
    with Workspace.open(workspace.path) as again:
        assert registry.live_bundle(again) == record


def test_publishers_at_once_leave_one_live_bundle_and_a_whole_history(
    workspace: Workspace, make: Callable[[float], Bundle]
) -> None:
    bundles = [make(number / 10) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda bundle: registry.publish(workspace, bundle, "race"), bundles))
    records = registry.history(workspace)
    assert {record.id for record in records} == {bundle.id for bundle in bundles}
    assert [record.is_live for record in records] == [True, False, False, False]
    for later, earlier in pairwise(records):
        assert earlier.until == later.since
