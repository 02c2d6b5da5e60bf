"""Bases and questions of `benchmarks.grounding`: what is answerable, and how one knows.

**Chinese**, from `taobao_service_qa/question_answer.txt`. Kept are rows whose first part asks
something (it has a question word and at least five characters, and no number was blanked out in
it): greetings and thanks need no knowledge. Of equal questions the first is kept. A seeded half of
the questions, with their answers, is the base. A question of the base is answerable. One of the
other half is not unanswerable for that alone: shops are asked the same things all day. So a seeded
sample of that half was read, each question beside the rows of the base that are nearest to it (by
BM25, by pairs of characters, and by multilingual E5), and judged: does one of these ask the same,
so that its answer would do? `grounding_labels.json` has the verdicts by row number, no text. What
was judged answerable is the *paraphrased* part; the rest of the sample is *unanswerable*.

**English**, from `bitext_customer_service`: a seeded half of the 27 intents has its written answer
(`grounding_templates`) in the base, the test part's questions of all intents are asked. They are
paraphrases by nature. A question of an intent that is not in the base counts as unanswerable, also
where a neighbour is in it (`get_refund` without `track_refund`), which is strict.
"""

from __future__ import annotations

import csv
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.building import data_folder
from benchmarks.grounding_templates import TEMPLATES
from tailorbird.records import Example, Passage

LABELS = Path(__file__).with_name("grounding_labels.json")
ASKS = re.compile(
    r"什么|怎么|怎样|吗|多少|几|哪|能不能|可不可以|可以不|有没有|是不是|会不会|要不要|多久|啥|咋|么$"
)
MIN_CHARACTERS = 5
SPLIT_SEED = 5

Kind = Literal["identical", "paraphrased", "unanswerable"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and which pieces of the base answer it; none: nothing does."""

    text: str
    kind: Kind
    answers: frozenset[str]
    """Ids of pieces."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """A base with the questions that are asked of it."""

    name: str
    backbone: str
    pieces: list[Passage]
    asked: list[Asked]
    logs: list[Example]
    """Questions with their accepted answers, for what is tuned from logs."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of question_answer.txt without the spaces between its words."""

    number: int
    """From 1, as in the file."""
    question: str
    answer: str


def read_rows(path: Path) -> list[Row]:
    """The rows that ask something, each question once."""
    rows: dict[str, Row] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        question, _, answer = (part.replace(" ", "") for part in line.partition("\t"))
        is_asked = ASKS.search(question) and len(question) >= MIN_CHARACTERS
        if is_asked and "<NUM>" not in question and answer:
            rows.setdefault(question, Row(number, question, answer))
    return list(rows.values())


def halves(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(the base, the others), each in the order of a seeded shuffle."""
    order = list(rows)
    random.Random(SPLIT_SEED).shuffle(order)
    return order[: len(order) // 2], order[len(order) // 2 :]


def taobao(data: Path, labels: Path = LABELS) -> Grounding:
    """The Chinese base and its questions, those of the other half by their *labels*."""
    folder = data_folder(data, "taobao_service_qa")
    base, others = halves(read_rows(folder / "question_answer.txt"))
    pieces = [
        Passage(str(row.number), "question_answer.txt", "", row.answer, 0.0, question=row.question)
        for row in base
    ]
    judged = json.loads(labels.read_text(encoding="utf-8"))["answered_by"]
    asked = [Asked(row.question, "identical", frozenset([str(row.number)])) for row in base]
    for row in others:
        if str(row.number) in judged:
            answers = frozenset(map(str, judged[str(row.number)]))
            kind: Kind = "paraphrased" if answers else "unanswerable"
            asked.append(Asked(row.question, kind, answers))
    return Grounding("taobao", "e5", pieces, asked, [])


def bitext(data: Path, *, draw: int, n_asked: int = 0) -> Grounding:
    """The English base of one draw of the intents, and its questions.

    *n_asked*: of each answer so many questions of the train part are in the base as well, as those
    are whose answers were accepted.
    """
    folder = data_folder(data, "bitext_customer_service")
    intents = sorted(TEMPLATES)
    random.Random(draw).shuffle(intents)
    known = set(intents[: len(intents) // 2])
    pieces = [
        Passage(intent, "faq.csv", "", TEMPLATES[intent][1], 0.0, question=TEMPLATES[intent][0])
        for intent in sorted(known)
    ]
    logs = [
        Example(text, intent, second=TEMPLATES[intent][1])
        for text, intent in _read_bitext(folder / "train.csv")
        if intent in known
    ]
    for intent in sorted(known):
        some = [one.text for one in logs if one.label == intent]
        random.Random(draw).shuffle(some)
        pieces += [
            Passage(f"{intent}.{k}", "faq.csv", "", TEMPLATES[intent][1], 0.0, question=text)
            for k, text in enumerate(list(dict.fromkeys(some))[:n_asked])
        ]
    asked = []
    for text, intent in _read_bitext(folder / "test.csv"):
        is_known = intent in known
        answers = frozenset(one.id for one in pieces if one.id.split(".")[0] == intent)
        asked.append(Asked(text, "paraphrased" if is_known else "unanswerable", answers))
    return Grounding(f"bitext, draw {draw}", "minilm", pieces, asked, logs)


def _read_bitext(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["utterance"], row["intent"]) for row in csv.DictReader(file)]
