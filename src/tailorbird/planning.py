"""What a run starts from: the backbone, the model before its first step, and the plan.

Everything that is decided for the user here is said with its reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from tailorbird import plugins
from tailorbird.config import Settings
from tailorbird.modeling import TextModel, build_model
from tailorbird.modeling.heads import LANGUAGE
from tailorbird.modeling.trunk_cache import TrunkCache
from tailorbird.records import SPLITS, Example
from tailorbird.runs import FREEZE, start_run
from tailorbird.store import Run, Workspace
from tailorbird.tuning import TuningPlan, TuningRun, plan_tuning, tasks
from tailorbird.tuning.freeze_search import (
    MAX_TRAIN_ROWS,
    MAX_VALIDATION_ROWS,
    FreezeSearch,
    FreezeTrial,
    choose,
    next_depth,
    sample,
    table_row,
    why_not,
)
from tailorbird.tuning.plan import check_way, chosen_method
from tailorbird.weights import (
    BackboneFolder,
    choose_backbone,
    choose_language_model,
    resolve_backbone,
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Start:
    """A run before its next step, with its rows."""

    state: TuningRun
    train: tasks.EncodedExamples
    validation: tasks.EncodedExamples
    backbone: BackboneFolder
    decisions: list[str]
    """What was decided for the user; `say` adds to it."""
    tell: Say

    def say(self, decision: str) -> None:
        """Tell a decision and remember it; there may be none."""
        if decision:
            self.decisions.append(decision)
            self.tell(decision)


def new_run(source: str, workspace: Workspace, settings: Settings, name: str = "") -> Run:
    """A new run of *source*, once it is sure that its settings can be tuned with.

    Raises ConfigError, and begins nothing, where they name a task, a way of tuning or a file that
    is not there.
    """
    plugins.load_wanted(settings.task.plugin)
    tasks.find_task(settings.task.name)
    check_way(settings.method)
    return start_run(source, workspace, settings, name)


def start_tuning(
    run: Run,
    workspace: Workspace,
    splits: dict[str, list[Example]],
    settings: Settings,
    *,
    saved: tuple[dict[str, Tensor], dict[str, Any]] | None = None,
    say: Say,
    stop: Callable[[], bool] = lambda: False,
) -> Start | None:
    """Model, plan and rows of a run, as it begins or as a checkpoint left it (*saved*).

    None where *stop* ended the search for the layers to freeze.
    """
    backbone, model = untuned(splits, workspace, settings, say)
    frozen = None
    if settings.model.freeze_layers == "auto":
        frozen = freeze_by_trial(run, model, splits, settings, say=say, stop=stop)
        if frozen is None:
            return None
    before = saved[1]["plan"]["dtype"] if saved else ""
    plan, decisions = plan_tuning(
        model, len(splits["train"]), settings, dtype_before=before, frozen=frozen
    )
    for decision in decisions:
        say(decision)
    train, validation = (
        tasks.encode_examples(model, splits[name]) for name in ("train", "validation")
    )
    state = TuningRun(model, plan)
    cache = trunk_cache(workspace, settings, say)
    train, validation = state.with_trunk(train, cache), state.with_trunk(validation, cache)
    start = Start(state, train, validation, backbone, decisions, say)
    start.say(state.trainable())
    if saved:
        state.restore(*saved)
        say(f"resumed: step {state.step} of run {run.name}")
    elif settings.model.init_head == "features":
        start.say(state.start_head(train))
    return start


def untuned(
    splits: dict[str, list[Example]], workspace: Workspace, settings: Settings, say: Say
) -> tuple[BackboneFolder, TextModel]:
    """The backbone's folder, and the model before the first step."""
    for plugin in plugins.load_wanted(settings.task.plugin):
        say(str(plugin))
    task = tasks.find_task(settings.task.name)
    backbone = backbone_of(splits["train"], workspace, settings, say)
    labels = task.labels([example for name in SPLITS for example in splits[name]])
    torch.manual_seed(settings.tuning.seed)
    model = build_model(backbone, labels, settings=settings.model, spec=task.spec)
    task.prepare(model, splits["train"])
    say(f"backbone runs {model.backbone.reason}")
    note = getattr(getattr(model.tokenizer, "template", None), "note", "")
    if note:
        say(note)
    if not task.pooling and settings.model.pooling == "auto":
        why = "as the backbone was trained" if backbone.pooling else "the backbone names none"
        say(f"pooling: {model.pooling} ({why})")
    if not settings.model.max_tokens:
        tokens = task.encode(model, splits["train"]).tokens
        longest = model.tokenizer.fit_max_tokens(tokens)
        n_cut = sum(length > longest for length in tokens.lengths)
        rest = f"; {n_cut:,} are longer and are cut" if n_cut else ""
        say(f"longest input: {longest} tokens (covers 99.5 % of the training texts{rest})")
    say(f"task: {task.name}, {task.about}" + (f"; {len(labels)} labels" if labels else ""))
    unseen = sorted(set(labels) - set(task.labels(splits["train"])))
    if unseen:
        shown = ", ".join(unseen[:5]) + (" …" if len(unseen) > 5 else "")
        say(f"{len(unseen)} labels have no training row and cannot be learned: {shown}")
    if torch.cuda.is_available():
        model.to("cuda")
    return backbone, model


def backbone_of(
    train: list[Example], workspace: Workspace, settings: Settings, say: Say
) -> BackboneFolder:
    """The pretrained weights to start from, chosen by the language of the rows where not set."""
    name = settings.model.backbone
    if name == "auto":
        texts = [example.text for example in train]
        is_chat = tasks.find_task(settings.task.name).head == LANGUAGE
        name, reason = (choose_language_model if is_chat else choose_backbone)(texts)
        say(reason)
    else:
        say(f"backbone: {name} (as set)")
    return resolve_backbone(name, cache=workspace.cache_path, say=say)


def trunk_cache(workspace: Workspace, settings: Settings, say: Say) -> TrunkCache:
    """Where states of frozen layers are kept; it says every half minute how far it is."""
    said_s = time.monotonic()

    def on_progress(n_done: int, n_all: int) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= 30.0:
            said_s = time.monotonic()
            say(f"frozen layers: {n_done / n_all:.0%} of {n_all:,} tokens")

    return TrunkCache(
        settings.model.trunk_cache_mb * 10**6,
        workspace.cache_path / "trunk",
        file_bytes=settings.model.trunk_file_mb * 10**6,
        say=say,
        on_progress=on_progress,
    )


def freeze_by_trial(
    run: Run,
    model: TextModel,
    splits: dict[str, list[Example]],
    settings: Settings,
    *,
    say: Say,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[int, str] | None:
    """How many layers to freeze, and why; None where *stop* ended the search.

    Every trial is remembered in the run's ``freeze.json``, so that one that goes on does not try
    again; with other settings it does.
    """
    why = why_not(model, chosen_method(model, settings.method)[0])
    if why:
        return plan_tuning(model, len(splits["train"]), settings)[0].n_frozen, why
    seed = settings.tuning.seed
    train = sample(splits["train"], MAX_TRAIN_ROWS, seed=seed)
    validation = sample(splits["validation"], MAX_VALIDATION_ROWS, seed=seed)

    trials = _remembered(run, settings)
    n_layers, facts = (
        model.backbone.n_layers,
        {"n_train": len(train), "n_validation": len(validation)},
    )
    if next_depth(trials, n_layers) is None:
        say(f"frozen layers: as tried before ({FREEZE} of the run)")
        return choose(trials, **facts)

    def plan_for(n_frozen: int) -> TuningPlan:
        return plan_tuning(model, len(train), settings, frozen=(n_frozen, "tried"))[0]

    search = FreezeSearch(
        model,
        tasks.encode_examples(model, train),
        tasks.encode_examples(model, validation),
        plan_for,
        starts_head=settings.model.init_head == "features",
        stop=stop,
    )
    say(
        f"trying how many layers may stay frozen, on {len(train):,} training and "
        f"{len(validation):,} validation rows, {search.plan(0).n_epochs} epochs each"
    )
    for line in (table_row(), *map(table_row, trials)):
        say(line)
    for trial in search.trials(trials):
        say(table_row(trial))
        trials.append(trial)
        rows = [asdict(one) for one in trials]
        run.write_json(FREEZE, {"settings": _that_matter(settings), "trials": rows})
    return None if next_depth(trials, n_layers) is not None else choose(trials, **facts)


def _remembered(run: Run, settings: Settings) -> list[FreezeTrial]:
    """The trials of the same settings that the run has done before."""
    if not (run.path / FREEZE).is_file():
        return []
    before = run.read_json(FREEZE)
    is_same = before["settings"] == _that_matter(settings)
    return [FreezeTrial(**trial) for trial in before["trials"]] if is_same else []


def _that_matter(settings: Settings) -> dict[str, object]:
    """The settings that the outcome of a trial depends on, JSON-ready."""
    sections = settings.to_json()
    model = {k: v for k, v in sections["model"].items() if not k.startswith("trunk_")}
    names = ("method", "tuning", "optimizer", "loss")
    return {name: sections[name] for name in names} | {"model": model}
