import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tailorbird.errors import StoreError
from tailorbird.store import Workspace
from tailorbird.store.tables import RunRow

WRITE_FOREVER = """
import sys
from tailorbird.store import Workspace
with Workspace.open(sys.argv[1]) as workspace:
    run = workspace.run()
    count = 0
    while True:
        count += 1
        run.write_json("state.json", {"count": count, "filling": [count] * 50_000})
        print(count, flush=True)
"""

WRITE_ON_A_FULL_DISK = """
import resource, sys
from tailorbird.errors import StoreError
from tailorbird.store import Workspace
with Workspace.open(sys.argv[1]) as workspace:
    run = workspace.run()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        run.write_json("state.json", ["new"] * 1000)
    except StoreError as error:
        print(error)
"""


def test_a_run_has_a_sortable_name_a_folder_and_a_row(workspace: Workspace) -> None:
    run = workspace.new_run("examples/logs/shop.jsonl")
    assert re.fullmatch(r"\d{8}-\d{6}-shop", run.name)
    assert run.path == workspace.runs_path / run.name
    assert run.path.is_dir()
    assert (run.status, run.source) == ("running", "examples/logs/shop.jsonl")
    assert run.name.startswith(f"{run.created:%Y%m%d-%H%M%S}")
    assert run.created.utcoffset() is not None


def test_runs_of_the_same_second_do_not_share_a_folder(workspace: Workspace) -> None:
    runs = [workspace.new_run("shop.jsonl") for _ in range(5)]
    assert len({run.path for run in runs}) == 5
    assert workspace.run().name == runs[-1].name


@pytest.mark.parametrize(
    ("source", "name", "ending"),
    [
        ("postgresql://host/shop?x=1", "", "-shop-x-1"),
        ("日志/客服记录.csv", "", "-客服记录"),
        ("shop.jsonl", "../../etc", "-etc"),
        ("...", "", "-run"),
        ("logs/", "", "-logs"),
        (r"C:\logs\shop.csv", "", "-shop"),
    ],
)
def test_the_name_of_a_run_says_its_source_and_stays_in_its_folder(
    workspace: Workspace, source: str, name: str, ending: str
) -> None:
    run = workspace.new_run(source, name)
    assert run.name.endswith(ending)
    assert run.path.parent == workspace.runs_path


def test_a_status_is_remembered_with_its_note_and_time(workspace: Workspace) -> None:
    run = workspace.new_run("shop.jsonl")
    run.set_status("failed", "loss is not a number")
    with workspace.sessions() as session:
        row = session.get_one(RunRow, run.name)
    assert (row.status, row.note) == ("failed", "loss is not a number")
    assert row.ended is not None
    assert row.ended >= row.created
    run.set_status("running")
    assert workspace.run().row().ended is None


def test_an_unknown_status_is_refused(workspace: Workspace) -> None:
    with pytest.raises(StoreError, match="status 'ok' is not one of running, done, failed"):
        workspace.new_run("shop.jsonl").set_status("ok")  # type: ignore[arg-type]


def test_an_unknown_run_names_the_nearest_and_the_known(workspace: Workspace) -> None:
    with pytest.raises(StoreError, match="there are no runs yet; tailorbird build LOGS"):
        workspace.run()
    name = workspace.new_run("shop.jsonl").name
    with pytest.raises(StoreError, match=rf"no run '{name}x'; did you mean '{name}'\? known: "):
        workspace.run(name + "x")


def test_a_run_whose_folder_is_gone_says_so(workspace: Workspace) -> None:
    run = workspace.new_run("shop.jsonl")
    run.path.rmdir()
    with pytest.raises(StoreError, match=f"the folder of run {run.name} is gone"):
        workspace.run(run.name)


def test_json_comes_back_and_chinese_stays_readable(workspace: Workspace) -> None:
    run = workspace.new_run("shop.jsonl")
    value = {"意图": ["退款", "refund"], "share": 0.1, "none": None}
    path = run.write_json("report.json", value)
    assert run.read_json("report.json") == value
    assert "退款" in path.read_text(encoding="utf-8")
    assert [file.name for file in run.path.iterdir()] == ["report.json"]


def test_a_missing_or_broken_file_of_a_run_is_named(workspace: Workspace) -> None:
    run = workspace.new_run("shop.jsonl")
    run.write_json("splits.json", {})
    with pytest.raises(StoreError, match=r"has no report.json; .*there: splits.json"):
        run.read_json("report.json")
    (run.path / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match=r"report.json: is not JSON"):
        run.read_json("report.json")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_json_does_not_have_is_refused_and_the_old_file_stays(
    workspace: Workspace, value: float
) -> None:
    run = workspace.new_run("shop.jsonl")
    run.write_json("report.json", {"loss": 1.5})
    with pytest.raises(StoreError, match=r"report.json: a value cannot be written as JSON"):
        run.write_json("report.json", {"loss": value})
    assert run.read_json("report.json") == {"loss": 1.5}


def test_a_killed_writer_leaves_a_whole_file(workspace: Workspace) -> None:
    run = workspace.new_run("shop.jsonl")
    run.write_json("state.json", {"count": 0, "filling": []})
    for n_writes in (1, 2, 4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE_FOREVER, str(workspace.path)],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            for _ in range(n_writes):
                process.stdout.readline()
            process.kill()
        state = run.read_json("state.json")
        assert state["filling"] == [state["count"]] * 50_000


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_is_named_and_the_old_file_stays(workspace: Workspace) -> None:
    run = workspace.new_run("shop.jsonl")
    run.write_json("state.json", ["old"])
    finished = subprocess.run(
        [sys.executable, "-c", WRITE_ON_A_FULL_DISK, str(workspace.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "state.json: cannot be written (File too large); free some space" in finished.stdout
    assert run.read_json("state.json") == ["old"]
    assert [file.name for file in Path(run.path).iterdir()] == ["state.json"]


def test_a_run_is_found_by_the_name_it_was_begun_with(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        first = workspace.new_run("logs.csv", "shop")
        workspace.new_run("logs.csv", "other")
        assert workspace.run("shop").name == first.name
        assert workspace.run(first.name).name == first.name
        with pytest.raises(StoreError, match="there is no run 'hop'"):
            workspace.run("hop")
