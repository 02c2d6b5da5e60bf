"""The few functions a notebook needs: every stage of a build, and the build itself.

    from tailorbird import api
    with api.open_workspace() as workspace:
        bundle = api.build("logs.jsonl", workspace)
        bundle.predict(["where is my parcel?"])

Each stage reads what the one before left in the run's folder and leaves its own files there, so
a stage can be repeated, and a killed build goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import select

from tailorbird import __version__, data
from tailorbird.bundle import Bundle, BundleContents, load_bundle, registry, write_bundle
from tailorbird.bundle import templates as answers
from tailorbird.config import Settings, override_settings, settings_from
from tailorbird.data import load_interactions, write_interactions
from tailorbird.errors import ConfigError, StoreError
from tailorbird.records import SPLITS, Example, StepReport
from tailorbird.store import Run, RunRow, Workspace

Say = Callable[[str], None]
STAGES = ("read", "clean", "split", "tune", "evaluate", "bundle")
CHECKPOINT = "checkpoint.safetensors"


class Listener(Protocol):
    """Whoever watches a build: a progress display, a notebook, nobody."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def say(self, sentence: str) -> None:
        """A decision was taken, with its reason."""

    def step(self, report: StepReport) -> None:
        """The tuning run moved on."""


class Silence:
    """The listener that hears nothing."""

    def stage(self, name: str) -> None:
        """Nothing."""

    def say(self, sentence: str) -> None:
        """Nothing."""

    def step(self, report: StepReport) -> None:
        """Nothing."""


def open_workspace(path: str | Path | None = None) -> Workspace:
    """The workspace folder: *path*, else ``$TAILORBIRD_WORKSPACE``, else ``~/.tailorbird``."""
    return Workspace.open(path)


def build(
    source: str,
    workspace: Workspace,
    settings: Settings | None = None,
    *,
    run: Run | None = None,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Bundle | None:
    """From logs to the live bundle; with a *run*, only what it has not done yet.

    Returns None where *stop* asked to interrupt the tuning; the run can then be resumed.
    """
    settings, listener = settings or Settings(), listener or Silence()
    run = run or start_run(source, workspace, settings)
    say = listener.say
    run.set_status("running")
    try:
        if not done(run, "read"):
            listener.stage("read")
            read(source, run, settings, say=say)
        if not done(run, "clean"):
            listener.stage("clean")
            clean(run, settings, say=say)
        if not done(run, "split"):
            listener.stage("split")
            split(run, settings, say=say)
        if not done(run, "tune"):
            listener.stage("tune")
            for report in tune(run, workspace, settings, say=say, stop=stop, resume=True):
                listener.step(report)
        if not done(run, "tune"):
            run.set_status("interrupted", "stopped while tuning")
            return None
        if not done(run, "evaluate"):
            listener.stage("evaluate")
            evaluate(run, settings, say=say)
        listener.stage("bundle")
        made = bundle(run, workspace, settings, say=say)
    except BaseException as error:
        run.set_status(
            "interrupted" if isinstance(error, KeyboardInterrupt) else "failed", str(error)
        )
        raise
    run.set_status("done")
    return made


def start_run(source: str, workspace: Workspace, settings: Settings, name: str = "") -> Run:
    """A new run in the workspace that remembers its logs and settings.

    Raises ConfigError where a file that the settings name is not there.
    """
    depends_on = fingerprint(source, settings)
    run = workspace.new_run(str(source), name)
    run.write_json("settings.json", settings.to_json())
    run.write_json(
        "run.json",
        {
            "name": run.name,
            "created": run.created.isoformat(),
            "version": __version__,
            "seed": settings.tuning.seed,
            "source": str(source),
            "fingerprint": depends_on,
        },
    )
    return run


def done(run: Run, stage: str) -> bool:
    """Whether *stage* of the run has left its files; see STAGES."""
    return (run.path / f"{stage}.json").is_file()


def _begin(run: Run, stage: str, *, keep_checkpoint: bool = False) -> None:
    """What *stage* and those after it left is not what the run stands for any more."""
    first = STAGES.index(stage)
    for name in STAGES[first:]:
        (run.path / f"{name}.json").unlink(missing_ok=True)
    if first <= STAGES.index("tune") and not keep_checkpoint:
        (run.path / CHECKPOINT).unlink(missing_ok=True)


def run_settings(run: Run) -> Settings:
    """The settings that the run was started with."""
    return settings_from(run.read_json("settings.json"), where=str(run.path / "settings.json"))


def check_source(run: Run, source: str) -> None:
    """Raise StoreError where the run is of other logs than *source*, moved or not."""
    is_path_same = Path(run.source).expanduser().resolve() == Path(source).expanduser().resolve()
    wanted = run.read_json("run.json")["fingerprint"]
    if not is_path_same and not (wanted and fingerprint(source, run_settings(run)) == wanted):
        raise StoreError(
            f"run {run.name} is of {run.source}, not of {source}",
            where=str(run.path),
            cure="name another with --run, or begin a new one without --resume",
        )


def change_settings(run: Run, overrides: Sequence[str]) -> Settings:
    """The run's settings with ``section.key=value`` *overrides*, which the run then remembers.

    A run whose settings changed on the way has no fingerprint: no one set of settings made it.
    """
    before = run_settings(run)
    settings = override_settings(before, overrides)
    if settings != before:
        run.write_json("settings.json", settings.to_json())
        run.write_json("run.json", run.read_json("run.json") | {"fingerprint": ""})
    return settings


def fingerprint(source: str, settings: Settings) -> str:
    """What a build depends on, as a hash: the bytes of the logs, the settings, the version.

    Logs that are not files (a database, say) have none: the result is empty. Raises ConfigError
    where a file of labels or rules is not there.
    """
    extra = {key: Path(value) for key, value in asdict(settings.labelling).items() if value}
    for key, file in extra.items():
        if not file.is_file():
            raise ConfigError(
                f"labelling.{key}: no such file", where=str(file), cure=f"check --{key}"
            )
    path = Path(source).expanduser()
    if not path.exists():
        return ""
    digest = hashlib.sha256(__version__.encode())
    stages = {key: value for key, value in settings.to_json().items() if key != "serving"}
    digest.update(json.dumps(stages, sort_keys=True).encode())
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in [*files, *extra.values()]:
        digest.update(file.name.encode())
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def read(source: str, run: Run, settings: Settings, *, say: Say = lambda _: None) -> dict[str, Any]:
    """Logs → ``interactions.jsonl``, ``rejects.jsonl`` and ``read.json`` of the run."""
    _begin(run, "read")
    with (run.path / "rejects.jsonl").open("w", encoding="utf-8") as rejects:

        def keep(reject: Any) -> None:
            rejects.write(json.dumps(reject.to_json(), ensure_ascii=False) + "\n")

        reading = data.read(source, settings.reading, on_reject=keep)
        n_written = write_interactions(run.path / "interactions.jsonl", reading)
    for decision in reading.decisions:
        say(decision)
    summary = {
        "n_rows": reading.n_rows,
        "n_read": reading.n_read,
        "n_rejected": reading.n_rejected,
        "n_interactions": n_written,
        "decisions": list(reading.decisions),
    }
    rejected = f", {reading.n_rejected:,} rejected (see {run.path / 'rejects.jsonl'})"
    say(
        f"read: {reading.n_rows:,} rows → {n_written:,} interactions"
        + (rejected if reading.n_rejected else "")
    )
    run.write_json("read.json", summary)
    return summary


def clean(run: Run, settings: Settings, *, say: Say = lambda _: None) -> dict[str, Any]:
    """``interactions.jsonl`` → ``clean.jsonl`` and ``clean.json``."""
    _begin(run, "clean")
    cleaned = data.clean(load_interactions(run.path / "interactions.jsonl"), settings.cleaning)
    write_interactions(run.path / "clean.jsonl", cleaned.interactions)
    for decision in cleaned.report.decisions:
        say(decision)
    summary: dict[str, Any] = cleaned.report.to_json()
    run.write_json("clean.json", summary)
    return summary


def split(run: Run, settings: Settings, *, say: Say = lambda _: None) -> dict[str, Any]:
    """``clean.jsonl`` → ``examples.jsonl`` (labelled and divided) and ``split.json``."""
    _begin(run, "split")
    interactions, labelling = data.label(
        list(load_interactions(run.path / "clean.jsonl")), settings.labelling
    )
    splits = data.split(interactions, settings.split)
    with (run.path / "examples.jsonl").open("w", encoding="utf-8") as file:
        for name in SPLITS:
            for example in splits[name]:
                row = {"split": name, **asdict(example)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    decisions = [*labelling, *splits.report.decisions]
    for decision in decisions:
        say(decision)
    summary = splits.report.to_json() | {"labels": list(splits.labels), "decisions": decisions}
    run.write_json("split.json", summary)
    return summary


def load_examples(run: Run) -> dict[str, list[Example]]:
    """The examples of each split, as `split` left them."""
    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    with (run.path / "examples.jsonl").open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            splits[row.pop("split")].append(Example(**row))
    return splits


def tune(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    *,
    say: Say = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    resume: bool = False,
    checkpoint_every_s: float = 60.0,
) -> Iterator[StepReport]:
    """Tune on the run's examples; leaves ``model/``, ``metrics.jsonl`` and ``tune.json``.

    A checkpoint is kept at every validation and every *checkpoint_every_s* seconds; with
    *resume* the run goes on from it, bitwise as if it had never stopped (on the CPU). When
    *stop* says so, the state is kept and the generator ends early, without ``tune.json``.
    """
    from tailorbird import tuning
    from tailorbird.modeling import save_classifier

    checkpoint, curve = run.path / CHECKPOINT, run.path / "metrics.jsonl"
    _begin(run, "tune", keep_checkpoint=resume)
    saved = tuning.load_checkpoint(checkpoint) if checkpoint.is_file() else None
    splits = load_examples(run)
    backbone, model = _untuned(splits, workspace, settings, say)
    plan, decisions = tuning.plan_tuning(
        model,
        n_rows=len(splits["train"]),
        settings=settings.tuning,
        model_settings=settings.model,
        dtype_before=saved[1]["plan"]["dtype"] if saved else "",
    )
    for decision in decisions:
        say(decision)
    train, validation = (
        tuning.encode_examples(model, splits[name]) for name in ("train", "validation")
    )
    state = tuning.TuningRun(model, plan)
    train, validation = state.with_trunk(train), state.with_trunk(validation)
    if saved:
        state.restore(*saved)
        say(f"resumed: step {state.step} of run {run.name}")
        _cut_curve(curve, state.step, state.validated_step)
    else:
        curve.unlink(missing_ok=True)
        if settings.model.init_head == "features":
            say(_start_head(model, train))
    saved_s = time.monotonic()
    with curve.open("a", encoding="utf-8") as log:
        for report in tuning.tune(state, train, validation):
            log.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
            log.flush()
            yield report
            is_due = time.monotonic() - saved_s >= checkpoint_every_s
            is_over = stop()  # asked once: a signal may come between two questions
            if report.event == "validation" or is_due or is_over:
                tuning.save_checkpoint(checkpoint, state.tensors(), state.facts())
                saved_s = time.monotonic()
            if is_over:
                return
    folder = run.path / "model"
    save_classifier(model, folder, backbone=backbone.path)
    parameters = list(model.parameters())
    run.write_json(
        "tune.json",
        {
            "settings": plan.to_json() | asdict(settings.model),
            "train_s": state.elapsed_s,
            "tokens_per_s": state.n_tokens / max(state.elapsed_s, 1e-9),
            "n_parameters": sum(p.numel() for p in parameters),
            "n_trainable": sum(p.numel() for p in parameters if p.requires_grad),
            "best_step": state.best_step,
            "backbone": backbone.name,
            "licence": backbone.licence,
            "decisions": decisions,
        },
    )
    checkpoint.unlink(missing_ok=True)


def _untuned(
    splits: dict[str, list[Example]], workspace: Workspace, settings: Settings, say: Say
) -> tuple[Any, Any]:
    """The backbone's folder, and the model before the first step."""
    import torch

    from tailorbird.modeling import build_classifier, choose_backbone, resolve_backbone

    texts = [example.text for example in splits["train"]]
    name = settings.model.backbone
    if name == "auto":
        name, reason = choose_backbone(texts)
        say(reason)
    else:
        say(f"backbone: {name} (as set)")
    backbone = resolve_backbone(name, cache=workspace.cache_path)
    labels = sorted({example.label for name in SPLITS for example in splits[name]})
    torch.manual_seed(settings.tuning.seed)
    model = build_classifier(backbone, labels, settings=settings.model)
    if not settings.model.max_tokens:
        longest = model.tokenizer.fit_max_tokens(texts)
        say(f"longest input: {longest} tokens (covers 99.5 % of the training texts)")
    say(f"head: softmax over {len(labels)} labels (one label a row)")
    if torch.cuda.is_available():
        model.to("cuda")
    return backbone, model


def _start_head(model: Any, train: Any, *, n_rows: int = 2000) -> str:
    """Give the head its first weights from pretrained features of up to *n_rows* rows."""
    import torch

    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:n_rows]
    rows = sorted(order.tolist())
    model.head.start_from_features(model.features(train.tokens.subset(rows)), train.targets[rows])
    return f"head starts as a linear discriminant of pretrained features ({len(rows):,} rows)"


def _cut_curve(curve: Path, step: int, validated_step: int) -> None:
    """Drop what was logged after the checkpoint; that is about to be done again."""
    last = {"step": step, "validation": validated_step, "stop": -1}
    if curve.is_file():
        lines = curve.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = [(line, json.loads(line)) for line in lines if line.endswith("\n")]
        kept = [line for line, row in rows if row["step"] <= last.get(row["event"], step)]
        curve.write_text("".join(kept), encoding="utf-8")


def evaluate(
    run: Run, settings: Settings, *, say: Say = lambda _: None, again: bool = False
) -> dict[str, Any]:
    """Measure the tuned model; leaves ``evaluate.json``, ``report.json`` and ``report.html``.

    Temperature and threshold are fitted on validation. The test split is opened once; a second
    look needs *again*, and the report says so.
    """
    from tailorbird import evaluation, tuning
    from tailorbird.hardware import processor
    from tailorbird.modeling import load_classifier

    splits = load_examples(run)
    model = load_classifier(run.path / "model")
    encoded = {name: tuning.encode_examples(model, splits[name]) for name in ("validation", "test")}
    logits = model.logits(encoded["validation"].tokens).numpy()
    targets = encoded["validation"].targets.numpy()
    calibration = evaluation.calibrate(logits, targets, settings=settings.evaluation)
    measure: dict[str, Any] = {
        "temperature": calibration.temperature,
        "settings": settings.evaluation,
    }
    report: dict[str, Any] = {
        "run": run.read_json("run.json"),
        "data": {name: run.read_json(f"{name}.json") for name in ("read", "clean", "split")},
        "tuning": run.read_json("tune.json") | {"curve": _curve(run)},
        "calibration": calibration.to_json(),
        "validation": evaluation.evaluate(
            "validation", logits, targets, model.labels, **measure
        ).to_json(),
        "processor": processor(),
    }
    report["decisions"] = [
        decision
        for stage in (*report["data"].values(), report["tuning"])
        for decision in stage.get("decisions", [])
    ]
    baselines = (
        evaluation.measure_baselines(
            splits["train"], splits["test"], model.labels, seed=settings.evaluation.seed
        )
        if settings.evaluation.baselines
        else None
    )
    with evaluation.open_test_once(run.path, "evaluate", again=again) as openings:
        logits = model.logits(encoded["test"].tokens).numpy()
        targets = encoded["test"].targets.numpy()
        test = evaluation.evaluate(
            "test", logits, targets, model.labels, baselines=baselines, **measure
        )
        report |= {"test": test.to_json(), "test_openings": openings}
        report |= evaluation.examine(
            [example.text for example in splits["test"]],
            logits,
            targets,
            model.labels,
            temperature=calibration.temperature,
        )
        _begin(run, "evaluate")
        evaluation.write_report(run.path, report)
        run.write_json(
            "evaluate.json",
            {"temperature": calibration.temperature, "threshold": calibration.threshold},
        )
    say(
        f"test: accuracy {test.accuracy.value:.3f} "
        f"({test.accuracy.low:.3f} to {test.accuracy.high:.3f}), "
        f"macro-F1 {test.macro_f1.value:.3f}, {test.n_rows:,} rows"
    )
    return report


def _curve(run: Run) -> list[dict[str, Any]]:
    lines = (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def bundle(
    run: Run,
    workspace: Workspace,
    settings: Settings,
    *,
    say: Say = lambda _: None,
    templates: Path | None = None,
    go_live: bool = True,
) -> Bundle:
    """Pack model, templates and report into a bundle named by its content, and publish it.

    The templates are the logs' best replies unless a file of one's own is given; they are left
    in the run as ``templates.toml`` for editing.
    """
    report = run.read_json("report.json")
    labels = report["test"]["labels"]
    if templates is None:
        chosen = answers.best_templates(load_interactions(run.path / "clean.jsonl"), labels)
        answers.save_templates(run.path / "templates.toml", chosen)
    else:
        chosen = answers.load_templates(templates, labels)
    facts = run.read_json("evaluate.json")
    made = write_bundle(
        workspace.bundles_path,
        BundleContents(
            model_folder=run.path / "model",
            labels=tuple(labels),
            templates=chosen,
            settings=settings.to_json(),
            report=report,
            report_html=run.path / "report.html",
            temperature=facts["temperature"],
            threshold=facts["threshold"],
        ),
    )
    n_answered = sum(any(answers.values()) for answers in chosen.values())
    say(f"templates: {n_answered} of {len(labels)} intents have an answer from the logs")
    run.write_json("bundle.json", {"id": made.id, "path": str(made.path)})
    if go_live:
        registry.publish(workspace, made, f"built by run {run.name}")
        say(f"bundle: {made.id} is live")
    return made


def current_bundle(workspace: Workspace, bundle_id: str = "") -> Bundle:
    """The bundle *bundle_id*, or the live one; checked against its manifest.

    Raises StoreError where nothing is live yet.
    """
    if not bundle_id:
        record = registry.live_bundle(workspace)
        if record is None:
            raise StoreError(
                "no bundle is live yet", where=str(workspace.path), cure="tailorbird build LOGS"
            )
        bundle_id = record.id
    folder = workspace.bundles_path / bundle_id
    if not folder.is_dir():
        raise StoreError(f"there is no bundle {bundle_id}", where=str(workspace.bundles_path))
    return load_bundle(folder)


def go_live(workspace: Workspace, bundle_id: str, reason: str) -> None:
    """Make an existing bundle the live one."""
    registry.publish(workspace, current_bundle(workspace, bundle_id), reason)


def roll_back(workspace: Workspace, reason: str) -> str:
    """Put the bundle that was live before back; returns its id."""
    return registry.roll_back(workspace, reason).id


def list_deployments(workspace: Workspace) -> list[dict[str, str]]:
    """Which bundle was live since when, newest first."""
    return [
        {
            "bundle": record.id,
            "since": f"{record.since:%Y-%m-%d %H:%M}",
            "until": "live" if record.until is None else f"{record.until:%Y-%m-%d %H:%M}",
            "reason": record.reason,
        }
        for record in registry.history(workspace)
    ]


def is_live(workspace: Workspace, source: str, settings: Settings) -> str:
    """The id of the live bundle if it was built from these very logs and settings, else empty."""
    record = registry.live_bundle(workspace)
    if record is None or not (workspace.bundles_path / record.id).is_dir():
        return ""
    report = json.loads((workspace.bundles_path / record.id / "report.json").read_text("utf-8"))
    wanted = fingerprint(source, settings)
    return record.id if wanted and report["run"].get("fingerprint") == wanted else ""


def unfinished_run(workspace: Workspace, source: str, settings: Settings) -> Run | None:
    """The latest run, if it is of these very logs and settings and has not been finished."""
    try:
        run = workspace.run()
        facts = run.read_json("run.json")
    except StoreError:
        return None
    is_same = facts["fingerprint"] and facts["fingerprint"] == fingerprint(source, settings)
    return run if is_same and run.status != "done" else None


def list_runs(workspace: Workspace) -> list[dict[str, str]]:
    """Every run, newest first."""
    with workspace.sessions() as session:
        rows = session.scalars(select(RunRow).order_by(RunRow.created.desc())).all()
    return [
        {"run": row.name, "status": row.status, "source": row.source, "note": row.note or ""}
        for row in rows
    ]
