import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import text

from tailorbird.errors import StoreError
from tailorbird.store import Workspace
from tailorbird.store.tables import RunRow

OPEN_AND_RUN = """
import sys
from tailorbird.store import Workspace
print("ready", flush=True)
sys.stdin.readline()
with Workspace.open(sys.argv[1]) as workspace:
    workspace.new_run("shop.jsonl").set_status("done")
"""


def test_opening_makes_the_folders_and_the_database(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "deep" / "home") as workspace:
        names = {path.name for path in workspace.path.iterdir()}
    assert {"runs", "bundles", "cache", "tailorbird.db"} <= names
    assert workspace.runs_path == tmp_path / "deep" / "home" / "runs"


def test_the_argument_wins_over_the_environment_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILORBIRD_WORKSPACE", str(tmp_path / "from-environment"))
    with Workspace.open() as workspace:
        assert workspace.path == tmp_path / "from-environment"
    with Workspace.open(tmp_path / "from-argument") as workspace:
        assert workspace.path == tmp_path / "from-argument"


def test_without_a_choice_the_home_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAILORBIRD_WORKSPACE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Workspace.open() as workspace:
        assert workspace.path == tmp_path / ".tailorbird"


def test_a_path_with_odd_characters_opens(tmp_path: Path) -> None:
    for name in ("工作 区", "50%20 off", "what?a=b#c"):
        with Workspace.open(tmp_path / name) as workspace:
            workspace.new_run("shop.jsonl")
            assert (tmp_path / name / "tailorbird.db").is_file()


def test_what_was_stored_is_there_after_opening_again(workspace: Workspace) -> None:
    name = workspace.new_run("shop.jsonl").name
    workspace.close()
    with Workspace.open(workspace.path) as again:
        assert again.run().name == name


def test_sqlite_runs_with_wal_foreign_keys_and_patience(workspace: Workspace) -> None:
    with workspace.sessions() as session:
        found = {
            pragma: session.scalar(text(f"PRAGMA {pragma}"))
            for pragma in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30000}


def test_processes_that_open_a_new_workspace_at_once_all_succeed(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPEN_AND_RUN, str(tmp_path / "shared")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:  # all have imported, none has opened
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    complaints = [process.communicate(timeout=60)[1] for process in processes]
    assert complaints == ["", "", "", ""]
    with Workspace.open(tmp_path / "shared") as workspace, workspace.sessions() as session:
        rows = session.query(RunRow).all()
    assert [row.status for row in rows] == ["done"] * 4
    assert len({row.name for row in rows}) == 4


def test_a_failed_transaction_changes_nothing(workspace: Workspace) -> None:
    run = workspace.new_run("shop.jsonl")

    def change_and_fail() -> None:
        with workspace.writing() as session:
            session.get_one(RunRow, run.name).status = "done"
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert run.status == "running"


def test_a_reader_sees_the_old_state_while_somebody_writes(workspace: Workspace) -> None:
    run = workspace.new_run("shop.jsonl")
    with workspace.writing() as session:
        session.get_one(RunRow, run.name).status = "done"
        session.flush()
        assert run.status == "running"
    assert run.status == "done"


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file: is not a folder; choose another with --work"):
        Workspace.open(tmp_path / "file")
    with pytest.raises(StoreError, match=r"inner: is not a folder"):
        Workspace.open(tmp_path / "file" / "inner")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_folder_that_cannot_be_written_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        is_root = os.geteuid() == 0
        if is_root:  # root may write everywhere, so become nobody for a moment
            os.seteuid(65534)
        try:
            with pytest.raises(StoreError, match=r"cannot be written \(Permission denied\); cho"):
                Workspace.open(folder)
        finally:
            if is_root:
                os.seteuid(0)
        Path(folder).chmod(0o755)


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "tailorbird.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match=r"tailorbird.db: database: .*not a database; the file"):
        Workspace.open(tmp_path)


def test_a_database_of_a_newer_version_is_refused(workspace: Workspace) -> None:
    with workspace.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"schema 9999, this version knows up to 0\d+; a newer"):
        Workspace.open(workspace.path)
