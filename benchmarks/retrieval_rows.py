"""Questions, answers and pairs of `benchmarks.retrieval`, the same rows for every side.

- **taobao**, response selection: `response_selection_dev.txt`. A query is the last two turns of a
  dialogue, its passage the reply that was given. Each test query has ten candidates: its reply, the
  wrong one that the file gives it, and eight replies of other test dialogues (Zhang et al. 2018,
  section 5.2, R10@1). Dialogues of the same query are on one side.
- **atec**, matching: pairs of customers' questions, same or not. Training pairs that share a
  sentence with a test or validation pair are left out.
- **bustm**, matching with few labels: `train_few_all` to train on, `dev_few_all` to choose the
  threshold, `test_public` to test.
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path

from benchmarks.building import data_folder
from tailorbird.records import Example

N_CANDIDATES = 10
N_TEST, N_VALIDATION = 1000, 500
N_TEST_PAIRS, N_VALIDATION_PAIRS = 9000, 1000
"""Of ATEC: about 1,950 test pairs are the same, and some 6,300 such pairs are left to tune on."""
N_TURNS = 2

Pair = tuple[str, str, bool]
"""Two sentences, and whether they ask the same."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Queries with their passages; each test query with its candidates, the right one first."""

    train: list[Example]
    held: list[Example]
    """What tells whether tuning was worth it: more rows, of no test query."""
    test: list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Matching:
    """Pairs of three parts."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]

    @property
    def same(self) -> list[Example]:
        """What a retriever is tuned on: the training pairs that ask the same."""
        return _same(self.train)

    @property
    def held(self) -> list[Example]:
        """What tells whether tuning was worth it: the validation pairs that ask the same."""
        return _same(self.validation)


def _same(pairs: list[Pair]) -> list[Example]:
    return [Example(a, second=b) for a, b, is_same in pairs if is_same]


def taobao(data: Path, *, n_train: int, seed: int = 0) -> Selection:
    """Response selection."""
    file = data_folder(data, "taobao_service_qa") / "response_selection_dev.txt.gz"
    right: dict[str, str] = {}
    wrong: dict[str, str] = {}
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            label, *turns = (part.replace(" ", "") for part in line.rstrip("\n").split("\t"))
            query = " ".join(turns[:-1][-N_TURNS:])
            (right if label == "1" else wrong).setdefault(query, turns[-1])
    queries = [query for query in right if wrong.get(query, right[query]) != right[query]]
    rng = random.Random(seed)
    rng.shuffle(queries)
    n_test = min(N_TEST, len(queries) // 4)
    test, rest = queries[:n_test], queries[n_test:]
    replies = list(dict.fromkeys(right[query] for query in test))
    found = []
    for query in test:
        candidates = [right[query], wrong[query]]
        for reply in rng.sample(replies, min(len(replies), 3 * N_CANDIDATES)):
            if reply not in candidates and len(candidates) < N_CANDIDATES:
                candidates.append(reply)
        found.append((query, candidates))
    pairs = [Example(query, second=right[query]) for query in rest]
    return Selection(pairs[:n_train], pairs[n_train:][:N_VALIDATION], found)


def atec(data: Path, *, n_train: int, seed: int = 0) -> Matching:
    """Matching, many labels; *n_train* pairs that are the same, and three times as many others."""
    file = data_folder(data, "atec_similarity") / "atec_nlp_sim_train.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        fields = [line.rstrip("\n").replace("\ufeff", "").split("\t") for line in lines]
    pairs = [(a, b, label == "1") for _, a, b, label in fields]
    random.Random(seed).shuffle(pairs)
    wanted = N_TEST_PAIRS, N_VALIDATION_PAIRS
    n_test, n_validation = (min(n, len(pairs) // 4) for n in wanted)
    test, validation = pairs[:n_test], pairs[n_test : n_test + n_validation]
    held = {text for a, b, _ in test + validation for text in (a, b)}
    rest = [p for p in pairs[len(test) + len(validation) :] if not held & {p[0], p[1]}]
    same, other = ([p for p in rest if p[2] is truth] for truth in (True, False))
    return Matching(same[:n_train] + other[: 3 * n_train], validation, test)


def bustm(data: Path) -> Matching:
    """Matching, few labels."""
    folder = data_folder(data, "fewclue_bustm")

    def read(name: str) -> list[Pair]:
        path = folder / name
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        return [(row["sentence1"], row["sentence2"], row["label"] == "1") for row in rows]

    return Matching(
        read("train_few_all.json"), read("dev_few_all.json"), read("test_public.json.gz")
    )
