"""What a run remembers: its logs, its settings, which stages it has done, and what they left.

Each stage leaves a file of its name; a stage that is repeated undoes the later ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tailorbird import __version__
from tailorbird.config import Settings, override_settings, settings_from
from tailorbird.errors import ConfigError, StoreError
from tailorbird.records import SPLITS, Example
from tailorbird.store import Run, RunRow, Workspace

STAGES = ("read", "clean", "split", "tune", "evaluate", "bundle")
CHECKPOINT = "checkpoint.safetensors"
CURVE = "metrics.jsonl"
EXAMPLES = "examples.jsonl"
OUTSIDE = "out_of_scope.jsonl"
"""Examples that are labelled as out of scope, by split as well."""
FREEZE = "freeze.json"
"""What was found by trying how many layers may stay frozen."""


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


def begin(run: Run, stage: str, *, keep_checkpoint: bool = False) -> None:
    """Start *stage* (again): what it and those after it left stands for the run no more.

    Raises StoreError where a stage before it has not been done.
    """
    first = STAGES.index(stage)
    for before in STAGES[:first]:
        if not done(run, before):
            raise StoreError(
                f"{before} has not been done, so {stage} has nothing to go on with",
                where=f"run {run.name}",
                cure=f"tailorbird {before}{' LOGS' if before == 'read' else ''}",
            )
    for name in STAGES[first:]:
        (run.path / f"{name}.json").unlink(missing_ok=True)
    if first <= STAGES.index("tune") and not keep_checkpoint:
        for name in (CHECKPOINT, FREEZE):
            (run.path / name).unlink(missing_ok=True)


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

    Raises ConfigError, and remembers nothing, where a file that they name is not there. A run
    whose settings changed on the way has no fingerprint: no one set of settings made it.
    """
    before = run_settings(run)
    settings = override_settings(before, overrides)
    _named_files(settings)
    if settings != before:
        run.write_json("settings.json", settings.to_json())
        run.write_json("run.json", run.read_json("run.json") | {"fingerprint": ""})
    return settings


def fingerprint(source: str, settings: Settings) -> str:
    """What a build depends on, as a hash: the bytes of the logs, the settings, the version.

    Logs that are not files (a database, say) have none: the result is empty. Raises ConfigError
    where a file of labels or rules is not there.
    """
    extra = _named_files(settings)
    path = Path(source).expanduser()
    if not path.exists():
        return ""
    digest = hashlib.sha256(__version__.encode())
    stages = {key: value for key, value in settings.to_json().items() if key != "serving"}
    digest.update(json.dumps(stages, sort_keys=True).encode())
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in [*files, *extra]:
        digest.update(file.name.encode())
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def _named_files(settings: Settings) -> list[Path]:
    """The files of labels and rules that *settings* name; ConfigError where one is not there."""
    named = {key: Path(value) for key, value in asdict(settings.labelling).items() if value}
    for key, file in named.items():
        if not file.is_file():
            raise ConfigError(
                f"labelling.{key}: no such file", where=str(file), cure=f"check --{key}"
            )
    return list(named.values())


def write_examples(run: Run, rows: Mapping[Any, Iterable[Example]], name: str = EXAMPLES) -> None:
    """Write the examples of each split; `load_examples` reads them."""
    with (run.path / name).open("w", encoding="utf-8") as file:
        for split, examples in rows.items():
            for example in examples:
                row = {"split": split, **asdict(example)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def load_examples(run: Run, name: str = EXAMPLES) -> dict[str, list[Example]]:
    """The examples of each split, as `split` left them; none where there is no such file."""
    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    if name != EXAMPLES and not (run.path / name).is_file():
        return splits
    with (run.path / name).open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            splits[row.pop("split")].append(Example.from_json(row))
    return splits


def cut_curve(run: Run, step: int, validated_step: int) -> None:
    """Drop what was logged after the checkpoint; that is about to be done again."""
    curve = run.path / CURVE
    last = {"step": step, "validation": validated_step, "stop": -1}
    if curve.is_file():
        lines = curve.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = [(line, json.loads(line)) for line in lines if line.endswith("\n")]
        kept = [line for line, row in rows if row["step"] <= last.get(row["event"], step)]
        curve.write_text("".join(kept), encoding="utf-8")


def load_curve(run: Run) -> list[dict[str, Any]]:
    """Every report of the tuning, in its order."""
    lines = (run.path / CURVE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


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
