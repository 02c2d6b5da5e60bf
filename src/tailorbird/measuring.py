"""How good a tuned model is: on validation, where it is calibrated, and once on the test split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tailorbird import scope
from tailorbird.config import Settings
from tailorbird.errors import ConfigError
from tailorbird.runs import OUTSIDE, begin, load_curve, load_examples
from tailorbird.store import Run

Say = Callable[[str], None]


def measure(
    run: Run,
    settings: Settings,
    openings: list[dict[str, str]],
    *,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Measure the tuned model of *run* within *openings* of its test split; what the report says.

    Leaves ``evaluate.json``, ``report.json`` and ``report.html``. Raises ConfigError where what was
    learned is nothing that an assistant is made of.
    """
    from tailorbird import evaluation, tuning
    from tailorbird.evaluation import scope as scoping
    from tailorbird.hardware import processor
    from tailorbird.modeling import load_model

    splits, outside = load_examples(run), load_examples(run, OUTSIDE)
    model = load_model(run.path / "model")
    check_task(model.spec.task, where=f"run {run.name}")
    encoded = {
        name: tuning.tasks.encode_examples(model, splits[name]) for name in ("validation", "test")
    }
    seen = scoping.look(model, encoded["validation"].tokens)
    targets = encoded["validation"].targets.numpy()
    calibration = evaluation.calibrate(seen.logits, targets, settings=settings.evaluation)
    temperature = calibration.temperature
    how: dict[str, Any] = {"temperature": temperature, "settings": settings.evaluation}
    validation = evaluation.evaluate("validation", seen.logits, targets, model.labels, **how)
    learned = scoping.learn_scope(
        model, splits["train"], (seen, targets), outside=outside, settings=settings.evaluation
    )
    report = _past(run) | {
        "calibration": calibration.to_json(),
        "validation": validation.to_json(),
        "processor": processor(),
    }
    baselines = (
        evaluation.measure_baselines(
            splits["train"], splits["test"], model.labels, seed=settings.evaluation.seed
        )
        if settings.evaluation.baselines
        else None
    )
    seen = scoping.look(model, encoded["test"].tokens)
    targets = encoded["test"].targets.numpy()
    test = evaluation.evaluate(
        "test", seen.logits, targets, model.labels, baselines=baselines, **how
    )
    report |= {"test": test.to_json(), "test_openings": openings}
    report |= evaluation.examine(
        [example.text for example in splits["test"]],
        seen.logits,
        targets,
        model.labels,
        temperature=temperature,
    )
    begin(run, "evaluate")
    report |= _keep_scope(run, learned, seen, say)
    evaluation.write_report(run.path, report)
    chosen = {"temperature": temperature, "threshold": calibration.threshold}
    run.write_json("evaluate.json", chosen)
    low, high = test.accuracy.low, test.accuracy.high
    say(
        f"test: accuracy {test.accuracy.value:.3f} ({low:.3f} to {high:.3f}), "
        f"macro-F1 {test.macro_f1.value:.3f}, {test.n_rows:,} rows"
    )
    return report


def _keep_scope(run: Run, learned: Any, test: Any, say: Say) -> dict[str, Any]:
    """The report's ``scope`` section, after writing the scorer (or none) into the run."""
    for name in scope.FILES:
        (run.path / name).unlink(missing_ok=True)
    if learned is None:
        return {}
    for name, content in learned.scorer.to_files().items():
        (run.path / name).write_bytes(content)
    report = learned.confirmed(test)
    say(str(report))
    return {"scope": report.to_json()}


def _past(run: Run) -> dict[str, Any]:
    """What a report tells of the stages before: data, tuning, and every decision on the way."""
    read, tuned = run.read_json, run.read_json("tune.json")
    stages = {name: read(f"{name}.json") for name in ("read", "clean", "split")}
    decisions = [d for stage in (*stages.values(), tuned) for d in stage.get("decisions", [])]
    tuning = tuned | {"curve": load_curve(run)}
    return {"run": read("run.json"), "data": stages, "tuning": tuning, "decisions": decisions}


def check_task(name: str, *, where: str) -> None:
    """Raise ConfigError where what is learned is nothing that an assistant is made of."""
    if name != "single_label":
        raise ConfigError(
            f"an assistant learns one label a text, and the task is {name}",
            where=where,
            cure=f"tailorbird fit ROWS --task {name}",
        )
