"""A publish that is killed or fails at any of its steps leaves the old bundle live.

A child process does the publishing. An audit hook sees each change it makes to a file or folder
and an event listener each of its SQL statements; at the n-th of them the child dies (SIGKILL) or
fails (an exception). The parent then looks at what is left, for every n there is.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailorbird.bundle import BundleContents, load_bundle, registry, write_bundle
from tailorbird.store import Workspace

PUBLISH_AND_STUMBLE = '''
import json, os, signal, sys
from pathlib import Path
from sqlalchemy import event
from tailorbird.bundle import BundleContents, load_bundle, registry, write_bundle
from tailorbird.store import Workspace

home, model, how = sys.argv[1:]

STEPS = {"open", "os.mkdir", "os.rename", "os.link"}
READS = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY

class Stumbled(Exception):
    """The step that was not to be."""

def attempt(last_step):
    """Do it all, but for the step after last_step; returns the number of steps done."""
    n_steps, is_on = 0, False

    def step():
        nonlocal n_steps, is_on
        if not is_on:
            return
        if n_steps == last_step:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            is_on = False  # what cleans up afterwards may work
            raise Stumbled
        n_steps += 1

    def on_audit(name, args):
        if name in STEPS and not (name == "open" and args[2] | READS == READS):
            step()

    sys.addaudithook(on_audit)
    with Workspace.open(home) as workspace:
        event.listen(workspace.engine, "before_cursor_execute", lambda *_: step())
        event.listen(workspace.engine, "commit", lambda *_: step())
        is_on = True
        report = json.loads(Path(home, "report.json").read_text())
        contents = BundleContents(
            Path(model), ("a", "b"), {}, {}, report, 1.0, 0.9, consume_model=False
        )
        bundle = write_bundle(workspace.bundles_path, contents)
        registry.publish(workspace, bundle, "the new one")
        is_on = False
    return n_steps

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            n_steps = attempt(int(line))
            os._exit(0)
        except Stumbled:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
'''


@pytest.mark.skipif(not hasattr(sys, "addaudithook") or sys.platform == "win32", reason="forks")
@pytest.mark.parametrize(("how", "code"), [("kill", -9), ("raise", 3)])
def test_an_interrupted_publish_leaves_the_old_bundle_live(
    tmp_path: Path,
    workspace: Workspace,
    contents: Callable[..., BundleContents],
    model_folder: Path,
    how: str,
    code: int,
) -> None:
    old = write_bundle(workspace.bundles_path, contents())
    registry.publish(workspace, old, "the old one")
    (workspace.path / "report.json").write_text(json.dumps({"made": "by the child"}))
    n_interrupted = 0
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISH_AND_STUMBLE, str(workspace.path), str(model_folder), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:

        def attempt(last_step: int) -> Any:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"{last_step}\n")
            child.stdin.flush()
            return int(child.stdout.readline())

        while (outcome := attempt(n_interrupted)) != 0:
            assert outcome == code
            n_interrupted += 1
            live = registry.live_bundle(workspace)
            assert live is not None
            assert (live.id, live.reason) == (old.id, "the old one")
            assert load_bundle(live.path).id == old.id
            # Whatever else there is under a bundle's name is a whole bundle.
            others = {path.name for path in workspace.bundles_path.glob("[!.]*")} - {old.id}
            assert [load_bundle(workspace.bundles_path / name).id for name in others] == [*others]
            if how == "raise":
                assert list(workspace.bundles_path.glob(".*")) == []
        assert child.stdin is not None
        child.stdin.close()
    assert n_interrupted > 20  # folders, files, the rename, the statements of the transaction
    live = registry.live_bundle(workspace)
    assert live is not None
    assert (live.reason, len(registry.history(workspace))) == ("the new one", 2)
    assert load_bundle(live.path).report == {"made": "by the child"}
