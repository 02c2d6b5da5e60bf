"""What was acknowledged to people, against what the service has kept of it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


@dataclass(slots=True)
class Message:
    """One message as whoever sent it knows it; acknowledged once *turn* is there."""

    conversation: str
    client_id: str
    author: str
    text: str
    sent_s: float = 0.0
    """On the clock of whoever sent it."""
    ms: float = 0.0
    """From the first try to the answer."""
    n_tries: int = 0
    kind: str = ""
    """Of the decision; empty: a person is to answer, or a person said it."""
    turn: str = ""
    answers: tuple[str, ...] = field(default=())
    """Ids of what was said to it in the same response."""


class Kept(NamedTuple):
    """One turn as the service has it."""

    id: str
    client_id: str
    author: str
    text: str


Book = Mapping[str, Sequence[Kept]]
"""The turns of each conversation."""


def lost(acknowledged: Iterable[Message], book: Book) -> list[str]:
    """The names of those messages that are not in *book*, or not as they were acknowledged.

    A message must be there once, in the words it was sent in and under the id it was acknowledged
    with; so must everything that was answered to it, and nothing else may be.

    >>> said = Message("c", "m1", "visitor", "hello", turn="t1", answers=("t2",))
    >>> turn = Kept("t1", "m1", "visitor", "hello")
    >>> answer = Kept("t2", "re:t1:0", "assistant", "hi")
    >>> lost([said], {"c": [turn, answer]}), lost([said], {"c": [turn]}), lost([said], {})
    ([], ['m1'], ['m1'])
    """
    return [one.client_id for one in acknowledged if not _is_kept(one, book)]


def _is_kept(one: Message, book: Book) -> bool:
    turns = book.get(one.conversation, ())
    same = [turn for turn in turns if (turn.author, turn.client_id) == (one.author, one.client_id)]
    if [(turn.id, turn.text) for turn in same] != [(one.turn, one.text)]:
        return False
    answers = [turn.id for turn in turns if turn.client_id.startswith(f"re:{one.turn}:")]
    return sorted(answers) == sorted(one.answers)


def read_book(database: Path) -> dict[str, list[Kept]]:
    """All turns in the database itself, which no service needs to be running for."""
    book: dict[str, list[Kept]] = defaultdict(list)
    asked = "SELECT conversation_id, id, client_id, author, text FROM turns ORDER BY number"
    with closing(sqlite3.connect(database)) as connection:
        for conversation, turn, client_id, author, text in connection.execute(asked):
            book[conversation].append(Kept(turn, client_id or "", author, text))
    return book


def percentile(values: Sequence[float], fraction: float) -> float:
    """The smallest of *values* that at least *fraction* of them do not exceed; 0 of none.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.75), percentile([], 0.5)
    (3.0, 0.0)
    """
    ranked = sorted(values)
    number = -(-len(ranked) * fraction // 1)  # rounded up
    return ranked[max(0, int(number) - 1)] if ranked else 0.0
