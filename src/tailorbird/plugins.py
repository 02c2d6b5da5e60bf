"""Plug-ins: tasks, heads, losses and ways of tuning that others wrote.

A plug-in is a Python module with any of these names at its top; what they hold is added to ours::

    TASKS = [Task("ordinal", …)]                     # a task, with its losses and scores
    HEADS = {"ordinal": OrdinalHead}                 # (width, outputs, dropout) → a head
    LOSSES = {"single_label": {"mine": my_loss}}     # more losses for a task that is there
    METHODS = {"mine": Method(…)}                    # a way of tuning

It is a file, named by ``--plugin FILE``, or a module of an installed package that names it as an
entry point of the group ``tailorbird.plugins``. A plug-in is code and is run: load only what you
trust. Contracts to test one with are in `tailorbird.testing`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from tailorbird.errors import ConfigError
from tailorbird.modeling import adapters, heads
from tailorbird.tuning.tasks import TASKS, Task

GROUP = "tailorbird.plugins"
"""The group of entry points."""


@dataclass(frozen=True, slots=True)
class PlugIn:
    """What a plug-in added, by name."""

    name: str
    """Its file, or its entry point; saved models whose task is of it say this."""
    tasks: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    """As ``task.loss``."""
    methods: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A sentence for a person.

        >>> str(PlugIn("mine.py", tasks=("ordinal",), heads=("ordinal",)))
        'plug-in mine.py: task ordinal; head ordinal'
        """
        kinds = {"task": self.tasks, "head": self.heads, "loss": self.losses}
        kinds["method"] = self.methods
        said = "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items() if names)
        return f"plug-in {self.name}: {said or 'adds nothing'}"


@dataclass(slots=True)
class _Loaded:
    """What is loaded, so that nothing is loaded twice."""

    by_place: dict[str, PlugIn] = field(default_factory=dict)


_LOADED = _Loaded()


def load_plugin(path: str | Path) -> PlugIn:
    """Run the Python file at *path* and add what it holds; a second time does nothing.

    Raises ConfigError where it cannot be run, or a name is taken; then nothing was added.
    """
    file = Path(path).expanduser().resolve()
    place = str(file)
    if place in _LOADED.by_place:
        return _LOADED.by_place[place]
    if not file.is_file():
        raise ConfigError("there is no such plug-in", where=str(path), cure="name a Python file")
    name = f"tailorbird_plugin_{file.stem}_{len(_LOADED.by_place)}"
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError("is no Python file", where=str(path), cure="name a file that ends in .py")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    loader = spec.loader

    def run() -> ModuleType:
        loader.exec_module(module)
        return module

    try:
        _LOADED.by_place[place] = _add(_run(run, place), file.name)
    except BaseException:
        del sys.modules[name]
        raise
    return _LOADED.by_place[place]


def load_wanted(path: str = "") -> list[PlugIn]:
    """Load the plug-ins of installed packages, and the file at *path* where there is one."""
    return [*load_entry_points(), *([load_plugin(path)] if path else [])]


def load_entry_points(found: Iterable[EntryPoint] | None = None) -> list[PlugIn]:
    """Load the plug-ins of the packages that are installed, in the order of their names.

    Raises ConfigError as `load_plugin` does; *where* names the entry point.
    """
    points = entry_points(group=GROUP) if found is None else found
    plugins = []
    for point in sorted(points, key=lambda one: one.name):
        place = f"{GROUP}:{point.name}"
        if place not in _LOADED.by_place:
            _LOADED.by_place[place] = _add(_run(point.load, place), point.name)
        plugins.append(_LOADED.by_place[place])
    return plugins


def _run(load: Callable[[], Any], place: str) -> ModuleType:
    try:
        module: ModuleType = load()
    except Exception as error:
        raise ConfigError(
            f"the plug-in cannot be run ({type(error).__name__}: {error})",
            where=place,
            cure="correct it; `python FILE` shows where it fails",
        ) from error
    return module


def _add(module: ModuleType, name: str) -> PlugIn:
    """Merge what *module* holds into ours; all of it, or where a name is taken nothing."""
    tasks: Mapping[str, Task] = {
        task.name: replace(task, plugin=name) for task in getattr(module, "TASKS", ())
    }
    new_heads = dict(getattr(module, "HEADS", {}))
    methods = dict(getattr(module, "METHODS", {}))
    losses = dict(getattr(module, "LOSSES", {}))
    kinds: list[tuple[str, Mapping[str, Any], MutableMapping[str, Any]]] = [
        ("task", tasks, TASKS),
        ("head", new_heads, heads.HEADS),
        ("method", methods, adapters.METHODS),
    ]
    for kind, new, ours in kinds:
        _check_free(kind, new, ours, name)
    for task, of_task in losses.items():
        if task not in TASKS:
            raise ConfigError(
                f"LOSSES names the task {task!r}, which is none of {', '.join(TASKS)}",
                where=f"plug-in {name}",
                cure="give a task of your own its losses where it is made",
            )
        _check_free(f"loss of {task}", of_task, TASKS[task].losses, name)
    for _, new, ours in kinds:
        ours.update(new)
    for task, of_task in losses.items():
        TASKS[task] = replace(TASKS[task], losses={**TASKS[task].losses, **of_task})
    added = tuple(f"{task}.{loss}" for task, of_task in losses.items() for loss in of_task)
    return PlugIn(name, tuple(tasks), tuple(new_heads), added, tuple(methods))


def _check_free(kind: str, new: Iterable[str], ours: Mapping[str, Any], name: str) -> None:
    taken = [one for one in new if one in ours or one == "auto"]
    if taken:
        raise ConfigError(
            f"the {kind} {taken[0]!r} is there already",
            where=f"plug-in {name}",
            cure="call yours something else",
        )
