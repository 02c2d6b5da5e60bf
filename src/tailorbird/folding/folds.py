"""In the place of ``tune``: several models of folds and seeds, of which one is kept, or a soup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tailorbird import evaluation
from tailorbird.config import Settings
from tailorbird.evaluation.intervals import bootstrap
from tailorbird.folding.choosing import Choice, choose
from tailorbird.folding.members import Folds, Members, Say, prepare
from tailorbird.jobs import JobResult
from tailorbird.jobs.folds import Floats, left_out
from tailorbird.metrics.classification import confusion, expected_calibration_error
from tailorbird.modeling import save_model
from tailorbird.runs import CHECKPOINT, CURVE, begin
from tailorbird.store import Run, Workspace

FILE = "folds.json"
DEFAULT = Folds()


def fold(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    folds: Folds = DEFAULT,
    *,
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Tune a model for each fold and seed, and one more a seed on everything; keep the best one.

    Leaves ``model/`` and ``tune.json``, as a tuned run has them, and ``folds.json`` with the scores
    of each fold on the rows it left out. What is kept is the best model of all training rows,
    unless a soup of the members beats it on validation by more than chance. None where *stop* ended
    it: what was done is kept, and another call goes on.
    """
    begin(run, "tune", keep_checkpoint=True)
    members = prepare(run, workspace, settings, folds, say=say, stop=stop)
    if members is None:
        return None
    plan = members.plan
    jobs = [*plan.whole_jobs(members.settings), *plan.fold_jobs(members.settings)]
    results = members.tune(jobs, say=say, stop=stop)
    if results is None:
        return None
    report: dict[str, Any] = {}
    if plan.n_folds:
        report = scores_of_folds(members, left_out(plan, results, seed=settings.tuning.seed))
    for sentence in _in_words(report) if report else ():
        members.decisions.append(sentence)
        say(sentence)
    choice = choose(members, results)
    for sentence in choice.decisions:
        members.decisions.append(sentence)
        say(sentence)
    kept = {"base": choice.base.name, "chosen": choice.name, "n_seeds": folds.n_seeds}
    found = report | choice.facts | kept
    run.write_json(FILE, found | {"decisions": members.decisions})
    _keep(members, choice, results)
    (Path(run.path) / CHECKPOINT).unlink(missing_ok=True)  # of a `tune` that this stands in for
    return found


def scores_of_folds(members: Members, said: Floats) -> dict[str, Any]:
    """Accuracy with its interval of each fold, and of all rows left out; their calibration."""
    plan, settings = members.plan, members.settings.evaluation
    n_rows, n_classes = len(plan.fold_of), len(plan.labels)
    truth, log_probs = np.asarray(members.given[:n_rows]), said[:n_rows]
    predicted = log_probs.argmax(axis=1)

    def scored(rows: Sequence[int]) -> dict[str, Any]:
        counts = confusion(truth[rows], predicted[rows], n_classes=n_classes)
        interval = bootstrap(
            counts,
            "accuracy",
            n_resamples=settings.n_bootstrap,
            confidence=settings.confidence,
            seed=settings.seed,
        )
        return {"n_rows": len(rows), "accuracy": asdict(interval)}

    temperature = evaluation.fit_temperature(log_probs, truth)
    right = predicted == truth
    sure_before = np.exp(log_probs).max(axis=1)
    scaled = np.exp(log_probs / temperature)
    sure = scaled.max(axis=1) / scaled.sum(axis=1)
    return {
        "folds": [scored(plan.rows(fold)) for fold in range(plan.n_folds)],
        "left_out": scored(range(n_rows)),
        "temperature": temperature,
        "ece_before": expected_calibration_error(sure_before, right),
        "ece": expected_calibration_error(sure, right),
    }


def _in_words(report: dict[str, Any]) -> list[str]:
    parts = [*report["folds"], report["left_out"]]
    names = [
        *(f"fold {number}" for number in range(len(parts) - 1)),
        "all rows, each left out once",
    ]
    lines = []
    for name, part in zip(names, parts, strict=True):
        value, low, high = (part["accuracy"][key] for key in ("value", "low", "high"))
        lines.append(f"{name}: {value:.4f} ({low:.4f} to {high:.4f}), {part['n_rows']:,} rows")
    lines.append(
        f"how sure members may be of such rows: temperature {report['temperature']:.2f}, "
        f"calibration error {report['ece_before']:.3f} → {report['ece']:.3f}"
    )
    return lines


def _keep(members: Members, choice: Choice, results: Sequence[JobResult]) -> None:
    """Write ``model/``, the curve and ``tune.json`` of what was chosen."""
    run, model, backbone = members.run, members.model, members.backbone
    model_folder = Path(run.path) / "model"
    save_model(model, model_folder, backbone=backbone.path)
    lines = members.curve(choice.base.name)
    (run.path / CURVE).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    train_s = sum(result.train_s for result in results)
    n_tuned = sum(tensor.numel() for tensor in choice.weights.named().values())
    run.write_json(
        "tune.json",
        {
            "settings": members.tuning_plan.settings_of(model, members.settings.model),
            "train_s": train_s,
            "tokens_per_s": sum(result.n_tokens for result in results) / max(train_s, 1e-9),
            "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
            "n_trainable": n_tuned,
            "best_step": choice.base.best_step,
            "backbone": backbone.name,
            "licence": backbone.licence,
            "decisions": members.decisions,
        },
    )
