"""Answers in a conversation: a causal language model that learns what the assistant says.

A row is a conversation, its units the tokens of the assistant's turns: nothing else has a loss, and
logits are computed there alone. The chat template is the model's own, and what the trained model is
asked is, token by token, what stood before the answers it learned (`modeling.chat_tokens`).

Shape letters: U tokens of answers, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tailorbird.config import LossSettings
from tailorbird.metrics.classification import accuracy
from tailorbird.modeling import TextModel
from tailorbird.modeling.chat_tokens import encode_dialogues
from tailorbird.modeling.generation import generate
from tailorbird.modeling.packing import TokenizedTexts, inference_batches
from tailorbird.records import Example, Message
from tailorbird.tuning import losses
from tailorbird.tuning.tasks.classes import cross_entropy
from tailorbird.tuning.tasks.task import EncodedExamples, Task, Truth, missing

MAX_NEW_TOKENS = 200
"""Of an answer that is asked for."""
MEASURED_TOKENS = 2048
"""Tokens of conversations that are measured at once."""
MEASURED_STATES = 128
"""Tokens of answers whose logits are held at once."""


def encode(model: TextModel, examples: Sequence[Example]) -> EncodedExamples:
    """Conversations in the model's template; the state before each answer's token is picked."""
    for example in examples:
        if not any(message.role == "assistant" for message in example.messages):
            raise missing("dialogue", example, "messages with an assistant's turn")
    found = encode_dialogues(model.tokenizer, [example.messages for example in examples])
    tokens = TokenizedTexts.from_lists(found.token_ids, picked=found.picked)
    return EncodedExamples(tokens, torch.tensor(found.targets, dtype=torch.int64))


def scores(outputs: Tensor, truth: Truth, model: TextModel) -> dict[str, float]:
    """From (U, V) logits; `measure` gives the same without holding them all."""
    nll = cross_entropy(outputs, truth, LossSettings()).item()
    right = accuracy(truth.targets.numpy(), outputs.argmax(-1).numpy())
    return _scores(nll, right)


def _scores(nll: float, right: float) -> dict[str, float]:
    """The typical probability of an answer's token (one over the perplexity) comes first."""
    perplexity = math.exp(min(nll, 700.0))
    return {"likelihood": 1 / perplexity, "perplexity": perplexity, "token_accuracy": right}


def head_loss(head: Any, states: Tensor, truth: Truth) -> Tensor:
    """`cross_entropy` of what the head makes of *states*, without holding all of it."""
    loss: Tensor = head.nll(states, truth.targets)
    return loss


def measure(model: TextModel, rows: EncodedExamples, task: Task) -> tuple[float, dict[str, float]]:
    """Mean nll of an answer's token in nats, and scores, a few conversations at a time."""
    total = n_right = n_tokens = 0.0
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for indices in inference_batches(rows.lengths, MEASURED_TOKENS):
                targets = rows.truth(indices).targets.to(model.device)
                states = model.pool(rows.batch(indices).to(model.device))  # (U, D)
                for z, words in zip(
                    states.split(MEASURED_STATES), targets.split(MEASURED_STATES), strict=True
                ):
                    logits = model.head(z)  # (a few, V)
                    total += losses.cross_entropy(logits, words).item() * len(words)
                    n_right += int((logits.argmax(-1) == words).sum())
                n_tokens += len(targets)
    finally:
        model.train(was_training)
    nll = total / max(1, n_tokens)
    return nll, _scores(nll, n_right / max(1, n_tokens))


def predict(model: TextModel, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The answer to each conversation: to its last turn if that is the person's, else before it."""
    return [{"answer": answer} for answer in reply(model, [_asked(one) for one in examples])]


def reply(
    model: TextModel,
    conversations: Sequence[Sequence[Message]],
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[str]:
    """What the assistant says next in each conversation, the likeliest words."""
    tokenizer: Any = model.tokenizer
    answers = []
    for messages in conversations:
        prompt = tokenizer.prompt(messages, room=max_new_tokens)
        (ids,) = generate(
            model.backbone,  # type: ignore[arg-type]
            model.head,
            [prompt],
            max_new_tokens=max_new_tokens,
            stop=tokenizer.stop_ids,
        )
        answers.append(tokenizer.decode(ids).strip())
    return answers


def _asked(example: Example) -> tuple[Message, ...]:
    messages = example.messages or (Message("user", example.text),)
    until = max((i for i, m in enumerate(messages, 1) if m.role == "user"), default=len(messages))
    return messages[:until]


def bits(model: TextModel) -> tuple[float, str]:
    """A token of an answer is one of many words."""
    n_words = int(model.backbone.config.get("vocab_size", 2))
    return math.log2(n_words), f"answers in {n_words:,} words"


DIALOGUE = Task(
    "dialogue",
    "what the assistant says in a conversation, by a causal language model",
    {"cross_entropy": cross_entropy},
    scores,
    encode,
    predict,
    head="language",
    pooling="picked",
    bits=bits,
    counts_rows=False,
    head_loss=head_loss,
    measure=measure,
)
