"""Interactions become conversations again: each once, in turn, up to its last answer."""

from __future__ import annotations

import json
from pathlib import Path

from tailorbird.data import read
from tailorbird.data.tasks.dialogues import to_dialogues
from tailorbird.records import Interaction, Message


def said(dialogue: tuple[Message, ...]) -> str:
    return " ".join(f"{message.role[0]}:{message.content}" for message in dialogue)


def turns(words: str) -> tuple[Message, ...]:
    """``u:Hi a:Hello`` as messages."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    pairs = [word.split(":") for word in words.split()]
    return tuple(Message(roles[role], content) for role, content in pairs)  # type: ignore[arg-type]


def read_rows(folder: Path, *rows: dict[str, object]) -> list[Interaction]:
    path = folder / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return list(read(path))


def messages(words: str) -> dict[str, object]:
    return {"messages": [{"role": m.role, "content": m.content} for m in turns(words)]}


def test_every_conversation_of_a_log_comes_back_once(tmp_path: Path) -> None:
    wanted = ["u:Hi a:Hello u:Bye a:Ciao", "s:Kind u:Hi a:Hello", "u:Hi a:Hello u:Bye a:Ciao"]
    found = to_dialogues(read_rows(tmp_path, *map(messages, wanted)))
    assert [said(dialogue) for dialogue in found] == wanted


def test_flat_rows_are_conversations_of_one_exchange(tmp_path: Path) -> None:
    row = {"text": "Hi", "reply": "Hello"}
    assert [said(d) for d in to_dialogues(read_rows(tmp_path, row, row))] == ["u:Hi a:Hello"] * 2


def test_a_turn_that_was_cleaned_away_lives_on_in_the_history_of_the_next(tmp_path: Path) -> None:
    interactions = read_rows(tmp_path, messages("u:Hi a:Hello u:Bye a:Ciao"))
    assert [said(d) for d in to_dialogues(interactions[1:])] == ["u:Hi a:Hello u:Bye a:Ciao"]


def test_order_of_the_turns_does_not_matter(tmp_path: Path) -> None:
    interactions = read_rows(tmp_path, messages("u:1 a:2 u:3 a:4 u:5 a:6"))
    assert to_dialogues(reversed(interactions)) == to_dialogues(interactions)


def test_conversation_ends_with_its_last_answer(tmp_path: Path) -> None:
    rows = [messages("u:Hi a:Hello u:Bye"), messages("u:Anybody")]
    assert [said(d) for d in to_dialogues(read_rows(tmp_path, *rows))] == ["u:Hi a:Hello"]


def test_both_speak_in_turn_and_the_person_begins(tmp_path: Path) -> None:
    rows = [messages("a:Welcome u:Hi u:there a:Hello a:friend u:Bye a:Ciao")]
    (dialogue,) = to_dialogues(read_rows(tmp_path, *rows))
    assert said(dialogue) == "u:Hi\nthere a:Hello\nfriend u:Bye a:Ciao"


def test_system_message_is_put_where_there_is_none(tmp_path: Path) -> None:
    rows = [messages("u:Hi a:Hello"), messages("s:Own u:Hi a:Hello")]
    found = to_dialogues(read_rows(tmp_path, *rows), system="Kind")
    assert [said(d) for d in found] == ["s:Kind u:Hi a:Hello", "s:Own u:Hi a:Hello"]


def test_turns_made_in_memory_belong_together_by_their_ids() -> None:
    history = turns("u:Hi a:Hello")
    interactions = [
        Interaction("x:1", "Hi", "Hello"),
        Interaction("x:2", "Bye", "Ciao", history=history),
        Interaction("y:1", "Hi", "Hello"),
    ]
    found = [said(d) for d in to_dialogues(interactions)]
    assert found == ["u:Hi a:Hello u:Bye a:Ciao", "u:Hi a:Hello"]
