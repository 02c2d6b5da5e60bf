"""The peer of `benchmarks.retrieval`: sentence-transformers with MultipleNegativesRankingLoss."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from benchmarks.trainer import NO_DROPOUT
from tailorbird.records import Example
from tailorbird.weights import BackboneFolder


@dataclass(frozen=True, slots=True)
class How:
    """Settings of the peer."""

    n_epochs: int
    rate: float
    attention: str
    max_tokens: int
    seed: int


def tuned(
    folder: BackboneFolder, pairs: Sequence[Example], how: How, place: str
) -> tuple[Callable[[Sequence[str], bool], NDArray[np.float32]], float]:
    """What makes vectors of texts after tuning, and the seconds of that.

    Its collator cuts the texts of each batch into tokens, within the clock as on our side. Queries
    and passages have the prefixes of the backbone, as ours.
    """
    torch.manual_seed(how.seed)
    model = SentenceTransformer(
        str(folder.path),
        device="cpu",
        model_kwargs={"attn_implementation": how.attention},
        config_kwargs=NO_DROPOUT,
    )
    model.max_seq_length = how.max_tokens
    backbone: Any = model[0]
    backbone.auto_model.embeddings.word_embeddings.weight.requires_grad_(False)
    prefixes = {"query": folder.query_prefix, "passage": folder.passage_prefix}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=place,
        num_train_epochs=how.n_epochs,
        per_device_train_batch_size=64,
        learning_rate=how.rate,
        warmup_steps=0.1,
        weight_decay=0.01,
        bf16=True,
        use_cpu=True,
        prompts=prefixes,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        seed=how.seed,
    )
    rows = {"query": [p.text for p in pairs], "passage": [p.second for p in pairs]}
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(rows),
        loss=MultipleNegativesRankingLoss(model),
    )
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    model.eval()

    def vectors(texts: Sequence[str], is_query: bool) -> NDArray[np.float32]:
        prompt = prefixes["query" if is_query else "passage"]
        found = model.encode(
            list(texts), prompt=prompt, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(found, dtype=np.float32)

    return vectors, seconds
