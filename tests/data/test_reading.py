"""Logs of every kind become the same interactions."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.config import ReadingSettings
from tailorbird.data import load_interactions, read, write_interactions
from tailorbird.data.values import time_value
from tailorbird.errors import ConfigError, DataError, RowError
from tailorbird.records import Interaction, Message


def rows_of(path: Path | str, **settings: str) -> list[Interaction]:
    reading = read(path, ReadingSettings(**settings))
    rows = list(reading)
    assert (reading.n_rejected, reading.n_rows) == (0, reading.n_read)
    return rows


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def decisions_of(path: Path, **settings: str) -> list[str]:
    reading = read(path, ReadingSettings(**settings))
    list(reading)
    return reading.decisions


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


# -- columns


def test_csv_columns_are_guessed_and_the_guess_is_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "cat,label,review,reply,uid,Created At,rating,split\n"
        'books,1,"good, ""really"" good\nbook",thanks,7,2024/5/1 8:30,5,dev\n',
    )
    [found] = rows_of(path)
    assert found == Interaction(
        id="a.csv:2",
        text='good, "really" good\nbook',
        reply="thanks",
        label="1",
        user="7",
        time=datetime(2024, 5, 1, 8, 30, tzinfo=UTC),
        split="validation",
        feedback=1.0,
        source="a.csv:2",
    )
    assert decisions_of(path) == [
        "text: column 'review' (guessed from its name)",
        "label: column 'label' (guessed from its name)",
        "user: column 'uid' (guessed from its name)",
        "time: column 'Created At' (guessed from its name)",
        "reply: column 'reply' (guessed from its name)",
        "split: column 'split' (guessed from its name)",
        "feedback: column 'rating' (guessed from its name; 1 to 5 becomes -1 to 1)",
    ]


def test_chinese_column_names_are_known(tmp_path: Path) -> None:
    [found] = rows_of(write(tmp_path / "a.csv", "用户,内容,意图,回复\n小李,我要退货,退货,好的\n"))
    assert (found.user, found.text, found.label, found.reply) == (
        "小李",
        "我要退货",
        "退货",
        "好的",
    )


def test_named_columns_win_and_nothing_is_told_about_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,note,topic\nwrong,right,greet\n")
    [found] = rows_of(path, text="note", label="topic")
    assert (found.text, found.label) == ("right", "greet")
    assert decisions_of(path, text="note", label="topic") == []


def test_table_with_names_of_its_own_is_read_by_its_options() -> None:
    reviews = Path(__file__).parents[2] / "examples" / "logs" / "reviews.csv"
    first, *others = rows_of(
        reviews, text="comment", label="topic", user="customer_no", time="posted_at",
        reply="shop_answer",
    )  # fmt: skip
    assert (first.text, first.reply) == ("茶壶出水很顺，泡了一周没有异味。", "谢谢您喜欢！")
    assert (first.label, first.user, first.feedback) == ("quality", "k204", 1.0)
    assert first.time == datetime(2026, 9, 8, 10, 12, tzinfo=UTC)
    assert len(others) == 29


@pytest.mark.parametrize(
    ("header", "settings", "message"),
    [
        (
            "a,b",
            {},
            r"no column looks like the person's words; it has 'a', 'b'; .*--text COLUMN",
        ),
        (
            "query,question",
            {},
            r"columns 'query' and 'question' could each hold the person's words; "
            r"choose with --text 'query'",
        ),
        (
            "text,topic,category",
            {},
            r"columns 'topic' and 'category' could each hold the label; choose with --label",
        ),
        ("text,b", {"label": "lable"}, r"has no column 'lable'; it has 'text', 'b'; name one"),
        ("text,intent", {"label": "intents"}, r"did you mean --label 'intent'\?"),
    ],
)
def test_columns_that_cannot_be_told_are_listed_with_the_option(
    tmp_path: Path, header: str, settings: dict[str, str], message: str
) -> None:
    path = write(tmp_path / "a.csv", f"{header}\n{','.join('x' * len(header.split(',')))}\n")
    with pytest.raises(DataError, match=message):
        rows_of(path, **settings)


def test_column_whose_values_do_not_fit_its_name_is_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", "text,date,score,set\nhi,Monday,excellent,A\nyo,Friday,poor,B\n"
    )
    assert [(row.time, row.feedback, row.split) for row in rows_of(path)] == [
        (None, None, None)
    ] * 2
    assert "time: column 'date' left out, its values (as 'Monday') are no time" in decisions_of(
        path
    )


def test_missing_values_become_none_and_numbers_become_names(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": None}, {"text": "c", "label": "NaN"}]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [row.label for row in rows_of(path)] == ["1", None, None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-05-01T08:30:00Z", "2024-05-01T08:30:00+00:00"),
        ("2024-05-01 08:30:00+08:00", "2024-05-01T08:30:00+08:00"),
        ("2024/5/1 8:30", "2024-05-01T08:30:00+00:00"),
        ("2024年5月1日 8:30", "2024-05-01T08:30:00+00:00"),
        ("20240501", "2024-05-01T00:00:00+00:00"),
        ("Wed, 01 May 2024 08:30:00 +0800", "2024-05-01T08:30:00+08:00"),
        ("1 May 2024", "2024-05-01T00:00:00+00:00"),
        ("May 1, 2024 8:30 PM", "2024-05-01T20:30:00+00:00"),
        ("01-May-2024 12:05 a.m.", "2024-05-01T00:05:00+00:00"),
        (1714552200, "2024-05-01T08:30:00+00:00"),
        ("1714552200000", "2024-05-01T08:30:00+00:00"),
    ],
)
def test_times_of_many_forms_are_understood(
    tmp_path: Path, value: str | int, expected: str
) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "hi", "time": value}))
    [found] = rows_of(path)
    assert found.time is not None
    assert found.time.isoformat() == expected


@pytest.mark.parametrize(
    "value",
    ["5/6/2024", "01-May-24", "May 2024", "Fri May 3 08:30:00 CST 2024", "1 May 2024 15:00 PM"],
)
def test_times_that_can_be_misread_are_refused(value: str) -> None:
    with pytest.raises(RowError, match="not a time; write it as 2024-05-01T08:30:00"):
        time_value(value, "time")


# -- formats: the same three rows in every one of them

ROWS = [("where is it?", "track"), ("我要退款", "refund"), ('say "hi"', "greet")]


def texts_and_labels(path: Path | str, **settings: str) -> list[tuple[str, str | None]]:
    return [(row.text, row.label) for row in rows_of(path, **settings)]


def as_jsonl(path: Path) -> None:
    rows = [{"text": text, "intent": label} for text, label in ROWS]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))


def as_array(path: Path) -> None:
    rows = [{"text": text, "intent": label} for text, label in ROWS]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=2))


def as_csv(path: Path) -> None:
    path.write_text('text,intent\nwhere is it?,track\n我要退款,refund\n"say ""hi""",greet\n')


def as_semicolons(path: Path) -> None:
    path.write_text('text;intent\nwhere is it?;track\n我要退款;refund\n"say ""hi""";greet\n')


def as_tsv(path: Path) -> None:
    path.write_text('text\tintent\nwhere is it?\ttrack\n我要退款\trefund\n"say ""hi"""\tgreet\n')


def as_parquet(path: Path) -> None:
    texts, labels = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"text": texts, "intent": labels, "image": [b"\xff"] * 3}), path)


def as_npy(path: Path) -> None:
    array = np.array(ROWS, dtype=[("text", "U20"), ("intent", "U10")])
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def as_rasa(path: Path) -> None:
    path.write_text(
        'version: "3.1"\nnlu:\n'
        "- intent: track\n  examples: |\n    - where is [it](thing)?\n"
        "- synonym: cash\n  examples: |\n    - money\n"
        '- intent: refund\n  examples: |\n    - 我要[退款]{"entity": "what"}\n'
        '- intent: greet\n  examples:\n  - text: |\n      say "hi"\n'
    )


FORMATS = {
    "a.jsonl": as_jsonl,
    "a.json": as_array,
    "a.csv": as_csv,
    "b.csv": as_semicolons,
    "a.tsv": as_tsv,
    "a.parquet": as_parquet,
    "a.npy": as_npy,
    "a.yml": as_rasa,
}


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, is_compressed: bool) -> None:
    path = tmp_path / name
    FORMATS[name](path)
    if is_compressed:
        packed = tmp_path / f"{name}.gz"
        with path.open("rb") as plain, gzip.open(packed, "wb") as target:
            shutil.copyfileobj(plain, target)
        path = packed
    assert texts_and_labels(path) == ROWS


def test_sql_table_gives_the_same_rows_in_the_order_of_its_key(tmp_path: Path) -> None:
    url = make_database(tmp_path / "shop.db")
    assert texts_and_labels(url, table="chats") == ROWS
    [first, *_] = rows_of(url, table="chats")
    assert (first.id, first.source) == ("1", "chats:1")


def make_database(path: Path) -> str:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table chats (id integer primary key, text text, intent text)")
        connection.execute("create table users (id integer)")
        for number, row in reversed(list(enumerate(ROWS, 1))):
            connection.execute("insert into chats values (?, ?, ?)", (number, *row))
    connection.close()
    return f"sqlite:///{path}"


def test_missing_table_is_answered_with_the_tables_there_are(tmp_path: Path) -> None:
    url = make_database(tmp_path / "shop.db")
    with pytest.raises(DataError, match=r"the database holds: chats, users; name one with --table"):
        rows_of(url)
    with pytest.raises(DataError, match=r"has no table 'chat'.*did you mean 'chats'\?"):
        rows_of(url, table="chat")


def test_wrong_values_of_a_database_cost_only_their_rows(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table chats (text text, label decimal(5, 1), at datetime)")
        connection.execute("insert into chats values ('hi', 2, '2024/5/1 8:30')")
        connection.execute("insert into chats values ('you', 3, '2024-05-02 08:30:00')")
        connection.execute("insert into chats values (cast(x'ff41' as text), 3, null)")
    connection.close()
    reading = read(
        f"sqlite:///{tmp_path / 'shop.db'}",
        ReadingSettings(table="chats", time="at", max_reject_fraction=0.5),
        on_reject=(rejects := []).append,
    )
    assert [(row.label, str(row.time)[:16]) for row in reading] == [
        ("2", "2024-05-01 08:30"),
        ("3", "2024-05-02 08:30"),
    ]
    assert [(bad.line, bad.cause) for bad in rejects] == [
        (3, "holds bytes that are not in the file's encoding (first: 0xFF)")
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://shop.example/a.csv", "'https' are not known; save it as a file first"),
        ("sqlit:///shop.db", "'sqlit' are not known; use sqlite:///file.db"),
        ("sqlite://shop.db", "^is not a database URL: Invalid SQLite URL.*; as sqlite:///file.db$"),
        ("postgresql://h:port/shop", "is not a database URL: .*'port'"),
    ],
)
def test_url_that_is_no_database_is_one_sentence(url: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows_of(url, table="chats")


def test_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path / "shop.db", "text,label\n" * 100)
    with pytest.raises(DataError, match=r"^sqlite:.*cannot be read \(file is not a database\); c"):
        rows_of(f"sqlite:///{tmp_path / 'shop.db'}", table="chats")


def test_missing_database_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the database file does not exist"):
        rows_of(f"sqlite:///{tmp_path / 'no.db'}", table="chats")
    assert not (tmp_path / "no.db").exists()


def test_password_of_a_database_stays_out_of_messages() -> None:
    with pytest.raises(DataError) as caught:
        rows_of("sqlite://me:secret@/no.db", table="t")
    assert "secret" not in str(caught.value)


def test_conversation_of_another_form_is_told_the_form_that_is_read(tmp_path: Path) -> None:
    row = {"dialogue_id": 1, "turns": [{"speaker": "USER", "utterance": "hi"}]}
    path = write(tmp_path / "a.jsonl", json.dumps(row))
    with pytest.raises(
        DataError, match=r"if 'turns' is a conversation, write it as \"messages\": "
    ):
        rows_of(path)


def test_pickled_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array(["a", None], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="without unpickling, which could run foreign code"):
        rows_of(path)


def test_array_of_strings_is_read_as_texts(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(["hi", "你好"]))
    assert [row.text for row in rows_of(tmp_path / "a.npy")] == ["hi", "你好"]


def test_array_of_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"holds numbers of shape \(2, 3\), not texts"):
        rows_of(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", "no such file or folder"),
        ("a.docx", "files of kind '.docx' are not read; known kinds"),
        ("a.parquet", "is not a Parquet file"),
        ("a.jsonl.gz", "is not gzipped, whatever its name says; take .gz off its name"),
        ("a.yml", "is not YAML"),
        ("b.yml", "has no list under the key 'nlu'"),
    ],
)
def test_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, message: str) -> None:
    if name != "missing.csv":
        write(tmp_path / name, "version: 1" if name == "b.yml" else "nlu: [oops")
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path / name)


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
