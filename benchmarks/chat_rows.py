"""Dialogues as token ids with the assistant's own tokens marked, for the peer's side.

The template is the tokenizer's own. What is learned is what the assistant says and the mark that
ends its turn; found by rendering the dialogue up to each answer, as the template of most models
does not mark answers itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sets import Turns

IGNORED = -100
"""The label that transformers' loss leaves out."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n'"
    " + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""For tokenizers that come without a template."""


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One dialogue: its token ids, and which of them the assistant said."""

    input_ids: list[int]
    is_answer: list[bool]

    @property
    def labels(self) -> list[int]:
        """The ids where the assistant said them, else `IGNORED`."""
        return [
            token if said else IGNORED
            for token, said in zip(self.input_ids, self.is_answer, strict=True)
        ]

    @property
    def n_answer(self) -> int:
        """Tokens that are learned; the first of a dialogue has nothing before it."""
        return sum(self.is_answer[1:])

    def cut(self, max_tokens: int) -> ChatRow:
        """The first *max_tokens*."""
        return ChatRow(self.input_ids[:max_tokens], self.is_answer[:max_tokens])


def encode_dialogue(tokenizer: Any, turns: Turns) -> ChatRow:
    """One dialogue as `ChatRow`.

    The text between two renderings is encoded by itself: chat templates put special tokens at the
    borders, across which no tokenizer merges.
    """
    ids: list[int] = []
    said: list[bool] = []
    done = ""
    for i, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        before = _render(tokenizer, turns[:i], prompt=True)
        after = _render(tokenizer, turns[: i + 1], prompt=False)
        answer = after[len(before) :]
        closing = answer[len(answer.rstrip()) :]  # the line end after the mark is not learned
        answer = answer[: len(answer) - len(closing)]
        for text, is_answer in ((before[len(done) :], False), (answer, True)):
            part = tokenizer(text, add_special_tokens=False)["input_ids"]
            ids += part
            said += [is_answer] * len(part)
        done = before + answer
    return ChatRow(ids, said)


def _render(tokenizer: Any, turns: Sequence[dict[str, str]], *, prompt: bool) -> str:
    template = getattr(tokenizer, "chat_template", None) or CHATML
    text: str = tokenizer.apply_chat_template(
        list(turns), chat_template=template, tokenize=False, add_generation_prompt=prompt
    )
    return text


def padded(rows: Sequence[dict[str, list[int]]], pad_id: int) -> dict[str, list[list[int]]]:
    """A batch filled up to its longest row, with the mask that says what is real.

    >>> rows = [{"input_ids": [5, 6], "labels": [-100, 6]}, {"input_ids": [7], "labels": [7]}]
    >>> batch = padded(rows, 0)
    >>> batch["input_ids"], batch["labels"], batch["attention_mask"]
    ([[5, 6], [7, 0]], [[-100, 6], [7, -100]], [[1, 1], [1, 0]])
    """
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(values: list[int], filling: int) -> list[int]:
        return values + [filling] * (longest - len(values))

    return {
        "input_ids": [filled(row["input_ids"], pad_id) for row in rows],
        "labels": [filled(row["labels"], IGNORED) for row in rows],
        "attention_mask": [filled([1] * len(row["input_ids"]), 0) for row in rows],
    }
