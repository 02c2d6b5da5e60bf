"""CSV of questions and their answers."""

from __future__ import annotations

import csv
import io

from tailorbird.errors import KnowledgeError
from tailorbird.knowledge.parsing.bounds import Limits
from tailorbird.knowledge.parsing.parsed import Parsed, Section, cleaned
from tailorbird.knowledge.parsing.plain import decode

QUESTION = ("question", "q", "问题", "问", "提问", "问句")
ANSWER = ("answer", "a", "reply", "答案", "回答", "答", "回复")
HEADING = ("category", "topic", "heading", "分类", "类别", "主题")
"""Names of columns, as they are told apart."""
DELIMITERS = ",;\t"


def parse(content: bytes, limits: Limits) -> Parsed:
    """One section a row: the columns named question and answer, or the two that there are.

    Raises KnowledgeError where it cannot be told which columns they are, and where no row has
    both.
    """
    csv.field_size_limit(limits.max_bytes)
    text = decode(content).lstrip("\ufeff")
    first_line = next(iter(text.lstrip().splitlines()), "")
    delimiter = max(DELIMITERS, key=first_line.count)
    lines = io.StringIO(text, newline="")  # the reader itself knows all ends of lines
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if any(row)]
    if not rows:
        raise KnowledgeError("holds no rows", cure="give it the columns question and answer")
    names = [cell.strip().lower() for cell in rows[0]]
    question, answer = _column(names, QUESTION), _column(names, ANSWER)
    if question is not None and answer is not None:
        heading, body = _column(names, HEADING), rows[1:]
    elif len(names) == 2:
        question, answer, heading, body = 0, 1, None, rows
    else:
        raise KnowledgeError(
            f"has {len(names)} columns, and none are called question and answer",
            cure="name two of them question,answer or 问题,答案 in the first line",
        )
    sections = tuple(
        Section(
            _cell(row, answer),
            _cell(row, heading),
            " ".join(_cell(row, question).split()),
        )
        for row in body
        if _cell(row, question) and _cell(row, answer)
    )
    if not sections:
        raise KnowledgeError(
            "has no row with a question and an answer", cure="fill in both in each row"
        )
    return Parsed(sections)


def _column(names: list[str], known: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _cell(row: list[str], column: int | None) -> str:
    return cleaned(row[column]) if column is not None and column < len(row) else ""
