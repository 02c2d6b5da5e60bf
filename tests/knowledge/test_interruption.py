"""A process that is killed while it adds a document leaves the old one or the new one, whole.

A child process adds the document; an event listener counts its SQL statements and commits, and at
the n-th the child dies (SIGKILL). The parent looks at what is left, for every n there is.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from tailorbird.knowledge import KnowledgeBase
from tailorbird.store import Workspace
from tailorbird.store.tables import ChunkRow, DocumentRow
from tailorbird.testing.encoder import WordEncoder

OLD = b"question,answer\na?,Kept.\nb?,Old words.\n"
NEW = b"question,answer\na?,Kept.\nb?,New words.\nc?,More words.\n"
ADD_AND_DIE = """
import os, signal, sys
from sqlalchemy import event
from tailorbird.knowledge import KnowledgeBase
from tailorbird.store import Workspace
from tailorbird.testing.encoder import WordEncoder

home, new = sys.argv[1], sys.argv[2].encode()

def attempt(last_step):
    n_steps = 0

    def step(*_):
        nonlocal n_steps
        if n_steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)
        n_steps += 1

    with Workspace.open(home) as workspace:
        event.listen(workspace.engine, "before_cursor_execute", step)
        event.listen(workspace.engine, "commit", step)
        KnowledgeBase(workspace, WordEncoder()).add("a.csv", new)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        attempt(int(line))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_killed_addition_leaves_the_old_or_the_new_document(tmp_path: Path) -> None:
    home = tmp_path / "workspace"
    with Workspace.open(home) as workspace:
        KnowledgeBase(workspace, WordEncoder()).add("a.csv", OLD)
        old = kept(workspace)
    assert [text for _, text in old[1]] == ["Kept.", "Old words."]
    child = subprocess.Popen(
        [sys.executable, "-c", ADD_AND_DIE, str(home), NEW.decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    n_killed = 0
    for step in range(100):
        child.stdin.write(f"{step}\n")
        child.stdin.flush()
        code = int(child.stdout.readline())
        with Workspace.open(home) as workspace:
            left = kept(workspace)
        if code == 0:
            break
        assert code == -9
        n_killed += 1
        assert left == old, step
    child.stdin.close()
    child.stdout.close()
    child.wait()
    assert n_killed >= 6
    assert [text for _, text in left[1]] == ["Kept.", "New words.", "More words."]
    with Workspace.open(home) as workspace:
        base = KnowledgeBase(workspace, WordEncoder())
        assert base.search("new words", k=1)[0].text == "New words."


def kept(workspace: Workspace) -> tuple[str, list[tuple[str, str]]]:
    """Hash of the document, and its pieces, each of which has a vector."""
    with workspace.sessions() as session:
        (document,) = session.scalars(select(DocumentRow))
        chunks = session.scalars(select(ChunkRow).order_by(ChunkRow.number)).all()
    assert all(chunk.vector for chunk in chunks)
    return document.hash, [(chunk.id, chunk.text) for chunk in chunks]
