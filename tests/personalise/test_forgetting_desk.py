"""Who is forgotten leaves the service desk, too: conversations, decisions, drafts, documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from tailorbird.knowledge.tuning import HELD_OUT, held_out, keep_held_out
from tailorbird.personalise.forgetting import forget
from tailorbird.personalise.traces import names_of
from tailorbird.records import Example
from tailorbird.store import Workspace
from tailorbird.store.tables import (
    ChunkRow,
    ConversationRow,
    DecisionRow,
    DocumentRow,
    DraftRow,
    TurnRow,
    drafted_document,
)

USER = "ada-lovelace-1815"
MARKER = "my quilted raccoon ate the parcel"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A conversation of the user and one of somebody else, each with all that hangs on it."""
    with Workspace.open(tmp_path / "space") as opened:
        with opened.writing() as session:
            for user, words in ((USER, MARKER), ("bo", "hello there, I wait for it")):
                session.add(ConversationRow(id=f"c-{user}", user=user))
                session.add(DecisionRow(conversation_id=f"c-{user}", text=words, kind="refusal"))
                draft = DraftRow(conversation_id=f"c-{user}", question=words, answer=f"re {words}")
                document = drafted_document(draft.id)
                session.add_all([draft, DocumentRow(name=document, hash="", kind="qa", n_bytes=1)])
                session.flush()
                session.add(
                    TurnRow(conversation_id=f"c-{user}", number=0, author="visitor", text=words)
                )
                chunk = ChunkRow(id=f"k-{user}", document=document, number=0, text=words)
                session.add(chunk)
            session.add(DecisionRow(user=names_of(USER)[1], text=MARKER, kind="refusal"))
            session.add(DraftRow(question=MARKER, answer="of chat without a conversation"))
        yield opened


def files_with(folder: Path, words: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if words.encode() in path.read_bytes()]


def test_nothing_of_the_user_is_left_at_the_desk(workspace: Workspace) -> None:
    assert files_with(workspace.path, MARKER) != []
    found = forget(workspace, USER)
    assert found.n_desk == 8  # conversation, turn, two decisions, two drafts, document, chunk
    assert found.left == []
    assert files_with(workspace.path, MARKER) == []
    assert files_with(workspace.path, USER) == []
    assert forget(workspace, USER).n_desk == 0


def test_others_keep_theirs(workspace: Workspace) -> None:
    forget(workspace, USER)
    with workspace.sessions() as session:
        for kind in (ConversationRow, TurnRow, DecisionRow, DraftRow, DocumentRow, ChunkRow):
            assert len(session.scalars(select(kind)).all()) == 1, kind


def test_words_at_the_desk_are_looked_for_in_files(workspace: Workspace) -> None:
    stray = workspace.path / "notes.txt"
    stray.write_text(f"call back: {MARKER}", encoding="utf-8")
    assert forget(workspace, USER).left == [stray]


def test_what_was_tuned_at_the_desk_is_named(workspace: Workspace) -> None:
    elsewhere = workspace.path.parent / "reranker"
    elsewhere.mkdir()
    choice = json.dumps({"reranker": str(elsewhere)})
    (workspace.path / "reranker.json").write_text(choice, encoding="utf-8")
    folder = workspace.path / "encoders" / "acceptance"
    folder.mkdir(parents=True)
    (folder / "acceptance.json").write_text('{"intents": ["parcel"]}', encoding="utf-8")
    found = forget(workspace, USER)
    assert found.tuned == {
        "encoders/acceptance": "tailorbird knowledge tune-replies",
        str(elsewhere): "tailorbird knowledge tune LOGS --reranker",
    }
    assert found.left == []


def test_what_a_search_was_not_tuned_on_goes_too(workspace: Workspace) -> None:
    folder = workspace.path / "encoders" / "tuned"
    folder.mkdir(parents=True)
    pairs = [
        Example(MARKER, user=USER, second="We are sorry."),
        Example("where is my parcel?", user="bo", second="On its way."),
    ]
    keep_held_out(pairs, folder / HELD_OUT)
    found = forget(workspace, USER)
    assert found.left == []
    assert found.n_rows == 1
    assert [one.text for one in held_out(folder)] == ["where is my parcel?"]
