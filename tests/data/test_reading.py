"""Logs become interactions, turn by turn, and are kept in a file of their own."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.config import ReadingSettings
from tailorbird.data import load_interactions, read, write_interactions
from tailorbird.errors import ConfigError, DataError
from tailorbird.records import Interaction, Message

from .reading import rows_of, write

# -- conversations


def test_openai_messages_give_one_interaction_a_user_turn(tmp_path: Path) -> None:
    row = {
        "id": "c1",
        "user": "u7",
        "intent": "greet",
        "time": "2024-05-01T08:30:00+08:00",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": "my order?", "intent": "track", "time": 1714523460},
            {"role": "assistant", "content": "On its way.", "feedback": "good"},
            {"role": "assistant", "content": "Anything else?"},
        ],
    }
    first, second = rows_of(write(tmp_path / "chats.jsonl", json.dumps(row)))
    assert first == Interaction(
        id="c1:1",
        text="hi",
        reply="hello",
        label="greet",
        user="u7",
        time=datetime(2024, 5, 1, 8, 30, tzinfo=timezone(timedelta(hours=8))),
        history=(Message("system", "Be kind."),),
        source="chats.jsonl:1",
    )
    assert second == Interaction(
        id="c1:2",
        text="my order?",
        reply="On its way.\nAnything else?",
        label="track",
        user="u7",
        time=datetime(2024, 5, 1, 0, 31, tzinfo=UTC),
        feedback=1.0,
        history=(
            Message("system", "Be kind."),
            Message("user", "hi"),
            Message("assistant", "hello"),
        ),
        source="chats.jsonl:1",
    )


def test_sharegpt_conversations_are_read_with_their_own_role_names(tmp_path: Path) -> None:
    row = {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]}
    [found] = rows_of(write(tmp_path / "chats.json", json.dumps([row])))
    assert (found.text, found.reply, found.id) == ("hi", "hello", "chats.json:1")


def test_list_form_content_is_joined_and_tool_calls_are_not_words(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "42"},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
    ]
    [found] = rows_of(write(tmp_path / "a.jsonl", json.dumps({"messages": messages})))
    assert (found.text, found.reply) == ("look", "A cat.")


def test_user_turn_without_answer_has_no_reply(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "user", "content": "there?"}]
    rows = rows_of(write(tmp_path / "a.jsonl", json.dumps({"messages": messages})))
    assert [row.reply for row in rows] == [None, None]
    assert rows[1].history == (Message("user", "hi"),)


def test_foreign_roles_are_mapped_by_the_setting(tmp_path: Path) -> None:
    messages = [{"role": "customer", "content": "hi"}, {"role": "bot", "content": "hello"}]
    path = write(tmp_path / "a.jsonl", json.dumps({"messages": messages}))
    [found] = rows_of(path, roles="bot=assistant, customer=user")
    assert (found.text, found.reply) == ("hi", "hello")


def test_wrong_role_mapping_is_found_before_the_file_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'bot=robot', which maps to none of system, user"):
        read(tmp_path / "missing.jsonl", ReadingSettings(roles="bot=robot"))


# -- the stream and its file


def test_reading_is_a_stream_that_is_iterated_once(tmp_path: Path) -> None:
    reading = read(write(tmp_path / "a.csv", "text\nhi\n"))
    assert len(list(reading)) == 1
    with pytest.raises(RuntimeError, match="iterate it once"):
        iter(reading)


messages = st.builds(
    Message, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=20)
)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
interactions = st.builds(
    Interaction,
    id=words,
    text=st.text(st.characters(exclude_categories=["Cs"])),
    reply=st.none() | words,
    label=st.none() | words,
    user=st.none() | words,
    time=st.none() | st.datetimes(timezones=st.just(UTC)),
    split=st.sampled_from([None, "train", "validation", "test"]),
    feedback=st.none() | st.floats(-1, 1),
    history=st.lists(messages, max_size=3).map(tuple),
    source=st.just("") | words,
)


@given(rows=st.lists(interactions, max_size=5))
def test_written_interactions_are_loaded_unchanged(
    rows: list[Interaction], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    assert write_interactions(path, rows) == len(rows)
    assert list(load_interactions(path)) == rows


def test_interrupted_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    old = [Interaction(id="1", text="old")]
    write_interactions(path, old)

    def interrupted():
        yield Interaction(id="2", text="new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_interactions(path, interrupted())
    assert list(load_interactions(path)) == old
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_foreign_file_is_not_loaded_as_interactions(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", '{"id": "1", "text": "a"}\n{"query": "b"}\n')
    with pytest.raises(DataError, match=r"rows.jsonl:2: is not an interaction"):
        list(load_interactions(path))
