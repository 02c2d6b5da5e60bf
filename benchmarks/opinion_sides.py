"""The sides of the benchmarks of opinion: ours, Trainer with the same backbone, counted words.

Ours is tuned as a build tunes it: rates, batches, epochs and frozen layers by the plan, the best
validation wins. Trainer trains the whole model but a word table of more than 100,000 rows (whose
dense update would take it three seconds a step), with a mean-pooled head, grouped by length, in
bf16 where the processor has it. It is run once with each of ``--peer-rates``, and the one with the
better score on validation is measured on test. Where rows have several labels each side chooses
its thresholds on validation.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_outputs import SequenceClassifierOutput

from benchmarks import ours, peers
from benchmarks.building import SCREEN
from benchmarks.trainer import load_tokenizer, padded, rows_for
from tailorbird.assistants.opinion.reading.texts import pieces_of
from tailorbird.config import Settings, override_settings
from tailorbird.evaluation import measure_baselines
from tailorbird.folding.choosing import judge_soup
from tailorbird.hardware import compute_dtype
from tailorbird.metrics import log_softmax
from tailorbird.metrics.labels import apply_thresholds, micro_f1_of_labels
from tailorbird.modeling import TextModel, save_model
from tailorbird.records import Example
from tailorbird.tuning import TuningRun, tune
from tailorbird.tuning.tasks import encode_examples, find_task
from tailorbird.tuning.tasks.multi_label import chosen_thresholds
from tailorbird.weights import BackboneFolder

MAX_TOKENS = 128
"""Longer texts are cut here, on all sides."""


@dataclass(frozen=True, slots=True)
class Divided:
    """Rows that are tuned on, chosen by, and measured on."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]

    @property
    def labels(self) -> list[str]:
        """All that a row is, or has."""
        rows = [*self.train, *self.validation, *self.test]
        return sorted({name for row in rows for name in (row.label, *row.labels)} - {""})

    def first(self, n: int) -> Divided:
        """*n* rows to tune on and a fifth of that for each of the others; 0: all."""
        if not n:
            return self
        few = max(20, n // 5)
        return Divided(self.train[:n], self.validation[:few], self.test[:few])


def tuned(
    divided: Divided,
    folder: BackboneFolder,
    settings: Settings,
    *,
    task: str = "single_label",
    max_tokens: int = MAX_TOKENS,
) -> TextModel:
    """A model of *task* with the weights of its best validation."""
    kind = find_task(task)
    rows = (divided.train, divided.validation, divided.test)
    labels = kind.labels([row for part in rows for row in part])
    model, plan = ours.model_and_plan(
        len(divided.train), labels, folder, settings, max_tokens=max_tokens, spec=kind.spec
    )
    kind.prepare(model, divided.train)
    run = TuningRun(model, plan)
    train, held = (
        run.with_trunk(encode_examples(model, part)) for part in (divided.train, divided.validation)
    )
    if settings.model.init_head == "features":
        run.start_head(train)
    for _ in tune(run, train, held):
        pass
    kind.finish(model, divided.validation)
    return model.eval()


@torch.no_grad()
def souped(divided: Divided, folder: BackboneFolder, settings: Settings) -> TextModel:
    """The mean of ``optimizer.soup`` models of different seeds where it wins, as in a build.

    Else the best of them on validation.
    """
    first, n_members = settings.tuning.seed, max(1, settings.optimizer.soup)
    members = []
    for seed in range(first, first + n_members):
        own = replace(settings, tuning=replace(settings.tuning, seed=seed))
        with torch.enable_grad():
            members.append(tuned(divided, folder, own))
    if n_members == 1:
        return members[0]
    rows = encode_examples(members[0], divided.validation)
    truth = rows.targets.numpy()
    said = [log_softmax(one.logits(rows.tokens).numpy()) for one in members]
    best = members[int(np.argmax([(one.argmax(-1) == truth).mean() for one in said]))]
    soup = copy.deepcopy(members[0])
    parts = [dict(one.named_parameters()) for one in members]
    for name, parameter in soup.named_parameters():
        parameter.copy_(torch.stack([part[name] for part in parts]).mean(0))
    judged = judge_soup(
        log_softmax(soup.logits(rows.tokens).numpy()), said, truth, settings.evaluation
    )
    SCREEN.print(
        f"soup of {n_members}: {judged.accuracy}, {judged.likelihood}",
        markup=False,
        soft_wrap=True,
    )
    return soup if judged.wins else best


def score(model: TextModel, rows: Sequence[Example], name: str) -> float:
    """The score *name* of the model's task on *rows*."""
    task = find_task(model.spec.task)
    _, scores = task.measure(model, encode_examples(model, rows), task)
    return scores[name]


def pretrained(
    texts: Sequence[str], folder: BackboneFolder, settings: Settings, to: Path
) -> BackboneFolder:
    """The backbone after one pass over *texts* with hidden words, written *to* a folder."""
    examples = [Example(piece) for piece in pieces_of(texts)]
    held = max(1, len(examples) // 20)
    once = override_settings(settings, ["tuning.n_epochs=1", "loss.name=auto"])
    divided = Divided(examples[held:], examples[:held], ())
    save_model(tuned(divided, folder, once, task="masked"), to, backbone=folder.path)
    return replace(folder, path=to)


class SeveralLabels(peers.MeanPooled):
    """The same, each label decided on its own."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """(B, L) ids → logits (B, C), with the mean loss of a decision where labels are (B, C)."""
        logits = super().forward(input_ids, attention_mask, token_type_ids).logits
        assert logits is not None
        loss = None
        if labels is not None:
            loss = F.binary_cross_entropy_with_logits(logits.float(), labels.float())
        return SequenceClassifierOutput(loss=loss, logits=logits)


def by_trainer(
    divided: Divided, folder: BackboneFolder, options: argparse.Namespace, *, several: bool = False
) -> float:
    """Accuracy, or with *several* labels a row micro-F1, of Trainer on the test rows."""
    tokenizer, labels = load_tokenizer(str(folder.path)), divided.labels
    place = {label: k for k, label in enumerate(labels)}
    bf16 = compute_dtype(device=ours.DEVICE)[0] == torch.bfloat16

    def encoded(rows: Sequence[Example]) -> list[dict[str, Any]]:
        targets: list[Any]
        if several:
            targets = [[float(label in row.labels) for label in labels] for row in rows]
        else:
            targets = [place[row.label] for row in rows]
        texts = [folder.query_prefix + row.text for row in rows]
        return rows_for(tokenizer, texts, targets, max_tokens=MAX_TOKENS)

    train, held, test = map(encoded, (divided.train, divided.validation, divided.test))
    best = (-1.0, 0.0)
    for rate in options.peer_rates:
        peers.seed(options.seed)
        kind = SeveralLabels if several else peers.MeanPooled
        model = kind(peers.load_backbone(str(folder.path)), len(labels))
        words = model.backbone.get_input_embeddings().weight
        words.requires_grad_(len(words) <= 100_000)
        how = peers.PeerFit(options.epochs, rate, 2 * rate, bf16=bf16, seed=options.seed)
        peers.fit(model, padded(tokenizer), train, how)
        of_held, of_test = (
            logits_of(model, padded(tokenizer), part, bf16) for part in (held, test)
        )
        best = max(best, scores_of(of_held, held, of_test, test, several=several))
    return best[1]


def scores_of(
    of_held: NDArray[Any],
    held: Sequence[dict[str, Any]],
    of_test: NDArray[Any],
    test: Sequence[dict[str, Any]],
    *,
    several: bool,
) -> tuple[float, float]:
    """The score on validation and on test, from (N, C) logits and rows with their ``labels``."""
    truths = [np.array([row["labels"] for row in part]) for part in (held, test)]
    if not several:
        found = [
            float((x.argmax(-1) == t).mean())
            for x, t in zip((of_held, of_test), truths, strict=True)
        ]
        return found[0], found[1]
    probs = [torch.from_numpy(x).sigmoid() for x in (of_held, of_test)]
    thresholds = chosen_thresholds(probs[0], torch.from_numpy(truths[0]))
    said = [apply_thresholds(x, thresholds) for x in probs]
    first, second = (micro_f1_of_labels(t, s) for t, s in zip(truths, said, strict=True))
    return first, second


@torch.no_grad()
def logits_of(
    model: Any, collate: Callable[[Any], Any], rows: Sequence[dict[str, Any]], bf16: bool
) -> NDArray[np.float32]:
    """(N, C) logits of *rows*, in batches of like length."""
    model.eval()
    order = sorted(range(len(rows)), key=lambda k: len(rows[k]["input_ids"]))
    found: list[Any] = [None] * len(rows)
    for start in range(0, len(order), 64):
        some = order[start : start + 64]
        batch = collate([{"input_ids": rows[k]["input_ids"]} for k in some]).to(ours.DEVICE)
        with torch.autocast(batch["input_ids"].device.type, torch.bfloat16, enabled=bf16):
            logits = model(**batch).logits.float().cpu().numpy()
        for k, row in zip(some, logits, strict=True):
            found[k] = row
    return np.stack(found)


def by_words(divided: Divided) -> float:
    """Accuracy of TF-IDF and logistic regression, as every report has it."""
    found = measure_baselines(divided.train, divided.test, divided.labels)
    return found["tfidf_logreg"]["accuracy"]


def several_by_words(divided: Divided) -> float:
    """Micro-F1 of TF-IDF of 1 to 3 characters and one logistic regression a label."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    parts = (divided.train, divided.validation, divided.test)
    truths = [
        np.array([[n in row.labels for n in divided.labels] for row in p], int) for p in parts
    ]
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2)
    train, held, test = (
        (features.fit_transform if k == 0 else features.transform)([row.text for row in part])
        for k, part in enumerate(parts)
    )
    model = OneVsRestClassifier(LogisticRegression(C=10.0, max_iter=200)).fit(train, truths[0])
    probs = torch.from_numpy(model.predict_proba(held))
    thresholds = chosen_thresholds(probs, torch.from_numpy(truths[1]))
    return micro_f1_of_labels(truths[2], apply_thresholds(model.predict_proba(test), thresholds))


def peer_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """*parser* with what the sides are told."""
    parser.add_argument("--rows", type=int, default=0, help="to tune on, for a quick look; 0: all")
    parser.add_argument("--epochs", type=int, default=3, help="of Trainer")
    parser.add_argument(
        "--peer-rates", type=float, nargs="+", default=[5e-5, 2e-4], help="Trainer's, tried in turn"
    )
    parser.add_argument("--no-peer", action="store_true", help="leave Trainer out")
    return parser
