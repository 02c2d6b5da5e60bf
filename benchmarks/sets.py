"""The public sets as rows: read from the files of their folders, divided by a seeded shuffle.

The sets that come with a test part keep it; validation is cut from train, the same for all sides.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from benchmarks.building import data_folder

Row = TypeVar("Row")
Turns = list[dict[str, str]]
"""One dialogue: ``{"role": "user" or "assistant", "content": …}``, oldest first."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts with what is to be said about each: a label, or (start, end, label) spans."""

    texts: list[str]
    targets: list[Any]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int]) -> Rows:
        """The rows at *indices*, in that order."""
        return Rows([self.texts[i] for i in indices], [self.targets[i] for i in indices])


@dataclass(frozen=True, slots=True)
class PublicSet:
    """Where a set lies and how it is read."""

    folder: str
    backbone: str
    """The embedded model for its language."""
    task: Literal["single_label", "tokens"]
    train: Callable[[Path], Rows]
    test: Callable[[Path], Rows]
    max_tokens: int
    """Longer texts are cut here, on all sides."""


def read_csv(path: Path, text: str, label: str) -> Rows:
    """Rows of a CSV file with the columns *text* and *label*."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Rows([row[text] for row in rows], [row[label] for row in rows])


def read_pairs(path: Path) -> Rows:
    """Rows of a gzipped JSON list of ``[text, label]``; labels as strings."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = json.load(file)
    return Rows([text for text, _ in rows], [str(label) for _, label in rows])


def read_spans(path: Path) -> Rows:
    """Rows of gzipped JSON lines as CLUENER writes them; spans as `spans_of` gives them.

    Theirs are inclusive: ``{"text": …, "label": {type: {surface: [[start, end], …]}}}``.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return Rows([row["text"] for row in rows], [spans_of(row["label"]) for row in rows])


def spans_of(label: Mapping[str, Mapping[str, Sequence[Sequence[int]]]]) -> list[tuple[Any, ...]]:
    """(start, end, label) of one row, in the order of the text, the end exclusive.

    >>> spans_of({"name": {"叶老桂": [[9, 11]]}, "company": {"浙商银行": [[0, 3]]}})
    [(0, 4, 'company'), (9, 12, 'name')]
    """
    found = [
        (start, end + 1, kind)
        for kind, surfaces in label.items()
        for places in surfaces.values()
        for start, end in places
    ]
    return sorted(found)


SETS: Mapping[str, PublicSet] = {
    "banking77": PublicSet(
        "banking77",
        "minilm",
        "single_label",
        lambda folder: read_csv(folder / "train.csv", "text", "category"),
        lambda folder: read_csv(folder / "test.csv", "text", "category"),
        max_tokens=64,
    ),
    "finfe": PublicSet(
        "fincuge_finfe",
        "e5",
        "single_label",
        lambda folder: read_pairs(folder / "train.json.gz"),
        lambda folder: read_pairs(folder / "dev.json.gz"),  # the published test has no labels
        max_tokens=128,
    ),
    "cluener": PublicSet(
        "cluener2020",
        "e5",
        "tokens",
        lambda folder: read_spans(folder / "train.json.gz"),
        lambda folder: read_spans(folder / "dev.json.gz"),
        max_tokens=64,
    ),
}


def load_set(name: str, data: Path, *, n_rows: int = 0, seed: int = 0) -> tuple[Rows, Rows, Rows]:
    """(train, validation, test): 10 % of train held out, then at most *n_rows* of it taken.

    With *n_rows*, validation and test are cut to a fifth of it each, for a quick look.
    """
    one = SETS[name]
    folder = data_folder(data, one.folder)
    train, validation = held_out(one.train(folder), seed=seed)
    test = one.test(folder)
    if n_rows:
        train = train.take(range(min(n_rows, len(train))))
        few = max(1, n_rows // 5)
        validation = validation.take(range(min(few, len(validation))))
        test = test.take(shuffled(len(test), seed=seed)[:few])
    return train, validation, test


def held_out(rows: Rows, *, fraction: float = 0.1, seed: int = 0) -> tuple[Rows, Rows]:
    """(the rest, *fraction* of *rows*), both in the order of a seeded shuffle.

    >>> rest, held = held_out(Rows(list("abcdefghij"), [0] * 10))
    >>> len(rest), len(held), sorted(rest.texts + held.texts) == list("abcdefghij")
    (9, 1, True)
    """
    order = shuffled(len(rows), seed=seed)
    n_held = round(fraction * len(rows))
    return rows.take(order[n_held:]), rows.take(order[:n_held])


def shuffled(n: int, *, seed: int) -> list[int]:
    """0 … n - 1 in an order that the seed alone decides."""
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return order


def read_dialogues(folder: Path) -> list[Turns]:
    """The dialogues of Schema-Guided Dialogue: the service's turns are the assistant's.

    Dialogues begin with the user and end with the assistant; a last turn of the user is cut off.
    """
    found: list[Turns] = []
    for path in sorted(folder.glob("dialogues_*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found += [turns_of(dialogue["turns"]) for dialogue in json.load(file)]
    return found


def turns_of(turns: Sequence[Mapping[str, Any]]) -> Turns:
    """One dialogue of SGD as messages.

    >>> said = [("USER", "Hi"), ("SYSTEM", "Yes?"), ("USER", "Bye")]
    >>> turns_of([{"speaker": who, "utterance": what} for who, what in said])
    [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Yes?'}]
    """
    roles = {"USER": "user", "SYSTEM": "assistant"}
    out = [{"role": roles[turn["speaker"]], "content": turn["utterance"]} for turn in turns]
    while out and out[-1]["role"] != "assistant":
        out.pop()
    return out
