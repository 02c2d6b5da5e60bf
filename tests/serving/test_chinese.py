"""Refusals in Chinese: for whoever asks for it, and every sentence that can be refused with."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tailorbird
from tailorbird.errors import KnowledgeError
from tailorbird.serving.chinese import in_chinese
from tailorbird.serving.languages import error_said, preferred_language, said

SOURCE = Path(tailorbird.__file__).parent
ROOMS = (
    "serving", "knowledge", "assistants/service_desk", "assistants/opinion", "assistants/recommend",
)  # fmt: skip
ERRORS = {
    "KnowledgeError", "RequestError", "NotFoundError", "ConflictError", "ForbiddenError",
    "UnavailableError", "HTTPException", "refusal", "slow_down", "_no_key", "RowError",
}  # fmt: skip
NAMED = {"PydanticCustomError", "Reject"}
"""Whose first argument is a name or a place, and no sentence."""
HAN = re.compile(r"[\u4e00-\u9fff]")


def texts_of(node: ast.expr) -> Iterator[str]:
    """What an expression may say, with an x wherever something is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
        yield "".join(map(str, parts))
    elif isinstance(node, ast.Subscript):
        yield from texts_of(node.value)
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body)
        yield from texts_of(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from texts_of(value)


def sentences() -> Iterator[tuple[str, str]]:
    """(where, sentence) of everything that is refused with."""
    for room in ROOMS:
        for path in sorted((SOURCE / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                    continue
                if node.func.id not in ERRORS | NAMED:
                    continue
                said_by = node.args[1:] if node.func.id in NAMED else node.args
                given = [*said_by, *(k.value for k in node.keywords if k.arg == "cure")]
                for one in given:
                    for text in texts_of(one):
                        if text and set(text) != {"x"}:
                            yield f"{path.relative_to(SOURCE)}:{one.lineno}", text


def test_every_sentence_that_is_refused_with_is_there_in_chinese() -> None:
    missing = [
        f"{where}: {sentence}"
        for where, sentence in sentences()
        for one in WHOLE.get(sentence, (sentence,))
        if not HAN.search(in_chinese(one)) and not sentence.startswith(SKIPPED)
    ]
    assert missing == []


WHOLE = {
    "the header x x": ("the header x is missing", "the header x does not fit this session"),
    "too many requests came from x": (
        "too many requests came from this address", "too many requests came from this key",
    ),
    "x by its first bytes, and x by its name": (
        "is an archive by its first bytes, and x by its name",
        "is x by its first bytes, and x by its name",
    ),
    "x, which says nothing about what it is": (
        "ends in x, which says nothing about what it is",
        "has no ending, which says nothing about what it is",
    ),
    "version x was edited, and version x is in force by nowx": (
        "version x was edited, and version x is in force by now",
        "version x was edited, and version x is in force by now, by x",
    ),
}  # fmt: skip
"""Sentences that are put together, and what may come of it."""
SKIPPED = ("as {", 'text =~~ "', "x = ")
"""Examples, which are the same in every language."""


def test_what_was_found_stands_in_the_sentence() -> None:
    assert in_chinese("is larger than 1,000,000 bytes") == "超过 1,000,000 字节"
    told = "ada is visitor, and this is for agents"
    assert in_chinese(told) == "ada 的角色是 visitor，此处仅限 agent"
    assert in_chinese("nobody has written this") == "nobody has written this"


def test_braces_of_an_example_are_no_places() -> None:
    cure = "write {order} for a slot, {X200 | warranty} for a fact"
    assert in_chinese(cure) == "槽位写作 {order}，事实写作 {X200 | warranty}"


@pytest.mark.parametrize(
    ("asked", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB,zh;q=0.5", "en"), ("fr, zh", "zh"), ("", "en")],
)
def test_the_first_language_that_is_spoken_here_counts(asked: str, language: str) -> None:
    assert preferred_language(asked) == language
    assert (
        said("is empty", preferred_language(asked)) == {"zh": "是空的", "en": "is empty"}[language]
    )


def test_errors_are_told_whole() -> None:
    error = KnowledgeError("is empty", where="a.md", cure="unpack it")
    assert error_said(error, "zh") == "a.md：是空的；请先解压"
    assert error_said(error, "en") == "a.md: is empty; unpack it"


def test_the_guard_and_the_routes_refuse_in_the_language_that_was_asked_for(
    make_client: Any,
) -> None:
    client = make_client(api_key="k", max_body_bytes=1000)
    chinese = {"accept-language": "zh-CN,zh;q=0.9"}
    right = chinese | {"authorization": "Bearer k"}
    refused = client.post("/v1/predict", json={"texts": ["a"]}, headers=chinese)
    assert refused.json()["error"] == {
        "message": "此接口需要 API 密钥",
        "where": "authorization",
        "cure": "请发送请求头 Authorization: Bearer KEY",
    }
    large = client.post("/v1/predict", json={"texts": ["a" * 2000]}, headers=right)
    assert (large.status_code, large.json()["error"]["message"]) == (413, "超过 1,000 字节")
    empty = client.post("/v1/predict", json={"texts": [""]}, headers=right)
    assert empty.json()["error"]["message"] == "是空的"
    wrong = client.post("/v1/predict", json={"text": ["a"]}, headers=right)
    assert HAN.search(wrong.json()["error"]["message"])
    english = client.post(
        "/v1/predict", json={"texts": [""]}, headers={"authorization": "Bearer k"}
    )
    assert english.json()["error"]["message"] == "is empty"
    assert client.get("/v1/nowhere", headers=right).json()["error"]["message"] == "这里什么也没有"
