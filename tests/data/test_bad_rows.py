"""Every way in which a row can be broken has its own cause and cure, and is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailorbird.config import ReadingSettings
from tailorbird.data import read
from tailorbird.data.rows import MAX_LINE_CHARS, Reject
from tailorbird.errors import DataError, TooManyRejectsError

LENIENT = ReadingSettings(max_reject_fraction=1.0)


def chat(*messages: object, **fields: object) -> str:
    return json.dumps({"messages": messages, **fields})


USER = {"role": "user", "content": "hi"}
GOOD_CHAT = chat(USER, {"role": "assistant", "content": "hello"})
GOOD_FLAT = '{"text": "hi", "intent": "greet", "time": "2024-05-01", "split": "test", "rating": 4}'

CHATS: dict[str, tuple[str, str, str]] = {
    "not JSON": ("{'messages': []}", "is not JSON: Expecting property name", "one object a line"),
    "cut off inside a string": (GOOD_CHAT[:30], "the line is cut off after 30 characters", "full"),
    "cut off between values": ('{"messages": [', "the line is cut off after 14 characters", "full"),
    "an array": ('["hi"]', "is an array, not an object", '{"text": …}'),
    "a string": ('"hi"', "is a string, not an object", '{"text": …}'),
    "null": ("null", "is null, not an object", '{"text": …}'),
    "nested too deeply": ("[" * 100_000, "is nested too deeply", "check its writer"),
    "NUL byte": ('{"messages": "\0"}', "the line holds a NUL byte", "may be damaged"),
    "no messages": ('{"id": 1}', "has none of messages, conversations", "list of messages"),
    "messages not a list": ('{"messages": "hi"}', "messages is a string, not a list", "[{…}]"),
    "no message": ('{"messages": []}', "messages is empty", "leave the row out"),
    "a message not an object": (chat("hi"), "messages[0] is a string, not an object", '"role"'),
    "unknown role": (
        chat({"role": "bot", "content": "hi"}),
        "role 'bot' is not one of system, user, assistant",
        "map it with --roles bot=assistant",
    ),
    "no role": (chat({"content": "hi"}), "messages[0] has no role", '"role": "user"'),
    "no content": (chat({"role": "user"}), "messages[0] has no content", '"content"'),
    "content not a string": (
        chat({"role": "user", "content": 7}),
        "messages[0].content is a number, not a string",
        "in quotes",
    ),
    "content without a text part": (
        chat({"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}),
        "messages[0] has no part of type text",
        "leave such messages out",
    ),
    "no user turn": (
        chat({"role": "assistant", "content": "hello"}),
        "no message is from the user",
        "--roles",
    ),
    "half a character": (
        '{"messages": [{"role": "user", "content": "\\ud83d"}]}',
        "messages[0].content holds half of a character",
        "both of its \\u escapes",
    ),
    "bad time of a message": (
        chat({**USER, "time": "soon"}),
        "messages[0].time is 'soon', not a time",
        "2024-05-01T08:30:00+08:00",
    ),
    "bad label of a message": (
        chat({**USER, "intent": ["a", "b"]}),
        "messages[0].label is a list, not a name",
        "one string",
    ),
}

FLATS: dict[str, tuple[str, str, str]] = {
    "no text": ('{"intent": "greet"}', "has no 'text'; it has 'intent'", "name every field alike"),
    "null text": ('{"text": null}', "text is null", "leave the row out"),
    "text not a string": ('{"text": 12}', "text is a number, not a string", "in quotes"),
    "label not a name": (
        '{"text": "hi", "intent": {"a": 1}}',
        "intent is an object, not a name",
        "one string or whole number",
    ),
    "bad time": (
        '{"text": "hi", "time": "01/02/2024"}',
        "time is '01/02/2024', not a time",
        "2024-05-01T08:30:00+08:00",
    ),
    "time of the wrong type": ('{"text": "hi", "time": [1]}', "time is [1], not a time", "write"),
    "unknown split": (
        '{"text": "hi", "split": "holdout"}',
        "split is 'holdout', not a split",
        "train, validation or test",
    ),
    "rating not a number": (
        '{"text": "hi", "rating": "five"}',
        "rating is 'five', not a number",
        "write a number",
    ),
    "rating out of range": ('{"text": "hi", "rating": 6}', "rating is 6, outside 1 to 5", "empty"),
}

TABLES: dict[str, tuple[str, str, str]] = {
    "too few fields": ("hi", "has 1 fields where the header has 2", "quotes"),
    "too many fields": ("hi, you,greet", "has 3 fields where the header has 2", "quotes"),
    "NUL byte in a field": ("h\0i,greet", "column 'text' holds a NUL byte", "may be damaged"),
    "a quote never closed": ('"hi,greet', "opens a quote that is never closed", 'double it: ""'),
    "a field too wide": ("x" * 140_000 + ",greet", "has a field of more than 131,072", "shorten"),
}


def rejects_of(path: Path, settings: ReadingSettings = LENIENT) -> list[Reject]:
    rejects: list[Reject] = []
    reading = read(path, settings, on_reject=rejects.append)
    n_interactions = len(list(reading))
    assert reading.n_rows == reading.n_read + reading.n_rejected
    assert reading.n_rejected == len(rejects)
    assert reading.n_records == n_interactions
    return rejects


@pytest.mark.parametrize(("row", "cause", "cure"), CHATS.values(), ids=CHATS)
def test_broken_conversation_is_rejected_with_line_cause_and_cure(
    tmp_path: Path, row: str, cause: str, cure: str
) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(f"{GOOD_CHAT}\n{row}\n{GOOD_CHAT}\n", encoding="utf-8")
    [bad] = rejects_of(path)
    assert (bad.file, bad.line) == ("chats.jsonl", 2)
    assert cause in bad.cause
    assert cure in bad.cure


@pytest.mark.parametrize(("row", "cause", "cure"), FLATS.values(), ids=FLATS)
def test_broken_flat_row_is_rejected_with_line_cause_and_cure(
    tmp_path: Path, row: str, cause: str, cure: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{GOOD_FLAT}\n{GOOD_FLAT}\n{row}\n" + f"{GOOD_FLAT}\n" * 9, encoding="utf-8")
    [bad] = rejects_of(path)
    assert (bad.file, bad.line) == ("rows.jsonl", 3)
    assert cause in bad.cause
    assert cure in bad.cure


@pytest.mark.parametrize(("row", "cause", "cure"), TABLES.values(), ids=TABLES)
def test_broken_table_row_is_rejected_and_its_neighbours_are_read(
    tmp_path: Path, row: str, cause: str, cure: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f'text,intent\n"two\nlines",greet\n{row}\nbye,part\n', encoding="utf-8")
    [bad] = rejects_of(path)
    assert (bad.file, bad.line) == ("rows.csv", 4)
    assert cause in bad.cause
    assert cure in bad.cure
    assert [row.text for row in read(path, LENIENT)] == ["two\nlines", "bye"]


def test_bytes_outside_the_encoding_cost_only_their_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = '{"text": "退货"}'.encode()
    path.write_bytes(good + b"\n" + '{"text": "退货"}'.encode("gbk") + b"\n" + good + b"\n" + good)
    [bad] = rejects_of(path)
    assert bad.line == 2
    assert bad.cause == "holds bytes that are not in the file's encoding (first: 0xCD)"
    assert "--set reading.encoding=" in bad.cure
    json.dumps(bad.to_json(), ensure_ascii=False).encode("utf-8")  # rejects.jsonl can be written


def test_bytes_outside_the_encoding_cost_only_their_row_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("text,label\n好,a\n坏".encode() + b"\xff" + ",a\n好,b\n".encode())
    [bad] = rejects_of(path)
    assert (bad.line, bad.cause) == (
        3,
        "holds bytes that are not in the file's encoding (first: 0xFF)",
    )


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_line_that_never_ends_is_rejected_without_being_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    head, good = ("text\n", "hi\n") if name.endswith("csv") else ("", '{"text": "hi"}\n')
    with path.open("w") as file:
        file.write(head + good)
        file.write("x" * (MAX_LINE_CHARS + 10) + "\n")
        file.write(good)
    [bad] = rejects_of(path)
    assert bad.cause == "the line is longer than 10,000,000 characters"
    assert len(bad.raw) == 500


@pytest.mark.parametrize(
    ("item", "line", "cause"),
    [
        ("- just words", 5, "nlu item is 'just words', not a mapping"),
        ("- examples: |\n    - hi", 5, "nlu item has no intent"),
        ("- intent: bye", 5, "intent 'bye' has no examples"),
        ("- intent: bye\n  examples: |\n    bye", 7, "example does not start with '- '"),
        ("- intent: bye\n  examples:\n  - metadata: x", 5, "example has no text"),
    ],
)
def test_broken_rasa_item_is_rejected_with_its_line(
    tmp_path: Path, item: str, line: int, cause: str
) -> None:
    path = tmp_path / "nlu.yml"
    path.write_text(f"nlu:\n- intent: greet\n  examples: |\n    - hi\n{item}\n", encoding="utf-8")
    [bad] = rejects_of(path)
    assert (bad.line, bad.cause) == (line, cause)


def test_quote_never_closed_does_not_swallow_the_rows_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = "".join(f"row {n},a\n" for n in range(3000))
    path.write_text(f'text,intent\n"open,a\n{rows}', encoding="utf-8")
    [bad] = rejects_of(path)
    assert bad.line == 2
    assert len(list(read(path, LENIENT))) == 3000


def test_too_many_bad_rows_stop_the_reading_and_say_what_was_wrong(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "hi"}\n' * 7 + "oops\n" * 3, encoding="utf-8")
    with pytest.raises(TooManyRejectsError) as caught:
        list(read(path))
    message = str(caught.value)
    assert "3 of 10 rows are bad (30%, allowed are 20%)" in message
    assert "the first: rows.jsonl:8: is not JSON" in message
    assert "reading.max_reject_fraction" in message


def test_too_many_bad_rows_stop_a_long_reading_early(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "hi"}\noops\n' * 5_000, encoding="utf-8")
    reading = read(path)
    with pytest.raises(TooManyRejectsError):
        list(reading)
    assert reading.n_rows == 1_000


def test_broken_array_names_the_line_where_it_breaks(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[\n{"text": "a"},\n{"text": oops}\n]', encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.json:3: the JSON array is not JSON"):
        list(read(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"}', "ends before its closing bracket"),
        ('[{"text": "a"}] []', "goes on after its closing bracket"),
        ('{\n"text": "a"\n}', "is one JSON object over several lines"),
        ("", "holds no rows"),
        ("\n\n", "holds no rows"),
    ],
)
def test_file_without_rows_says_so(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(read(path))


def test_role_of_a_person_is_advised_to_be_the_user(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = '{"messages": [{"role": "user", "content": "hi"}]}\n'
    path.write_text(good * 9 + good.replace("user", "visitor"))
    [bad] = rejects_of(path)
    assert bad.cure == "map it with --roles visitor=user"


def test_words_inside_an_object_are_not_advised_to_be_quoted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "hi"}\n' * 9 + '{"text": {"body": "hi"}}\n')
    [bad] = rejects_of(path)
    assert bad.cause == "text is an object, not a string"
    assert bad.cure == "write the words themselves there, or name their own column with --text"
