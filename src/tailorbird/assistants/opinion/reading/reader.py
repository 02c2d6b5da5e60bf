"""A tuned model that reads posts: topics, sentiment, and sentiment towards whom a text names.

Shape letters: N texts, C1 topics, C2 sentiments, K layers that are looked at, D width.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tailorbird.assistants.opinion.reading.calibrating import NOWHERE, TopicDistance
from tailorbird.assistants.opinion.reading.windows import Place, marked, window

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tailorbird.modeling import TextModel


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says as a whole."""

    topics: dict[str, float]
    """Those that apply, with calibrated probabilities in [0, 1]; there may be none."""
    sentiment: str
    """The likeliest; empty where the model knows none."""
    probabilities: dict[str, float]
    """Calibrated, of each sentiment."""
    topic_distance: float
    """From all known topics; 1 is what 95 of 100 texts with a known topic are below."""


class Reads(Protocol):
    """Whatever reads posts."""

    @property
    def id(self) -> str:
        """Names it in what it has judged; another model has another."""
        ...

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """What each text says."""
        ...

    def read_about(
        self, texts: Sequence[str], spans: Sequence[Place]
    ) -> list[tuple[str, dict[str, float]]]:
        """Sentiment towards whom each text names at its span, and all probabilities."""
        ...


@dataclass(frozen=True, slots=True)
class Heads:
    """What is known of the two heads beside the model."""

    topic_temperature: float = 1.0
    sentiment_temperature: float = 1.0
    marks_names: bool = False
    """Whether the model was tuned on texts in which the name that is meant is marked."""
    computes_in: str = "float32"
    """The type of the products when both temperatures, and the distance from topics, were fitted:
    posts are read in it as well, where the processor is quick at it, else in fp32."""


class Reader:
    """`Reads` by a model of the task ``joint``; it is loaded when something is to be read.

    Threads may call it at once: they take turns.
    """

    def __init__(
        self, folder: Path, *, name: str, heads: Heads, distance: TopicDistance | None
    ) -> None:
        self.folder = folder
        self.id = name
        self.heads = heads
        self.distance = distance
        self._turn = threading.Lock()

    @cached_property
    def _model(self) -> tuple[TextModel, tuple[str, ...], tuple[str, ...]]:
        """The model, its topics and its sentiments."""
        from tailorbird.hardware import quick_dtype
        from tailorbird.tuning.tasks.joint import Parts

        model = load_to_read(self.folder, quick_dtype(self.heads.computes_in)).make_ready()
        parts = Parts.of(model.labels)
        return model, parts.many, parts.one

    @property
    def topics(self) -> tuple[str, ...]:
        """All that it knows."""
        with self._turn:
            return self._model[1]

    @property
    def sentiments(self) -> tuple[str, ...]:
        """All that it tells apart."""
        with self._turn:
            return self._model[2]

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """What each text says."""
        if not texts:
            return []
        with self._turn:
            model, topics, sentiments = self._model
            outputs, states = model.outputs(texts)  # (N, C1 + C2), (N, K, D)
            says_yes = model.head.says_yes(outputs)[:, : len(topics)].tolist()
        of_topics = (outputs[:, : len(topics)] / self.heads.topic_temperature).sigmoid().tolist()
        of_sentiments = self._sentiments(outputs, len(topics))
        distances = self._distances(states)
        return [
            Reading(
                {
                    n: p
                    for n, p, is_so in zip(topics, of_topics[k], says_yes[k], strict=True)
                    if is_so
                },
                *_likeliest(sentiments, of_sentiments[k]),
                distances[k],
            )
            for k in range(len(texts))
        ]

    def read_about(
        self, texts: Sequence[str], spans: Sequence[Place]
    ) -> list[tuple[str, dict[str, float]]]:
        """Sentiment towards whom each text names at its span, from the sentence around it."""
        if not texts:
            return []
        parts = [window(text, place) for text, place in zip(texts, spans, strict=True)]
        if self.heads.marks_names:
            shown = [marked(text, place) for text, place in parts]
        else:
            shown = [text for text, _ in parts]
        with self._turn:
            model, topics, sentiments = self._model
            outputs = model.logits(shown)
        rows = self._sentiments(outputs, len(topics))
        return [_likeliest(sentiments, row) for row in rows]

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(N, K D) rows of length 1: how alike texts are, in wording and in meaning."""
        with self._turn:
            _, states = self._model[0].outputs(texts)
        rows = states.numpy()
        rows /= np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
        flat: np.ndarray = rows.reshape(len(rows), -1) / rows.shape[1] ** 0.5
        return flat

    def _sentiments(self, outputs: Tensor, n_topics: int) -> list[list[float]]:
        logits = outputs[:, n_topics:] / self.heads.sentiment_temperature
        rows: list[list[float]] = logits.softmax(-1).tolist()
        return rows

    def _distances(self, states: Tensor) -> list[float]:
        if self.distance is None:
            return [NOWHERE] * len(states)
        found: Any = self.distance(states.numpy()).tolist()
        return list(found)


def load_to_read(folder: Path, dtype: torch.dtype) -> TextModel:
    """The model in *folder*, with products in *dtype*: float32 or bfloat16."""
    from tailorbird.modeling import load_model

    model = load_model(folder)
    model.backbone.compute_dtype = dtype
    return model


def _likeliest(names: Sequence[str], row: Sequence[float]) -> tuple[str, dict[str, float]]:
    """The name with the highest probability, and all of them.

    >>> _likeliest(["negative", "positive"], [0.25, 0.75])
    ('positive', {'negative': 0.25, 'positive': 0.75})
    """
    probabilities = dict(zip(names, row, strict=True))
    return max(probabilities, key=probabilities.__getitem__, default=""), probabilities
