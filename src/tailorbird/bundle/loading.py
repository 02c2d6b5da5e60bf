"""A bundle in memory: checked files, then texts in, predictions out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from tailorbird.bundle import templates as answers
from tailorbird.bundle.manifest import Manifest, check_files, read_manifest
from tailorbird.errors import BundleError, ConfigError, CorruptBundleError
from tailorbird.metrics import log_softmax
from tailorbird.records import Prediction
from tailorbird.scope import FILES as SCOPE_FILES
from tailorbird.scope import ScopeScorer, read_files
from tailorbird.text import language_of

if TYPE_CHECKING:
    from tailorbird.apart import Process
    from tailorbird.bundle.apart import ApartBundle

T = TypeVar("T")

N_ALTERNATIVES = 2
PARTS = (
    "labels.json",
    "templates.json",
    "calibration.json",
    "settings.json",
    "report.json",
    "MODEL_CARD.md",
)
"""What every bundle has beside ``model/``; ``report.html`` and the files of a scope score are
welcome too."""


class Classifier(Protocol):
    """What a bundle needs of a model; `tailorbird.modeling.TextModel` is one."""

    labels: tuple[str, ...]

    def logits(self, texts: Sequence[str]) -> Any:
        """(N, C) logits, as a tensor or an array."""


def _load_model(folder: Path) -> Classifier:
    from tailorbird.modeling import load_model

    return load_model(folder).make_ready()


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything that is served, loaded from one folder; the model itself on first use."""

    id: str
    path: Path
    labels: tuple[str, ...]
    templates: Mapping[str, Mapping[str, Sequence[str]]] = field(repr=False)
    """``{intent: {"zh": [answer, …], "en": […]}}``; the first of a list is given."""
    temperature: float
    """Logits are divided by it before they become probabilities."""
    threshold: float
    """A confidence below it means: out of scope; where there is a scope score, that says it."""
    settings: Mapping[str, Any] = field(repr=False)
    report: Mapping[str, Any] = field(repr=False)
    load_model: Callable[[Path], Classifier] = field(default=_load_model, repr=False)
    scope: ScopeScorer | None = field(default=None, repr=False)
    """None in bundles of older versions, and where the settings want the confidence alone."""

    @cached_property
    def classifier(self) -> Classifier:
        """The model; loading it takes a second or more, the first time."""
        model = self.load_model(self.path / "model")
        if tuple(model.labels) != self.labels:
            raise BundleError(
                f"the model knows {len(model.labels)} labels, labels.json {len(self.labels)}, "
                "and they differ",
                where=str(self.path),
                cure="build it again",
            )
        return model

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in their order."""
        if not texts:
            return []
        if self.scope is None:
            return self.predictions(texts, self.classifier.logits(texts))
        model: Any = self.classifier
        logits, states = model.outputs(texts)
        scores = self.scope.probabilities(logits, states)
        return self.predictions(texts, logits, scores=scores)

    def predictions(
        self,
        texts: Sequence[str],
        logits: Any,
        *,
        labels: Sequence[str] = (),
        temperatures: Any = None,
        thresholds: Sequence[float] = (),
        scores: Any = None,
    ) -> list[Prediction]:
        """What the (N, C) *logits* of *texts* say; what else is given replaces the bundle's own.

        Args:
            texts: N.
            logits: as a tensor or an array.
            labels: C.
            temperatures: (N,).
            thresholds: (N,) of the confidence.
            scores: (N,) of the scope; NaN where the confidence is to decide, as for all without.
        """
        if temperatures is not None:
            logits = np.asarray(logits) / np.asarray(temperatures, np.float32)[:, None]
        temperature = self.temperature if temperatures is None else 1.0
        probs = np.exp(log_softmax(logits, temperature=temperature))  # (N, C)
        best_first = np.argsort(-probs, axis=-1, kind="stable")[:, : N_ALTERNATIVES + 1]
        names = tuple(labels) or self.labels
        return [
            self._prediction(text, [(names[i], float(row[i])) for i in best], threshold, score)
            for text, row, best, threshold, score in zip(
                texts,
                probs,
                best_first.tolist(),
                thresholds or [self.threshold] * len(texts),
                [math.nan] * len(texts) if scores is None else map(float, scores),
                strict=True,
            )
        ]

    def apart_in(self, process: Process) -> ApartBundle:
        """The same, whose model computes in *process*."""
        from tailorbird.bundle.apart import ApartBundle

        return ApartBundle(self, process)

    def answer(self, intent: str, language: str) -> str | None:
        """The template for *intent* in *language*, else in the other one, else None."""
        of_intent = self.templates.get(intent, {})
        other = next(name for name in answers.LANGUAGES if name != language)
        choices = of_intent.get(language) or of_intent.get(other)
        return choices[0] if choices else None

    def _prediction(
        self, text: str, ranked: Sequence[tuple[str, float]], threshold: float, score: float
    ) -> Prediction:
        language = language_of(text)
        intent, confidence = ranked[0]
        if self.scope is None or math.isnan(score):
            score = confidence
        else:
            threshold = self.scope.threshold
        return Prediction(
            intent=intent,
            confidence=confidence,
            in_scope=score >= threshold,
            scope_score=score,
            answer=self.answer(intent, language),
            language=language,
            alternatives=tuple(ranked[1:]),
        )


def load_bundle(
    folder: str | Path,
    *,
    verify: bool = True,
    load_model: Callable[[Path], Classifier] = _load_model,
) -> Bundle:
    """Load the bundle in *folder* after comparing every file with its manifest.

    Args:
        folder: a folder made by `write_bundle`, wherever it was moved or copied to.
        verify: hash every file; without it only names and sizes are compared.
        load_model: reads ``model/`` when the model is first needed.

    Raises CorruptBundleError that names the file which is missing, extra or altered, and
    BundleError for pickles and for a format of another version.
    """
    folder = Path(folder).absolute()
    manifest = read_manifest(folder)
    check_files(folder, manifest, verify=verify)
    for part in PARTS:
        if part not in manifest.files:
            raise CorruptBundleError(
                f"is not a whole bundle: it has no {part}", where=str(folder), cure="build it again"
            )
    labels = _parse(folder / "labels.json", _labels)
    try:
        templates = answers.check(
            _parse(folder / "templates.json", dict), labels, where=str(folder / "templates.json")
        )
    except ConfigError as error:
        raise CorruptBundleError(error.what, where=error.where, cure=error.cure) from error
    temperature, threshold = _parse(folder / "calibration.json", _calibration)
    return Bundle(
        id=manifest.id,
        path=folder,
        labels=labels,
        templates=templates,
        temperature=temperature,
        threshold=threshold,
        settings=_parse(folder / "settings.json", dict),
        report=_parse(folder / "report.json", dict),
        load_model=load_model,
        scope=_scope(folder, manifest),
    )


def _scope(folder: Path, manifest: Manifest) -> ScopeScorer | None:
    found = [name for name in SCOPE_FILES if name in manifest.files]
    if not found:
        return None
    try:
        return ScopeScorer.from_files(read_files(folder))
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptBundleError(
            f"does not hold what it should ({error})",
            where=str(folder / found[-1]),
            cure="build it again",
        ) from error


def _parse(path: Path, build: Callable[[Any], T]) -> T:
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptBundleError(
            f"does not hold what it should ({error})", where=str(path), cure="build it again"
        ) from error


def _labels(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise ValueError("not a list of labels")
    return tuple(value)


def _calibration(value: Any) -> tuple[float, float]:
    return float(value["temperature"]), float(value["threshold"])
