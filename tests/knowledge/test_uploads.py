"""Documents that are taken in aside: in order, bounded, to be cancelled, and not lost by an end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from tailorbird.errors import ConflictError, KnowledgeError, NotFoundError, UnavailableError
from tailorbird.knowledge import KnowledgeBase
from tailorbird.knowledge.uploads import FOLDER, Upload, Uploads
from tailorbird.store import Workspace
from tailorbird.store.tables import AdminActionRow
from tailorbird.testing.encoder import WordEncoder

RETURNS = b"# Returns\n\nWithin 7 days.\n"


class HeldEncoder(WordEncoder):
    """Embeds a batch of passages whenever a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.gate = threading.Event(), threading.Semaphore(0)

    def embed(self, texts: Sequence[str], *, is_query: bool) -> np.ndarray:
        if not is_query:
            self.begun.set()
            assert self.gate.acquire(timeout=20)
        return super().embed(texts, is_query=is_query)


@pytest.fixture
def bases(workspace: Workspace) -> Iterator[Callable[..., KnowledgeBase]]:
    """Makes knowledge bases of one workspace, as several processes have them."""
    made: list[KnowledgeBase] = []

    def make(encoder: WordEncoder | None = None) -> KnowledgeBase:
        made.append(KnowledgeBase(workspace, encoder or WordEncoder()))
        return made[-1]

    yield make
    for base in made:
        if isinstance(base.encoder, HeldEncoder):
            base.encoder.gate.release(1000)
        base.uploads.close()


def until(upload: Callable[[], Upload], is_so: Callable[[Upload], bool]) -> Upload:
    deadline_s = time.monotonic() + 20
    while not is_so(found := upload()):
        assert time.monotonic() < deadline_s, found
        time.sleep(0.01)
    return found


def over(base: KnowledgeBase, upload: Upload) -> Upload:
    return until(lambda: base.uploads.get(upload.id), lambda one: one.is_over)


def test_a_document_is_taken_in_and_it_is_written_down_who_sent_it(
    bases: Callable[..., KnowledgeBase], workspace: Workspace
) -> None:
    base = bases()
    done = over(base, base.uploads.put("returns.md", RETURNS, who="ada"))
    assert (done.state, done.status, done.n_chunks, done.n_embedded) == ("done", "added", 1, 1)
    assert base.search("within days")[0].document == "returns.md"
    with workspace.sessions() as session:
        (row,) = session.scalars(select(AdminActionRow))
    assert (row.who, row.action, row.target) == ("ada", "add document", "returns.md")
    assert not list((workspace.path / FOLDER).glob("*.bin"))  # what was sent is kept no longer


def test_what_is_no_document_fails_and_says_why(bases: Callable[..., KnowledgeBase]) -> None:
    base = bases()
    failed = over(base, base.uploads.put("a.exe", b"x"))
    assert failed.state == "failed"
    assert isinstance(failed.problem, KnowledgeError)
    assert "which says nothing about what it is" in str(failed.problem)
    with pytest.raises(KnowledgeError, match="is no name for a document"):
        base.uploads.put("", RETURNS)


def test_one_sees_how_far_it_is_and_may_end_it(bases: Callable[..., KnowledgeBase]) -> None:
    encoder = HeldEncoder()
    base = bases(encoder)
    lines = "\n".join(f"question {n}?,answer {n}" for n in range(130))
    upload = base.uploads.put("faq.csv", f"question,answer\n{lines}\n".encode())
    encoder.gate.release()  # the first 64
    until(lambda: base.uploads.get(upload.id), lambda one: one.n_done == 64)
    assert base.uploads.get(upload.id).n_all == 130
    assert base.uploads.cancel(upload.id).state == "cancelled"
    encoder.gate.release(2)
    assert over(base, base.uploads.put("returns.md", RETURNS)).state == "done"
    assert base.uploads.get(upload.id).state == "cancelled"
    assert [row.name for row in base.documents()] == ["returns.md"]
    with pytest.raises(ConflictError, match="is cancelled already"):
        base.uploads.cancel(upload.id)


def test_more_than_may_wait_is_refused(bases: Callable[..., KnowledgeBase]) -> None:
    encoder = HeldEncoder()
    uploads = bases(encoder).uploads
    uploads.max_waiting, uploads.max_waiting_bytes = 3, 1000
    first = uploads.put("0.md", RETURNS)
    assert encoder.begun.wait(20)  # it is being read
    with pytest.raises(UnavailableError, match="1 documents wait to be read"):
        uploads.put("large.md", b"x" * 1000)
    for n in (1, 2):
        uploads.put(f"{n}.md", RETURNS)
    with pytest.raises(UnavailableError, match="3 documents wait to be read"):
        uploads.put("3.md", RETURNS)
    uploads.cancel(first.id)
    uploads.put("3.md", RETURNS)
    assert [one.name for one in uploads.list()] == ["3.md", "2.md", "1.md", "0.md"]


def test_what_waited_or_was_being_read_is_taken_in_by_the_next_start(
    bases: Callable[..., KnowledgeBase],
) -> None:
    encoder = HeldEncoder()
    before = bases(encoder)
    one, two = (before.uploads.put(f"{n}.md", RETURNS + str(n).encode()) for n in range(2))
    assert encoder.begun.wait(20)
    closing = threading.Thread(target=before.uploads.close)
    closing.start()
    encoder.gate.release()
    closing.join()
    after = bases()
    after.uploads.start()
    assert [over(after, upload).state for upload in (one, two)] == ["done", "done"]
    assert len(after.documents()) == 2


def sheet(workspace: Workspace, upload: Upload, **changes: object) -> None:
    path = workspace.path / FOLDER / f"{upload.id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


def test_what_was_cut_off_is_read_again_once_and_then_called_lost(
    bases: Callable[..., KnowledgeBase], workspace: Workspace
) -> None:
    holder = Uploads(workspace, lambda *_: pytest.fail("it only holds the place"))
    holder.start()  # another process works; it has nothing to do
    until_held = time.monotonic() + 20
    while not (workspace.path / FOLDER / "lock").exists():
        assert time.monotonic() < until_held
    time.sleep(0.05)
    base = bases()
    once, twice = (base.uploads.put(f"{n}.md", RETURNS) for n in range(2))
    sheet(workspace, once, state="cancelled")  # so that the holder leaves both alone
    sheet(workspace, twice, state="cancelled")
    holder.close()
    sheet(workspace, once, state="reading", n_tries=1)
    sheet(workspace, twice, state="reading", n_tries=2)
    assert over(base, once).state == "done"
    lost = over(base, twice)
    assert lost.state == "lost"
    assert str(lost.problem).startswith("1.md: was cut off twice while it was read; send it again")


def test_one_process_works_and_another_goes_on_where_it_ends(
    bases: Callable[..., KnowledgeBase],
) -> None:
    encoder = HeldEncoder()
    first, second = bases(encoder), bases()
    mine = first.uploads.put("mine.md", RETURNS)
    assert encoder.begun.wait(20)
    theirs = second.uploads.put("theirs.md", RETURNS)
    assert second.uploads.get(mine.id).state == "reading"
    assert first.uploads.get(theirs.id).state == "waiting"
    encoder.gate.release(2)
    assert over(second, mine).state == "done"
    assert over(second, theirs).state == "done"  # by the first, which was given it by nobody
    first.uploads.close()
    assert over(second, second.uploads.put("later.md", RETURNS)).state == "done"


def test_an_upload_that_is_not_there_is_told_so(base: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    for name in ("nowhere", "../../secret", ""):
        with pytest.raises(NotFoundError, match="there is no upload"):
            base.uploads.get(name)
